"""The lines of a closed segment: zstd frames that can be read alone, and an index behind them.

The index rests in a skippable frame (RFC 8878, 3.1.2), so ``zstd -d`` reads the whole file as it is.
Its content is msgpack, then its CRC-32 and its length (4 bytes each, little-endian) and ``ISTMOSEG``.
Each frame carries zstd's own checksum; the index tells the size and digest of the columns beside it.

A sealed file ends in ``ISTMOSLD``, and before that the id of its key, behind CRC-32 and length: each of its
frames is sealed as it stands, and so is the content of the index, in no skippable frame.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final
from zlib import crc32

import msgspec
import zstandard

from istmo.detect.eventstore.lines import place_of
from istmo.detect.eventstore.sealing import NO_KEYS, PLAIN, Keys, Sealer
from istmo.detect.wire import Position

FRAME_BYTES: Final = 512 << 10
_SKIPPABLE: Final = 0x184D2A50
_MAGIC: Final = b"ISTMOSEG"
_SEALED_MAGIC: Final = b"ISTMOSLD"
_TAIL = struct.Struct("<II8s")
_SEALED_TAIL = struct.Struct("<II8s8s")
_HEAD = struct.Struct("<II")


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """One frame: where it starts, bytes packed and unpacked, its first line and how many.

    ``line`` counts the lines of the file; ``start`` is the first one's place in the log.
    """

    offset: int
    packed: int
    size: int
    line: int
    lines: int
    start: Position


class Part(msgspec.Struct, frozen=True, array_like=True):
    """What one source has in a file: lines, their bytes, and when the first and the last came in (µs)."""

    lines: int
    bytes: int
    first: int
    last: int


class Index(msgspec.Struct, frozen=True):
    """What is known of a closed segment without reading it.

    ``columns`` are the fields that have a Parquet column (``columns.column_name``);
    ``others`` the fields that have none; ``lists`` those that held several values somewhere.
    ``odd`` counts lines of which no columns could be made. Times are event times in µs. ``sources``
    by the sources' ids; a line that cannot be read belongs to none of them.
    """

    frames: list[Frame]
    lines: int
    first: int
    last: int
    columns: list[str]
    others: list[str]
    lists: list[str]
    odd: int
    sources: dict[str, Part]
    columns_bytes: int
    columns_digest: bytes
    """BLAKE2b of the Parquet file, 16 bytes."""


class FrameWriter:
    """Gathers lines into frames; ``finish`` writes the index."""

    def __init__(self, file: BinaryIO, sealer: Sealer | None = None) -> None:
        self._file = file
        self._sealer = sealer
        self._pack = zstandard.ZstdCompressor(level=3, write_checksum=True)
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._offset = 0
        self._start = Position()
        self.frames: list[Frame] = []
        self.lines = 0

    def add(self, line: bytes, place: Position) -> None:
        """Take one line with its newline, which stands at ``place`` of the log."""
        if not self._held:
            self._start = place
        self._held.append(line)
        self._held_bytes += len(line)
        self.lines += 1
        if self._held_bytes >= FRAME_BYTES:
            self._flush()

    def _flush(self) -> None:
        packed = self._pack.compress(b"".join(self._held))
        if self._sealer is not None:
            packed = self._sealer.seal(packed, _place(len(self.frames)))
        self._file.write(packed)
        count = len(self._held)
        first = self.lines - count
        self.frames.append(Frame(self._offset, len(packed), self._held_bytes, first, count, self._start))
        self._offset += len(packed)
        self._held, self._held_bytes = [], 0

    def flush(self) -> None:
        """End the last frame."""
        if self._held:
            self._flush()

    def finish(self, index: Index) -> None:
        """Write the index behind the frames."""
        body = msgspec.msgpack.encode(index)
        if self._sealer is not None:
            body = self._sealer.seal(body, _INDEX)
            key = self._sealer.key_id
            self._file.write(body + _SEALED_TAIL.pack(crc32(body + key), len(body), key, _SEALED_MAGIC))
            return
        self._file.write(_HEAD.pack(_SKIPPABLE, len(body) + _TAIL.size))
        self._file.write(body + _TAIL.pack(crc32(body), len(body), _MAGIC))


class FrameReader:
    """Reads a closed segment's lines. Raises ValueError where the file is not whole.

    One kind of it is SealedAway: the file may be whole, and its key is not there.
    """

    def __init__(self, path: Path, keys: Keys = NO_KEYS) -> None:
        self.path = path
        self._file = path.open("rb")
        try:
            self.index, self._sealer = _read_index(self._file, keys, path.name)
        except BaseException:
            self._file.close()
            raise
        self._unpack = zstandard.ZstdDecompressor()

    @property
    def key_id(self) -> bytes:
        """The id of the key that it is sealed with; ``PLAIN`` where it is not."""
        return PLAIN if self._sealer is None else self._sealer.key_id

    def block(self, number: int) -> bytes:
        """One frame's lines, unpacked."""
        frame = self.index.frames[number]
        self._file.seek(frame.offset)
        packed = self._file.read(frame.packed)
        if self._sealer is not None:
            packed = self._sealer.open(packed, _place(number))
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

    def placed(self, number: int) -> list[tuple[Position, bytes]]:
        """One frame's lines, each with its place in the log; a damaged one is behind the one before."""
        place = self.index.frames[number].start
        found: list[tuple[Position, bytes]] = []
        for line in self.lines(number):
            place = place_of(line) or place
            found.append((place, line))
            place = Position(place.segment, place.line + 1)
        return found

    def frame_at(self, place: Position) -> int:
        """The number of the frame in which a place of the log is, if it is in this file."""
        return max(0, bisect_right(self.index.frames, place, key=lambda frame: frame.start) - 1)

    def __iter__(self) -> Iterator[list[bytes]]:
        return (self.lines(number) for number in range(len(self.index.frames)))

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_INDEX: Final = b"index"


