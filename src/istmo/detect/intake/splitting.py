"""Cutting a stream of bytes into events, in memory that does not depend on what is sent.

Two shapes: newline JSON, and one JSON array. Pieces are (number from 1, bytes), or (number, None)
for one past the limit, whose bytes were thrown away as they came.
"""

from __future__ import annotations

import re
from typing import Final

Piece = tuple[int, bytes | None]

_SPACE: Final = b" \t\r\n"
_BETWEEN = re.compile(rb'["{}\[\],]')
_WITHIN = re.compile(rb'"|[\[{]+|[\]}]+')
"""Inside an element, where only strings and brackets count, and these in runs."""
_STRING = re.compile(rb'"|(?:\\.)+|\\', re.DOTALL)


class LineSplitter:
    """Lines of a stream. Blank ones are counted, not given."""

    def __init__(self, limit: int, first: int = 1, around: bytes = _SPACE) -> None:
        """``around``: what is taken off both ends of a line."""
        self._limit = limit
        self._around = around
        self._number = first
        self._held = bytearray()
        self._is_skipping = False

    def feed(self, data: bytes) -> list[Piece]:
        """The lines that end in ``data``."""
        pieces: list[Piece] = []
        *whole, rest = data.split(b"\n")
        if whole:
            self._hold(whole[0])
            self._end(pieces)
            for line in whole[1:]:
                if len(line) > self._limit:
                    pieces.append((self._number, None))
                elif line := line.strip(self._around):
                    pieces.append((self._number, line))
                self._number += 1
        self._hold(rest)
        return pieces

    def finish(self) -> list[Piece]:
        """The last line, where no newline follows it."""
        pieces: list[Piece] = []
        self._end(pieces)
        return pieces

    def _hold(self, data: bytes) -> None:
        if self._is_skipping:
            return
        self._held += data
        if len(self._held) > self._limit:
            self._is_skipping = True
            self._held = bytearray()

    def _end(self, pieces: list[Piece]) -> None:
        if self._is_skipping:
            pieces.append((self._number, None))
        elif line := bytes(self._held).strip(self._around):
            pieces.append((self._number, line))
        self._number += 1
        self._held = bytearray()
        self._is_skipping = False


class ArraySplitter:
    """Elements of one JSON array; what follows the array is taken as lines again.

    ``cut_at``, once it is finished: the number of the element at which an array broke off.
    ``dropped``: bytes of elements past the limit, which are looked through all the same for their end.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.dropped = 0
        self._number = 1
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._held = bytearray()
        self._is_skipping = False
        self._after: LineSplitter | None = None
        self.cut_at: int | None = None

    def feed(self, data: bytes) -> list[Piece]:
        """The elements that end in ``data``."""
        if self._after is not None:
            return self._after.feed(data)
        pieces: list[Piece] = []
        start = at = 0
        if self._escaped and data:
            self._escaped, at = False, 1
        while found := self._pattern.search(data, at):
            at = found.end()
            token = found[0]
            if token[:1] == b"\\":
                self._escaped = token == b"\\"  # the last byte there is: what it stands before comes next
            elif token == b'"':
                self._in_string = not self._in_string
            elif token[:1] in b"[{":
                self._depth += len(token)
                if self._depth == 1:
                    start = at
            elif self._depth > 1:
                closed = min(len(token), self._depth - 1)
                self._depth -= closed
                at = found.start() + closed
            elif self._depth == 1:  # a comma between elements, or the end
                self._hold(data[start : found.start()])
                self._end(pieces)
                start = at
                if token != b",":
                    self._after = LineSplitter(self._limit, self._number)
                    return pieces + self._after.feed(data[at:])
        self._hold(data[start:])
        return pieces

    @property
    def _pattern(self) -> re.Pattern[bytes]:
        if self._in_string:
            return _STRING
        return _WITHIN if self._depth > 1 else _BETWEEN

    def finish(self) -> list[Piece]:
        """What stands after the last comma of an array that never ended, or after the array.

        Half an element is not given: that the array broke off there says more than that it is no JSON.
        """
        if self._after is not None:
            return self._after.finish()
        pieces: list[Piece] = []
        if self._is_skipping or (self._depth == 1 and not self._in_string):
            self._end(pieces)
        self.cut_at = self._number
        return pieces

    def _hold(self, data: bytes) -> None:
        if self._is_skipping:
            self.dropped += len(data)
            return
        self._held += data
        if len(self._held) > self._limit:
            self.dropped += len(self._held)
            self._is_skipping = True
            self._held = bytearray()

    def _end(self, pieces: list[Piece]) -> None:
        if self._is_skipping:
            pieces.append((self._number, None))
            self._number += 1
        elif element := bytes(self._held).strip(_SPACE):
            pieces.append((self._number, element))
            self._number += 1
        self._held = bytearray()
        self._is_skipping = False


class Splitter:
    """Chooses by the first byte that is no space: ``[`` begins an array, all else is lines."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._blank = 0
        self._chosen: LineSplitter | ArraySplitter | None = None

    def feed(self, data: bytes) -> list[Piece]:
        """The events that end in ``data``."""
        if self._chosen is None:
            begin = data.lstrip(_SPACE)
            self._blank += data[: len(data) - len(begin)].count(b"\n")
            if not begin:
                return []
            is_array = begin.startswith(b"[")
            self._chosen = (
                ArraySplitter(self._limit) if is_array else LineSplitter(self._limit, self._blank + 1)
            )
            data = begin
        return self._chosen.feed(data)

    @property
    def cut_at(self) -> int | None:
        """Once it is finished: where an array broke off without its end. None for all that is whole."""
        return self._chosen.cut_at if isinstance(self._chosen, ArraySplitter) else None

    @property
    def dropped(self) -> int:
        """Bytes that were looked through bracket by bracket and thrown away: what costs and gives nothing."""
        return self._chosen.dropped if isinstance(self._chosen, ArraySplitter) else 0

    def finish(self) -> list[Piece]:
        """The last event."""
        return self._chosen.finish() if self._chosen else []
