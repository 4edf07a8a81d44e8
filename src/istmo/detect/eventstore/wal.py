"""The write-ahead file: appended, synced, and mended after a crash at any byte."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from istmo.detect.eventstore.disk import sync_folder
from istmo.detect.eventstore.lines import is_whole

_CHUNK = 1 << 18


@dataclass(frozen=True)
class Repair:
    """What a crash had left half done: bytes after the last whole line, now cut off."""

    path: Path
    offset: int
    cut: int


class WriteAhead:
    """One file open for appending. ``size`` and ``lines`` count what is durable."""

    def __init__(self, path: Path) -> None:
        self.path = path
        is_new = not path.exists()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.repaired = None if is_new else _repair(path, self._descriptor)
        self.size = os.fstat(self._descriptor).st_size
        self.lines = 0 if is_new else _count_lines(self._descriptor)
        os.lseek(self._descriptor, 0, os.SEEK_END)
        if is_new:
            sync_folder(path.parent)

    def append(self, block: bytes, lines: int) -> None:
        """Write whole lines and put them on disk. On OSError the file is as it was before."""
        try:
            view = memoryview(block)
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fdatasync(self._descriptor)
        except OSError:
            # After a failed sync the kernel may have dropped the pages: what is past the last good
            # sync must go, for it was never acknowledged.
            os.ftruncate(self._descriptor, self.size)
            os.lseek(self._descriptor, self.size, os.SEEK_SET)
            raise
        self.size += len(block)
        self.lines += lines

    def close(self) -> None:
        """Let go of the file (everything acknowledged is on disk already)."""
        os.close(self._descriptor)


def _repair(path: Path, descriptor: int) -> Repair | None:
    """Cut what follows the last whole line. A bad line with good ones after it is left alone:
    it was acknowledged once, so cutting from there would lose what is good."""
    size = os.fstat(descriptor).st_size
    good = _end_of_last_whole_line(descriptor, size)
    if good == size:
        return None
    os.ftruncate(descriptor, good)
    os.fsync(descriptor)
    return Repair(path, good, size - good)


def _end_of_last_whole_line(descriptor: int, size: int) -> int:
    end = size
    while end > 0:
        start = _start_of_line(descriptor, end)
        if is_whole(os.pread(descriptor, end - start, start)):
            return end
        end = start
    return 0


def _start_of_line(descriptor: int, end: int) -> int:
    """Where the line begins whose last byte (newline or not) is at ``end - 1``."""
    upto = end - 1
    while upto > 0:
        start = max(0, upto - _CHUNK)
        found = os.pread(descriptor, upto - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        upto = start
    return 0


def _count_lines(descriptor: int) -> int:
    count = offset = 0
    while chunk := os.pread(descriptor, _CHUNK, offset):
        count += chunk.count(b"\n")
        offset += len(chunk)
    return count


class WriteAheadReader:
    """Reads a write-ahead file forward by whole lines; goes on reading after the file's removal."""

    def __init__(self, path: Path, line: int = 0) -> None:
        """Stand before ``line``. Raises FileNotFoundError when the segment has been closed."""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.line = 0
        self._offset = 0
        while self.line < line and (chunk := os.pread(self._descriptor, _CHUNK, self._offset)):
            self._skip(chunk, line)

    def _skip(self, chunk: bytes, line: int) -> None:
        here = chunk.count(b"\n")
        if self.line + here < line:
            self.line += here
            self._offset += len(chunk)
            return
        at = -1
        while self.line < line:
            at = chunk.index(b"\n", at + 1)
            self.line += 1
        self._offset += at + 1

    def read(self, upto: int | None = None, size: int = _CHUNK * 2) -> list[bytes]:
        """The next whole lines, about ``size`` bytes of them, none that ends past offset ``upto``."""
        wanted = size
        while True:
            room = wanted if upto is None else min(wanted, upto - self._offset)
            chunk = os.pread(self._descriptor, room, self._offset) if room > 0 else b""
            end = chunk.rfind(b"\n") + 1
            if end or len(chunk) < wanted:
                break
            wanted *= 2  # one line longer than the block
        lines = [line + b"\n" for line in chunk[: end - 1].split(b"\n")] if end else []
        self._offset += end
        self.line += len(lines)
        return lines

    def close(self) -> None:
        os.close(self._descriptor)
