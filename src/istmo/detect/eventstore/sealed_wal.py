"""A sealed write-ahead file: records of whole lines, each of which can be found and opened alone.

A record is its head, then a sealed block of lines. The head (36 bytes, little-endian): ``MARK``, the key's
id (8), the number of its first line, how many lines, the bytes of the block, the block's CRC-32 and the
head's own (4 each). Checksums tell what a crash tore from what is whole, without any key; the key tells
whether it is what was written. Where a head is damaged the next record is found by its mark.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from zlib import crc32

import structlog

from istmo.detect.eventstore.sealing import Keys, SealedAway, Sealer

log = structlog.get_logger(__name__)

MARK: Final = b"\x00ISTMOW\x01"
"""Holds control characters, which no plain line does."""
RECORD_BYTES: Final = 128 << 10
"""Of lines in one record, but for a line that is longer itself: damage costs a record."""
DAMAGED: Final = b"\x00\n"
"""In place of each line that cannot be opened: lines keep their numbers, and whoever reads it tells."""
_FIRST = struct.Struct("<8s8sIIII")
_CHECK = struct.Struct("<I")
HEAD_BYTES: Final = _FIRST.size + _CHECK.size
_SHORTEST_LINE: Final = 16
_CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class Record:
    """Where a record is, and what its head says."""

    offset: int
    key: bytes
    first: int
    lines: int
    size: int
    """Bytes of the sealed block."""
    checksum: int

    @property
    def start(self) -> int:
        """Where the sealed block begins."""
        return self.offset + HEAD_BYTES

    @property
    def end(self) -> int:
        return self.start + self.size

    @property
    def next_line(self) -> int:
        return self.first + self.lines


def seal_lines(sealer: Sealer, block: bytes, first: int) -> Iterator[bytes]:
    """Whole lines as records, the first of them line number ``first`` of the file."""
    start = 0
    while start < len(block):
        end = len(block)
        if end - start > RECORD_BYTES:
            end = block.rfind(b"\n", start, start + RECORD_BYTES) + 1
            end = end or block.find(b"\n", start) + 1 or len(block)
        lines = block.count(b"\n", start, end)
        sealed = sealer.seal(block[start:end], _place(first, lines))
        head = _FIRST.pack(MARK, sealer.key_id, first, lines, len(sealed), crc32(sealed))
        yield head + _CHECK.pack(crc32(head)) + sealed
        start, first = end, first + lines


def _place(first: int, lines: int) -> bytes:
    return b"lines %d %d" % (first, lines)


def is_sealed(descriptor: int) -> bool:
    """Whether a write-ahead file is sealed, also where its beginning is damaged. An empty one is not."""
    head = os.pread(descriptor, len(MARK), 0)
    if head.startswith(b"{") or not head:
        return False
    return head == MARK or next(records(descriptor), None) is not None


def records(descriptor: int, start: int = 0, line: int = 0, upto: int | None = None) -> Iterator[Record]:
    """Records from byte ``start`` on that end by ``upto`` (the end of the file) and say that they follow.

    Whether their blocks are whole has not been looked at. What is no record is passed over.
    """
    end = os.fstat(descriptor).st_size if upto is None else upto
    while start < end:
        record = _at(descriptor, start, end, line)
        if record is None:
            found = _next_mark(descriptor, start + 1, end)
            if found is None:
                return
            start = found
            continue
        yield record
        start, line = record.end, record.next_line


def _at(descriptor: int, offset: int, end: int, line: int) -> Record | None:
    raw = os.pread(descriptor, HEAD_BYTES, offset)
    if len(raw) < HEAD_BYTES or not raw.startswith(MARK):
        return None
    if _CHECK.unpack_from(raw, _FIRST.size)[0] != crc32(raw[: _FIRST.size]):
        return None
    _, key, first, lines, size, checksum = _FIRST.unpack_from(raw)
    record = Record(offset, key, first, lines, size, checksum)
    # Lost lines took bytes: a number out of the blue is none.
    is_likely = 0 <= first - line <= offset // _SHORTEST_LINE + 1 and 0 < lines <= size // _SHORTEST_LINE + 1
    return record if record.end <= end and is_likely else None


def _next_mark(descriptor: int, start: int, end: int) -> int | None:
    while start < end:
        chunk = os.pread(descriptor, min(_CHUNK, end - start), start)
        found = chunk.find(MARK)
        if found >= 0:
            return start + found
        if len(chunk) < len(MARK):
            return None
        start += len(chunk) - len(MARK) + 1
    return None


@dataclass(frozen=True)
class Survey:
    """What the heads of a file say, up to its last record that is as it was written. No key is asked for."""

    end: int
    """Where that record ends."""
    lines: int
    """Damaged ones keep their numbers."""
    keys: frozenset[bytes]
    """The ids of the keys that records are sealed with."""


def survey(descriptor: int) -> Survey:
    """Look at every head, and from the end on for a record that is whole by its checksum."""
    found = list(records(descriptor))
    while found:
        last = found[-1]
        if crc32(os.pread(descriptor, last.size, last.start)) == last.checksum:
            return Survey(last.end, last.next_line, frozenset(one.key for one in found))
        found.pop()
    return Survey(0, 0, frozenset())


class SealedLines:
    """Reads a sealed file forward from the line it stands before. For one thread."""

    def __init__(self, descriptor: int, keys: Keys, name: str, line: int) -> None:
        self._descriptor, self._keys, self._name = descriptor, keys, name
        self._openers: dict[bytes, Sealer] = {}
        self._offset = 0
        self._reached = 0
        """The number of the line at ``_offset``."""
        self.line = line

    def read(self, upto: int | None, size: int) -> list[bytes]:
        """The next lines, about ``size`` bytes of them, of records that end by ``upto``.

        Raises SealedAway where the next record's key is not there.
        """
        lines: list[bytes] = []
        taken = 0
        for record in records(self._descriptor, self._offset, self._reached, upto):
            if record.next_line > self.line:
                try:
                    found = [DAMAGED] * (record.first - self._reached) + self._open(record)
                except SealedAway:
                    if lines:
                        break  # what comes before it first
                    raise
                wanted = found[self.line - self._reached :] if self.line > self._reached else found
                lines += wanted
                self.line += len(wanted)
                taken += record.size
            self._offset, self._reached = record.end, record.next_line
            if taken >= size:
                break
        return lines

    def _open(self, record: Record) -> list[bytes]:
        opener = self._openers.get(record.key)
        if opener is None:
            opener = self._openers[record.key] = self._keys.opener(self._name, record.key)
        sealed = os.pread(self._descriptor, record.size, record.start)
        try:
            block = opener.open(sealed, _place(record.first, record.lines))
        except ValueError as error:
            log.error("event_record_unreadable", line=record.first, lines=record.lines, problem=str(error))
            return [DAMAGED] * record.lines
        return [line + b"\n" for line in block[:-1].split(b"\n")]
