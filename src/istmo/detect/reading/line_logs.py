"""Logs of lines that are not JSON: which format they have, and what each line says as an event."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from istmo.detect.intake.splitting import LineSplitter, Piece
from istmo.detect.normalise.lines import (
    FORMATS,
    JOINED,
    LONGEST,
    guess_format,
    is_of_other_form,
    line_reader,
)
from istmo.detect.reading.found import JSON, FileProblem, Found, Line
from istmo.errors import InvalidInput, TooLarge

FORMS: Final = (JSON, *FORMATS)
"""What somebody may say that a file holds."""
_LOOKED_AT: Final = 200
"""Lines at the beginning of a file by which its format is told."""
_BOM: Final = b"\xef\xbb\xbf"
_JSON_LINE: Final = re.compile(rb'\{\s*(["}]|$)|\[\s*([\[{"\]]|$)')
_NO_TEXT: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


@dataclass(frozen=True)
class LineLogs:
    """How to read files of lines."""

    received: datetime
    """Settles the year of lines that name none: a file's are not after it was last written."""
    form: str = ""
    """One of FORMS; ``""`` to look at each file's first lines."""


def form_of(head: bytes) -> str:
    """The format of a file by its beginning: one of FORMS, ``""`` where nothing tells.

    A first line that is JSON decides; otherwise what most lines are, so that one bad line is no verdict.
    """
    lines = [line for one in head.removeprefix(_BOM).split(b"\n") if (line := one.strip())][:_LOOKED_AT]
    if not lines:
        return JSON
    if _JSON_LINE.match(lines[0]):
        return JSON
    as_json = [bool(_JSON_LINE.match(line)) for line in lines]
    found = guess_format(line for line, is_json in zip(lines, as_json, strict=True) if not is_json)
    if not any(as_json):
        return found
    return found if found and sum(as_json) <= len(lines) // 2 else JSON


def is_text(head: bytes) -> bool:
    """Whether a file begins like text of any kind."""
    return _NO_TEXT.search(head[:4096]) is None


class LogEvents:
    """The events of one log, from its bytes in any pieces.

    A line that the format does not know is told, and given all the same as an event of nothing but its
    text: indicators are found in it.
    """

    def __init__(self, place: str, form: str, received: datetime, line_bytes: int) -> None:
        """``form``: one of FORMATS."""
        self._place, self._form, self._limit = place, form, line_bytes
        self._reader = line_reader(form, received)
        self._splitter = LineSplitter(line_bytes)
        self._began = 0
        """The line at which the event began that is still open, and the lines of it:"""
        self._open: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[Found]:
        """What is complete with these bytes."""
        return self._read(self._splitter.feed(data))

    def finish(self) -> Iterator[Found]:
        """What was still open."""
        yield from self._read(self._splitter.finish())
        event = self._reader.finish()
        if event is not None:
            yield Line(self._place, self._began, b"\n".join(self._open), self._form, event)

    def _read(self, pieces: list[Piece]) -> Iterator[Found]:
        for number, raw in pieces:
            if raw is None:
                too_long = TooLarge("detect.line_too_long", limit=self._limit)
                yield FileProblem(self._place, number, too_long, self._form)
            else:
                yield from self._of_line(number, raw.removeprefix(_BOM) if number == 1 else raw)

    def _of_line(self, number: int, raw: bytes) -> Iterator[Found]:
        event = self._reader.read(raw)
        if len(raw) > LONGEST:
            yield FileProblem(self._place, number, TooLarge("detect.line_cut", limit=LONGEST))
        if event is not None and is_of_other_form(self._form, event):
            other = InvalidInput("detect.line_other_form", form=self._form)
            yield FileProblem(self._place, number, other, self._form)
        elif self._form in JOINED:
            if event is not None:
                yield Line(self._place, self._began, b"\n".join(self._open), self._form, event)
            if event is not None or not self._open:
                self._began, self._open = number, []
            self._open.append(raw[:LONGEST])
            return
        if event is not None:
            yield Line(self._place, number, raw, self._form, event)
