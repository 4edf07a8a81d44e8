"""Where a message ends in a stream (RFC 6587): counted octets, newlines, or NULs.

One way a connection, told by how it begins. Messages come without what marks their end; None stands for one
past the limit, whose octets were thrown away as they came.
"""

from __future__ import annotations

import re
from typing import Final

import orjson

Message = bytes | None

_COUNT: Final = re.compile(rb"([1-9]\d{0,6}) ")
_COUNTED: Final = re.compile(rb"[1-9]\d{0,6} <")
_COUNT_BEGUN: Final = re.compile(rb"(?:[1-9]\d{0,6} ?)?")
_LONGEST_COUNT: Final = 8
_ENDS: Final = b"\r\n\0"
_LINE: Final = b"\n"
_NUL: Final = b"\0"


class Framing:
    """Cuts one connection's octets into messages."""

    def __init__(self, limit: int, *, is_counted: bool = True) -> None:
        """``is_counted``: whether messages may have their number of octets before them (syslog's may)."""
        self._limit = limit
        self._may_count = is_counted
        self._cut = self._begin
        self._end = _LINE
        self._held = b""
        self._skip = 0
        """Octets to come that belong to a message past the limit."""
        self._is_skipping = False
        self.is_lost = False
        """Where the next message begins cannot be told any more: the connection is of no use."""

    @property
    def size(self) -> int:
        """Octets held of a message that has not ended."""
        return len(self._held)

    def feed(self, data: bytes) -> list[Message]:
        """The messages that end in ``data``."""
        found: list[Message] = []
        if self.is_lost:
            return found
        if self._skip:
            gone = min(self._skip, len(data))
            self._skip -= gone
            data = data[gone:]
        self._held = self._cut(self._held + data, found)
        return found

    def finish(self) -> list[Message]:
        """What the connection held when it ended: a last line without its end, or part of a message."""
        rest, self._held = self._held.strip(_ENDS), b""
        return [rest] if rest and not self._is_skipping else []

    def _begin(self, data: bytes, found: list[Message]) -> bytes:
        data = data.lstrip(_ENDS)
        if self._may_count and _COUNTED.match(data):
            self._cut = self._counted
            return self._counted(data, found)
        if self._may_count and _COUNT_BEGUN.fullmatch(data):
            return data
        self._end = self._first_end(data)
        if not self._end:
            if len(data) <= self._limit:
                return data
            self._end = _LINE
        self._cut = self._ended
        return self._ended(data, found)

    def _first_end(self, data: bytes) -> bytes:
        line, nul = data.find(_LINE), data.find(_NUL)
        # GELF's own end is a NUL: a newline is one only after a whole object, not inside one laid out.
        if line >= 0 and (nul < 0 or line < nul) and (self._may_count or _is_json(data[:line])):
            return _LINE
        return _NUL if nul >= 0 else b""

    def _counted(self, data: bytes, found: list[Message]) -> bytes:
        at, length = 0, len(data)
        while True:
            while at < length and data[at] in _ENDS:  # some senders end a counted message as well
                at += 1
            head = _COUNT.match(data, at)
            if head is None:
                rest = data[at:]
                if len(rest) < _LONGEST_COUNT and _COUNT_BEGUN.fullmatch(rest):
                    return rest
                self.is_lost = True
                found.append(rest.strip(_ENDS)[: self._limit])
                return b""
            begin, count = head.end(), int(head[1])
            if count > self._limit:
                found.append(None)
                self._skip = max(0, count - (length - begin))
                at = min(length, begin + count)
                continue
            if begin + count > length:
                return data[at:]
            at = begin + count
            if message := data[begin:at].rstrip(_ENDS):
                found.append(message)

    def _ended(self, data: bytes, found: list[Message]) -> bytes:
        *whole, rest = data.split(self._end)
        if self._is_skipping and whole:
            self._is_skipping = False
            whole = whole[1:]
        for one in whole:
            if len(one) > self._limit:
                found.append(None)
            elif message := one.strip(_ENDS):
                found.append(message)
        if self._is_skipping:
            return b""
        if len(rest) > self._limit:
            found.append(None)
            self._is_skipping = True
            return b""
        return rest


def _is_json(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True
