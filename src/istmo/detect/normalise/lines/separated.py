"""Values separated by a character (CSV, RFC 4180), whose names stand in the first record.

The separator is found by looking: a comma, a semicolon, a tab or a bar. A value in double quotes may
hold separators, line ends and doubled quotes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from istmo.detect.normalise.lines.tables import COLUMNS

SEPARATORS: Final = (",", ";", "\t", "|")
LONGEST_NAME: Final = 100
MOST_LINES: Final = 500
"""Of one record; one that is longer began with a quote that was never meant to open anything."""
MOST_CHARACTERS: Final = 65_536
_LOOKED_AT: Final = 50
_NAME: Final = re.compile(r"(?:[^\W\d]|[@#$%])[\w .@#$%()/:&+*?<>\[\]'-]{0,99}")
_WORD: Final = re.compile(r"(?:[^\W\d]|[@#])[\w.@:/-]{0,63}")
_ENOUGH: Final = 0.8


def split_record(text: str, separator: str) -> tuple[list[str], bool]:
    """The values of a record, and whether a quote of the last one is still open."""
    if '"' not in text:
        return text.split(separator, COLUMNS)[:COLUMNS], False
    values: list[str] = []
    at, end = 0, len(text)
    while at <= end and len(values) < COLUMNS:
        if at < end and text[at] == '"':
            close = text.find('"', at + 1)
            while close >= 0 and text[close + 1 : close + 2] == '"':
                close = text.find('"', close + 2)
            if close < 0:
                return [*values, text[at + 1 :].replace('""', '"')], True
            stop = text.find(separator, close)
            stop = end if stop < 0 else stop
            values.append(text[at + 1 : close].replace('""', '"') + text[close + 1 : stop].rstrip(" "))
        else:
            stop = text.find(separator, at)
            stop = end if stop < 0 else stop
            values.append(text[at:stop])
        at = stop + 1
    return values, False


def separator_of(head: str) -> str:
    """What separates the names of a header: that of which there are most, outside of quotes."""
    return max(SEPARATORS, key=lambda one: len(split_record(head, one)[0]))


def is_preamble(text: str) -> bool:
    """Lines that stand before the header: PowerShell's ``#TYPE``, Excel's ``sep=``."""
    return text.startswith("#TYPE ") or (text[:4].lower() == "sep=" and len(text) == 5)


def is_separated(lines: Sequence[str]) -> bool:
    """Whether a file's first lines are a header of names, and records of as many values."""
    rows = list(lines[:_LOOKED_AT])
    while rows and is_preamble(rows[0]):
        rows.pop(0)
    if not rows:
        return False
    separator = separator_of(rows[0])
    names, is_open = split_record(rows[0], separator)
    names = [one.strip() for one in names]
    if is_open or len(names) < 2 or any(_NAME.fullmatch(one) is None for one in names):
        return False
    if len({one.casefold() for one in names}) < len(names):
        return False
    reader = SeparatedReader()
    reader.read(rows[0])
    read = [event for row in rows[1:] if (event := reader.read(row)) is not None]
    if not read:  # a header alone is believed where nothing in it could be prose
        return len(names) > 2 and all(_WORD.fullmatch(one) is not None for one in names)
    if len(names) == 2 and any(_WORD.fullmatch(one) is None for one in names):
        return False
    fitting = [one for one in read if len(one) > 1 and not _repeats(names, one)]
    return len(fitting) >= _ENOUGH * len(read)


def _repeats(names: Sequence[str], event: dict[str, Any]) -> bool:
    """A value that is its own column's name was no name: the file has no header."""
    return any(event.get(name) == name for name in names)


class SeparatedReader:
    """A record an event, by the names of the first one; empty values are left out.

    ``is_open`` while a record goes on in the next line.
    """

    def __init__(self) -> None:
        self._separator = ""
        self._names: list[str] = []
        self._open: list[str] = []
        self._size = 0

    @property
    def is_open(self) -> bool:
        return bool(self._open)

    @property
    def has_names(self) -> bool:
        return bool(self._names)

    def read(self, text: str) -> dict[str, Any] | None:
        if not self._names and not self._open:
            if is_preamble(text):
                self._separator = text[4] if text[:4].lower() == "sep=" else ""
                return None
            self._separator = self._separator or separator_of(text)
        if not self._open and '"' not in text:
            return self._record(text.split(self._separator, COLUMNS)[:COLUMNS], text)
        self._open.append(text)
        self._size += len(text) + 1
        # only an odd number of quotes can open or close one that goes over the end of a line
        if len(self._open) == 1 or text.count('"') % 2:
            whole = "\n".join(self._open)
            values, is_open = split_record(whole, self._separator)
            if not is_open:
                self._open, self._size = [], 0
                return self._record(values, whole)
        if len(self._open) >= MOST_LINES or self._size > MOST_CHARACTERS:
            return self.finish()
        return None

    def finish(self) -> dict[str, Any] | None:
        """What a quote opened and nothing closed, as text."""
        whole, self._open, self._size = "\n".join(self._open), [], 0
        return {"message": whole} if whole else None

    def _record(self, values: list[str], text: str) -> dict[str, Any] | None:
        names = self._names
        if not names:
            self._names = _distinct(values)
            return None
        if len(values) > len(names):
            if any(values[len(names) :]):
                return {"message": text}
        elif len(values) == 1 < len(names):  # a remark below the table
            return {"message": text}
        if values[0] == names[0] and [one.strip() for one in values] == names:
            return None  # the header again, where files were put together
        event = {name: value for name, value in zip(names, values, strict=False) if value != ""}
        if event.keys() == {"message"}:  # alone it would look like the text of a line
            event = dict(zip(names, values, strict=False))
        return event


def _distinct(values: list[str]) -> list[str]:
    """Names of columns. One without a name is called by its place; those that stand twice are told apart."""
    names: list[str] = []
    taken: set[str] = set()
    for place, value in enumerate(values, 1):
        name = first = value.strip()[:LONGEST_NAME] or f"column_{place}"
        if name in taken:
            name = f"{first}_{place}"
        taken.add(name)
        names.append(name)
    return names