def _place(number: int) -> bytes:
    return b"frame %d" % number


def _read_index(file: BinaryIO, keys: Keys, name: str) -> tuple[Index, Sealer | None]:
    file.seek(0, 2)
    size = file.tell()
    if size < _TAIL.size + _HEAD.size:
        raise ValueError("too short for a segment")
    file.seek(max(0, size - _SEALED_TAIL.size))
    tail = file.read(_SEALED_TAIL.size)
    if tail.endswith(_SEALED_MAGIC):
        return _read_sealed(file, tail, size, keys, name)
    checksum, length, magic = _TAIL.unpack(tail[-_TAIL.size :])
    if magic != _MAGIC or length + _TAIL.size + _HEAD.size > size:
        raise ValueError("no index at the end of the segment")
    start = size - _TAIL.size - length
    file.seek(start - _HEAD.size)
    head = _HEAD.unpack(file.read(_HEAD.size))
    body = file.read(length)
    if head != (_SKIPPABLE, length + _TAIL.size) or crc32(body) != checksum:
        raise ValueError("the index is damaged")
    return _decode(body, start - _HEAD.size), None


def _read_sealed(file: BinaryIO, tail: bytes, size: int, keys: Keys, name: str) -> tuple[Index, Sealer]:
    checksum, length, key, _ = _SEALED_TAIL.unpack(tail)
    start = size - _SEALED_TAIL.size - length
    if start < 0:
        raise ValueError("no index at the end of the segment")
    file.seek(start)
    body = file.read(length)
    if crc32(body + key) != checksum:
        raise ValueError("the index is damaged")
    sealer = keys.opener(name, key)
    return _decode(sealer.open(body, _INDEX), start), sealer


def _decode(body: bytes, end: int) -> Index:
    """``end``: where the frames end."""
    try:
        index = msgspec.msgpack.decode(body, type=Index)
    except msgspec.MsgspecError as error:
        raise ValueError(f"the index cannot be read: {error}") from None
    _check(index, end)
    return index


def _check(index: Index, end: int) -> None:
    """Whether the frames follow one another up to ``end``, where the index begins."""
    offset = line = 0
    place = Position()
    for frame in index.frames:
        if frame.start < place:
            raise ValueError("the index does not follow the log")
        place = frame.start
        if frame.offset != offset or frame.line != line or min(frame.packed, frame.size, frame.lines) < 1:
            raise ValueError("the index does not fit the frames")
        offset += frame.packed
        line += frame.lines
    if (offset, line) != (end, index.lines):
        raise ValueError("the index does not fit the frames")
