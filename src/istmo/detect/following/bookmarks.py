"""How far each file has been read, in one file that survives."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from istmo.errors import InvalidInput

VERSION: Final = 1
_LONGEST: Final = 64 << 20


class Bookmark(msgspec.Struct, frozen=True, kw_only=True):
    """How far one file has been read, and what the node has acknowledged of it.

    ``id`` names one life of one file: what is written after a truncation has another. It is on disk
    before anything is sent, since the names under which events are sent are made of it and the offset.
    """

    id: str
    place: str
    device: int
    inode: int
    offset: int = 0
    """Bytes of its (unpacked) content; of an archive or a Windows event log, events."""
    lines: int = 0
    head: str = ""
    head_size: int = 0
    """What the file begins with, as a digest of so many bytes:"""
    tail: str = ""
    tail_size: int = 0
    """and what stands before the offset."""
    form: str = ""
    encoding: str = ""
    header: list[bytes] = []
    """Lines that said what the ones after the offset mean."""
    is_skipping: bool = False
    """In the middle of a line past the limit."""
    done_size: int = -1
    """Of a file that nobody appends to: its size when all of it had been read."""


class _Kept(msgspec.Struct):
    version: int
    files: list[Bookmark]


def new_bookmark(place: str, device: int, inode: int) -> Bookmark:
    """For a file of which nothing has been read."""
    return Bookmark(id=uuid.uuid4().hex, place=place, device=device, inode=inode)


class BookmarkFile:
    """The bookmarks of one follower; a second follower is refused as long as the first one runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = path.with_name(path.name + ".lock")
        self._held: int | None = None

    def load(self) -> list[Bookmark]:
        """All bookmarks. Raises InvalidInput where another follower has them, or they cannot be read."""
        try:
            self._held = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise InvalidInput("detect.follow_twice", file=str(self.path)) from None
        except OSError as error:
            raise self._unusable(error.strerror or type(error).__name__) from None
        try:
            with self.path.open("rb") as file:
                kept = msgspec.json.decode(file.read(_LONGEST), type=_Kept)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unusable(error.strerror or type(error).__name__) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._unusable(str(error)[:200]) from None
        if kept.version != VERSION:
            raise self._unusable(f"version {kept.version}")
        return kept.files

    def save(self, bookmarks: Iterable[Bookmark]) -> None:
        """Replace them all, at once or not at all. Raises InvalidInput where the disk does not take them."""
        new = self.path.with_name(self.path.name + ".new")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(_Kept(VERSION, list(bookmarks))))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
        except OSError as error:
            raise self._unusable(error.strerror or type(error).__name__) from None

    def close(self) -> None:
        """Let another follower have them."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def _unusable(self, detail: str) -> InvalidInput:
        return InvalidInput("detect.bookmarks_unusable", file=str(self.path), detail=detail)
