"""The next events of a file, and the bookmark that will be true once they are acknowledged.

Each batch is read from its bookmark alone: what comes after a crash is what would have come without one.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from istmo.detect.following.bookmarks import Bookmark
from istmo.detect.reading import JSON, FileProblem, Found, Line, LogEvents, form_of, is_text
from istmo.errors import InvalidInput, TooLarge
from istmo.settings import Limits

READ: Final = 1 << 20
"""Bytes of a file that are read at once."""
MOST_LINES: Final = 2000
_SURE: Final = 4096
"""Bytes by which a format is told; with fewer it is worth waiting for more."""
_BOMS: Final = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class State:
    """What is known of a file at this moment."""

    received: datetime
    form: str = ""
    """The format, where somebody said it."""
    is_quiet: bool = False
    """Nothing has come for a while: an event of several lines that could go on is complete."""
    is_whole: bool = False
    """Nothing will come any more: what has no line end is a line all the same."""


@dataclass(frozen=True)
class Batch:
    """Events and problems in order; ``after`` is the bookmark that follows them."""

    found: tuple[Found, ...]
    after: Bookmark


def read_size(limits: Limits) -> int:
    """Bytes of a file to read at once, in which a line of the longest kind has room."""
    return max(READ, limits.line_bytes + 2)


def next_batch(mark: Bookmark, data: bytes, state: State, limits: Limits) -> Batch:
    """What ``data``, read at the bookmark's offset, brings; nothing where it holds no whole event yet.

    Raises InvalidInput for what is no log.
    """
    place = mark.place
    if mark.offset == 0:
        mark = _with_encoding(mark, data)
    begin = len(codecs.BOM_UTF16_LE) if mark.offset == 0 and mark.encoding else 0
    lines, end = _cut(data, begin, mark.encoding)
    is_full = len(data) >= read_size(limits) or len(lines) >= MOST_LINES
    if state.is_whole and not is_full and end < len(data):
        lines.append((_text(data[end:], mark.encoding), len(data)))
    if not lines:
        return _unended(mark, data, limits)
    found: list[Found] = []
    number = mark.lines + 1
    if mark.is_skipping:
        mark = msgspec.structs.replace(
            mark, is_skipping=False, offset=mark.offset + lines[0][1], lines=number
        )
        shift = lines[0][1]
        lines = [(line, stop - shift) for line, stop in lines[1:]]
        number += 1
        if not lines:
            return Batch((), mark)
    form = state.form or mark.form
    if not form:
        head = b"\n".join(line for line, _ in lines[:200])
        if mark.offset == 0 and not mark.encoding and not is_text(data):
            raise InvalidInput("detect.member_stray", member=place)
        form = form_of(head)
        is_little = len(data) < _SURE and mark.offset == 0
        if is_little and form in ("", JSON) and not head.strip():
            form = ""
        if is_little and not form and not (state.is_quiet or state.is_whole):
            return Batch((), mark)
        mark = msgspec.structs.replace(mark, form=form)
        form = form or "text"  # the next lines may tell more
    if form == JSON:
        for line, _ in lines:
            found += _of_json(line, place, number, limits)
            number += 1
        return Batch(tuple(found), _moved(mark, lines[-1][1], number - 1))
    events = LogEvents(place, form, state.received, limits.line_bytes, mark.header, number)
    for line, _ in lines:
        found += events.feed(line + b"\n")
    last = number + len(lines) - 1
    if events.open_from and (state.is_quiet or state.is_whole or (is_full and events.open_from == number)):
        found += events.finish()
    if events.open_from:
        last = events.open_from - 1
    if last < number:
        return Batch((), mark)
    moved = _moved(mark, lines[last - number][1], last)
    return Batch(tuple(found), msgspec.structs.replace(moved, header=events.header))


def _with_encoding(mark: Bookmark, data: bytes) -> Bookmark:
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return msgspec.structs.replace(mark, encoding=encoding)
    return mark


def _moved(mark: Bookmark, by: int, lines: int) -> Bookmark:
    return msgspec.structs.replace(mark, offset=mark.offset + by, lines=lines)


def _cut(data: bytes, begin: int, encoding: str) -> tuple[list[tuple[bytes, int]], int]:
    """Whole lines without their ends, in UTF-8, each with where it ends; and where the last one ends."""
    newline = "\n".encode(encoding) if encoding else b"\n"
    lines: list[tuple[bytes, int]] = []
    at = begin
    search = begin
    while len(lines) < MOST_LINES:
        stop = data.find(newline, search)
        if stop < 0:
            break
        search = stop + 1
        if encoding and stop % 2:  # half of one character and half of the next
            continue
        search = stop + len(newline)
        lines.append((_text(data[at:stop], encoding), search))
        at = search
    return lines, at


def _text(data: bytes, encoding: str) -> bytes:
    return data.decode(encoding, "replace").encode("utf-8", "replace") if encoding else data


def _unended(mark: Bookmark, data: bytes, limits: Limits) -> Batch:
    """No line end in all that was read: a line past the limit is passed over, however long it gets."""
    passed = mark.offset + (len(data) // 2 * 2 if mark.encoding else len(data))
    if mark.is_skipping:
        return Batch((), msgspec.structs.replace(mark, offset=passed))
    if len(data) <= limits.line_bytes:
        return Batch((), mark)
    error = TooLarge("detect.line_too_long", limit=limits.line_bytes)
    problem = FileProblem(mark.place, mark.lines + 1, error, mark.form)
    return Batch((problem,), msgspec.structs.replace(mark, offset=passed, is_skipping=True))


def _of_json(line: bytes, place: str, number: int, limits: Limits) -> list[Found]:
    if number == 1:
        line = line.removeprefix(_BOM)
    if len(line) > limits.line_bytes:
        return [FileProblem(place, number, TooLarge("detect.line_too_long", limit=limits.line_bytes), JSON)]
    return [Line(place, number, stripped)] if (stripped := line.strip()) else []
