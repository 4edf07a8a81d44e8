"""Logs of lines that are not JSON: which format they have, and what each line says as an event."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from istmo.detect.intake.splitting import LineSplitter, Piece
from istmo.detect.normalise.lines import (
    FORMATS,
    HEADED,
    JOINED,
    LONGEST,
    SPREAD,
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
_MOST_BLANKS: Final = 100
_MOST_PREAMBLE: Final = 3
_MOST_HEADER: Final = 20
_BEGINS_ANEW: Final = (b"#separator ", b"#Software:")
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

    def __init__(
        self,
        place: str,
        form: str,
        received: datetime,
        line_bytes: int,
        header: Sequence[bytes] = (),
        first: int = 1,
    ) -> None:
        """``form``: one of FORMATS. ``header``: lines that said what those from ``first`` on mean."""
        self._place, self._form, self._limit = place, form, line_bytes
        self._reader = line_reader(form, received)
        # a blank at the end of a row may be an empty value
        self._splitter = (
            LineSplitter(line_bytes, first, b"\r\n") if form in SPREAD else LineSplitter(line_bytes, first)
        )
        self._last = first - 1
        self.header: list[bytes] = []
        """Of a format in HEADED, the lines so far that say what the others mean."""
        for line in header:
            self._reader.read(line)
            self.header.append(line)
        self._began = 0
        """The line at which the event began that is still open, and the lines of it:"""
        self._open: list[bytes] = []

    @property
    def open_from(self) -> int:
        """The line at which an event begins that may go on; 0 where none is open."""
        return self._began if self._open else 0

    def feed(self, data: bytes) -> Iterator[Found]:
        """What is complete with these bytes."""
        return self._read(self._splitter.feed(data))

    def finish(self) -> Iterator[Found]:
        """What was still open."""
        yield from self._read(self._splitter.finish())
        event = self._reader.finish()
        if event is not None:
            if is_of_other_form(self._form, event):
                yield self._other(self._began)
            yield Line(self._place, self._began, b"\n".join(self._open), self._form, event)
        self._open = []

    def _read(self, pieces: list[Piece]) -> Iterator[Found]:
        for number, raw in pieces:
            if raw is None:
                too_long = TooLarge("detect.line_too_long", limit=self._limit)
                yield FileProblem(self._place, number, too_long, self._form)
            else:
                yield from self._of_line(number, raw.removeprefix(_BOM) if number == 1 else raw)

    def _of_line(self, number: int, raw: bytes) -> Iterator[Found]:
        if self._form in SPREAD:
            yield from self._of_record(number, raw)
            return
        event = self._reader.read(raw)
        if len(raw) > LONGEST:
            yield FileProblem(self._place, number, TooLarge("detect.line_cut", limit=LONGEST))
        if event is None and self._form in HEADED:
            self._note_header(raw)
        if event is not None and is_of_other_form(self._form, event):
            yield self._other(number)
        elif self._form in JOINED:
            if event is not None:
                yield Line(self._place, self._began, b"\n".join(self._open), self._form, event)
            if event is not None or not self._open:
                self._began, self._open = number, []
            self._open.append(raw[:LONGEST])
            return
        if event is not None:
            yield Line(self._place, number, raw, self._form, event)

    def _of_record(self, number: int, raw: bytes) -> Iterator[Found]:
        """A line of a record, which is complete with the last of its lines."""
        if not self._open:
            self._began = number
        elif number > self._last + 1:  # blank lines within quotes are part of the value
            raw = b"\n" * (min(number - self._last, _MOST_BLANKS) - 1) + raw
        self._last = number
        if len(raw) > LONGEST:
            yield FileProblem(self._place, number, TooLarge("detect.line_cut", limit=LONGEST))
        self._open.append(raw[:LONGEST])
        event = self._reader.read(raw)
        if self._reader.is_open:
            return
        whole, self._open = b"\n".join(self._open), []
        if event is None:
            self._note_header(whole)
            return
        if is_of_other_form(self._form, event):
            yield self._other(self._began)
        yield Line(self._place, self._began, whole, self._form, event)

    def _note_header(self, line: bytes) -> None:
        if self._form in SPREAD:
            # a record of names comes once; what stands before it, and blank lines, are no harm
            if line.strip() and len(self.header) < _MOST_PREAMBLE:
                self.header.append(line)
            return
        if line.startswith(_BEGINS_ANEW):
            self.header = []
        elif line.startswith(b"#Fields:"):
            self.header = [one for one in self.header if not one.startswith(b"#Fields:")]
        self.header = [*self.header, line[:LONGEST]][-_MOST_HEADER:]

    def _other(self, number: int) -> FileProblem:
        other = InvalidInput("detect.line_other_form", form=self._form)
        return FileProblem(self._place, number, other, self._form)
