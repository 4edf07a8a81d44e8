"""The lines of a closed segment: zstd frames that can be read alone, and an index behind them.

The index rests in a skippable frame (RFC 8878, 3.1.2), so ``zstd -d`` reads the whole file as it is.
Its content is msgpack, then its length (4 bytes, little-endian) and ``ISTMOSEG``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import zstandard

FRAME_BYTES: Final = 512 << 10
_SKIPPABLE: Final = 0x184D2A50
_MAGIC: Final = b"ISTMOSEG"
_TAIL = struct.Struct("<I8s")
_HEAD = struct.Struct("<II")


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """One frame: where it starts, bytes packed and unpacked, its first line and how many."""

    offset: int
    packed: int
    size: int
    line: int
    lines: int


class Index(msgspec.Struct, frozen=True):
    """What is known of a closed segment without reading it.

    ``columns`` are the fields that have a Parquet column (``c0``, ``c1`` … in this order);
    ``others`` the fields that have none; ``lists`` those that held several values somewhere.
    ``odd`` counts lines of which no columns could be made. Times are event times in µs.
    """

    frames: list[Frame]
    lines: int
    first: int
    last: int
    columns: list[str]
    others: list[str]
    lists: list[str]
    odd: int


class FrameWriter:
    """Gathers lines into frames; ``finish`` writes the index."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._pack = zstandard.ZstdCompressor(level=3, write_checksum=True)
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._offset = 0
        self.frames: list[Frame] = []
        self.lines = 0

    def add(self, line: bytes) -> None:
        """Take one line with its newline."""
        self._held.append(line)
        self._held_bytes += len(line)
        self.lines += 1
        if self._held_bytes >= FRAME_BYTES:
            self._flush()

    def _flush(self) -> None:
        packed = self._pack.compress(b"".join(self._held))
        self._file.write(packed)
        count = len(self._held)
        self.frames.append(Frame(self._offset, len(packed), self._held_bytes, self.lines - count, count))
        self._offset += len(packed)
        self._held, self._held_bytes = [], 0

    def flush(self) -> None:
        """End the last frame."""
        if self._held:
            self._flush()

    def finish(self, index: Index) -> None:
        """Write the index behind the frames."""
        body = msgspec.msgpack.encode(index)
        self._file.write(_HEAD.pack(_SKIPPABLE, len(body) + _TAIL.size))
        self._file.write(body + _TAIL.pack(len(body), _MAGIC))


class FrameReader:
    """Reads a closed segment's lines. Raises ValueError where the file is not whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")
        try:
            self.index = _read_index(self._file)
        except BaseException:
            self._file.close()
            raise
        self._unpack = zstandard.ZstdDecompressor()

    def block(self, number: int) -> bytes:
        """One frame's lines, unpacked."""
        frame = self.index.frames[number]
        self._file.seek(frame.offset)
        packed = self._file.read(frame.packed)
        try:
            block = bytes(self._unpack.decompress(packed, max_output_size=frame.size))
        except zstandard.ZstdError as error:
            raise ValueError(f"frame {number} of {self.path.name}: {error}") from None
        if len(block) != frame.size:
            raise ValueError(f"frame {number} of {self.path.name}: not the size that the index says")
        return block

    def lines(self, number: int) -> list[bytes]:
        """One frame's lines, each with its newline."""
        return [line + b"\n" for line in self.block(number)[:-1].split(b"\n")]

    def frame_of(self, line: int) -> int:
        """The number of the frame that holds ``line``; the number of frames when it is past the end."""
        low, high = 0, len(self.index.frames)
        while low < high:
            middle = (low + high) // 2
            frame = self.index.frames[middle]
            if frame.line + frame.lines <= line:
                low = middle + 1
            else:
                high = middle
        return low

    def __iter__(self) -> Iterator[list[bytes]]:
        return (self.lines(number) for number in range(len(self.index.frames)))

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _read_index(file: BinaryIO) -> Index:
    file.seek(0, 2)
    size = file.tell()
    if size < _TAIL.size + _HEAD.size:
        raise ValueError("too short for a segment")
    file.seek(size - _TAIL.size)
    length, magic = _TAIL.unpack(file.read(_TAIL.size))
    if magic != _MAGIC or length + _TAIL.size + _HEAD.size > size:
        raise ValueError("no index at the end of the segment")
    start = size - _TAIL.size - length
    file.seek(start)
    try:
        index = msgspec.msgpack.decode(file.read(length), type=Index)
    except msgspec.MsgspecError as error:
        raise ValueError(f"the index cannot be read: {error}") from None
    _check(index, start - _HEAD.size)
    return index


def _check(index: Index, end: int) -> None:
    """Whether the frames follow one another up to ``end``, where the index begins."""
    offset = line = 0
    for frame in index.frames:
        if frame.offset != offset or frame.line != line or min(frame.packed, frame.size, frame.lines) < 1:
            raise ValueError("the index does not fit the frames")
        offset += frame.packed
        line += frame.lines
    if (offset, line) != (end, index.lines):
        raise ValueError("the index does not fit the frames")
