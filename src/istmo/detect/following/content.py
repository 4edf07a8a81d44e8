"""What a file holds, from an offset: as it stands there, or unpacked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import msgspec

from istmo.detect.following.bookmarks import Bookmark
from istmo.detect.reading import inflated, name_of
from istmo.settings import Limits

PRINT: Final = 256
"""Bytes at the beginning, and before the offset, by which a file is known again."""
_PACKED: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
_CHUNK: Final = 256 << 10


class Content(Protocol):
    """Bytes of a file that was opened once, whatever becomes of its name."""

    is_packed: bool

    def size(self) -> int:
        """Bytes of the file as it stands there."""
        ...

    def read(self, offset: int, size: int) -> bytes:
        """Up to so many bytes. Of a packed file, ``offset`` may be what was read last, or behind it.

        Raises OSError, and IstmoError for what cannot be unpacked.
        """
        ...

    def around(self, offset: int) -> tuple[bytes, bytes]:
        """The first bytes, and those before an offset up to which all has been read."""
        ...

    def close(self) -> None: ...


class PlainContent:
    """A file as it is."""

    is_packed = False

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self._descriptor, size, offset)

    def around(self, offset: int) -> tuple[bytes, bytes]:
        length = min(offset, PRINT)
        return self.read(0, length), self.read(offset - length, length)

    def close(self) -> None:
        os.close(self._descriptor)


class PackedContent:
    """What gzip or Zstandard packed."""

    is_packed = True

    def __init__(self, descriptor: int, place: str, limits: Limits) -> None:
        self._descriptor, self._place, self._limits = descriptor, place, limits
        self._begin()

    def _begin(self) -> None:
        self._pieces = inflated(self._chunks(), self._limits, self._place)
        self._held, self._start = bytearray(), 0
        self._head = b""

    def _chunks(self) -> Iterator[bytes]:
        at = 0
        while chunk := os.pread(self._descriptor, _CHUNK, at):
            at += len(chunk)
            yield chunk

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def read(self, offset: int, size: int) -> bytes:
        if offset < self._start:
            self._begin()
        while self._start + len(self._held) < offset + size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            if len(self._head) < PRINT:
                self._head = (self._head + piece[:PRINT])[:PRINT]
            self._held += piece
            if (
                passed := offset - PRINT - self._start
            ) > 0:  # what stands before the offset is asked for later
                passed = min(passed, len(self._held))
                del self._held[:passed]
                self._start += passed
        at = offset - self._start
        return bytes(self._held[at : at + size]) if at >= 0 else b""

    def around(self, offset: int) -> tuple[bytes, bytes]:
        length = min(offset, PRINT)
        tail = self.read(offset - length, length)
        return self._head[:length], tail

    def close(self) -> None:
        os.close(self._descriptor)


def open_content(path: Path, limits: Limits) -> tuple[Content, os.stat_result]:
    """A file, and what it is. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        is_packed = os.pread(descriptor, 4, 0).startswith(_PACKED)
        stat = os.fstat(descriptor)
    except OSError:
        os.close(descriptor)
        raise
    if is_packed:
        return PackedContent(descriptor, name_of(path), limits), stat
    return PlainContent(descriptor), stat


def printed(before: Bookmark, after: Bookmark, data: bytes, content: Content) -> Bookmark:
    """The bookmark after ``data``, with what the file is then known by.

    It is taken from what was read wherever that is enough: the file may have changed since.
    """
    read = data[: after.offset - before.offset]
    head, tail = (read[:PRINT], read[-PRINT:]) if before.offset == 0 else content.around(after.offset)
    if len(read) >= PRINT:
        tail = read[-PRINT:]
    if before.head_size == PRINT:
        return msgspec.structs.replace(after, tail=digest(tail), tail_size=len(tail))
    return msgspec.structs.replace(
        after, head=digest(head), head_size=len(head), tail=digest(tail), tail_size=len(tail)
    )


def is_known(bookmark: Bookmark, content: Content) -> bool:
    """Whether the file still holds what was read of it. Raises as ``read`` does."""
    if not content.is_packed and content.size() < bookmark.offset:
        return False
    head, tail = content.around(bookmark.offset)
    return (digest(head[: bookmark.head_size]), digest(tail)) == (bookmark.head, bookmark.tail) and (
        len(head) >= bookmark.head_size
    )


def digest(data: bytes) -> str:
    """A name for bytes; empty for none."""
    return hashlib.blake2b(data, digest_size=16).hexdigest() if data else ""
