"""The write-ahead file: appended, synced, and mended after a crash at any byte.

It is plain (one line an event) or sealed (``sealed_wal``), and says by itself which.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

from istmo.detect.eventstore.disk import sync_folder
from istmo.detect.eventstore.lines import is_whole
from istmo.detect.eventstore.sealed_wal import SealedLines, Survey, is_sealed, seal_lines, survey
from istmo.detect.eventstore.sealing import NO_KEYS, PLAIN, Keys

_CHUNK = 1 << 18


@dataclass(frozen=True)
class Repair:
    """What a crash had left half done: bytes after the last whole line or record, now cut off."""

    path: Path
    offset: int
    cut: int


class WriteAhead:
    """One file open for appending. ``size`` and ``lines`` count what is durable."""

    def __init__(self, path: Path, keys: Keys = NO_KEYS) -> None:
        """What is there is mended without any key. Append only where ``is_as_wanted``."""
        self.path = path
        is_new = not path.exists()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._sealer = keys.sealer(path.name)
        sealed = None if is_new or not is_sealed(self._descriptor) else survey(self._descriptor)
        self.repaired = None if is_new else _repair(path, self._descriptor, sealed)
        self.size = os.fstat(self._descriptor).st_size
        self.lines = _count_newlines(self._descriptor) if sealed is None else sealed.lines
        forms = {PLAIN} if sealed is None else sealed.keys
        self.is_as_wanted = not self.size or forms == {keys.first}
        """Whether what is there has the form that ``keys`` give to what is appended."""
        os.lseek(self._descriptor, 0, os.SEEK_END)
        if is_new:
            sync_folder(path.parent)

    def append(self, block: bytes, lines: int) -> None:
        """Write whole lines and put them on disk. On OSError the file is as it was before."""
        written = block
        if self._sealer is not None:
            written = b"".join(seal_lines(self._sealer, block, self.lines))
        try:
            view = memoryview(written)
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fdatasync(self._descriptor)
        except OSError:
            # After a failed sync the kernel may have dropped the pages: what is past the last good
            # sync must go, for it was never acknowledged.
            os.ftruncate(self._descriptor, self.size)
            os.lseek(self._descriptor, self.size, os.SEEK_SET)
            raise
        self.size += len(written)
        self.lines += lines

    def close(self) -> None:
        """Let go of the file (everything acknowledged is on disk already)."""
        os.close(self._descriptor)


def _repair(path: Path, descriptor: int, sealed: Survey | None) -> Repair | None:
    """Cut what follows the last whole line or record. A bad one with good ones after it is left alone:
    it was acknowledged once, so cutting from there would lose what is good."""
    size = os.fstat(descriptor).st_size
    good = _end_of_last_whole_line(descriptor, size) if sealed is None else sealed.end
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


def count_lines(descriptor: int) -> int:
    """How many lines a write-ahead file has. No key is asked for."""
    return survey(descriptor).lines if is_sealed(descriptor) else _count_newlines(descriptor)


def _count_newlines(descriptor: int) -> int:
    count = offset = 0
    while chunk := os.pread(descriptor, _CHUNK, offset):
        count += chunk.count(b"\n")
        offset += len(chunk)
    return count


class WriteAheadReader:
    """Reads a write-ahead file forward by whole lines; goes on reading after the file's removal."""

    def __init__(self, path: Path, line: int = 0, keys: Keys = NO_KEYS) -> None:
        """Stand before ``line``. Raises FileNotFoundError when the segment has been closed."""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._keys, self._name = keys, path.name
        self._sealed: SealedLines | None = None
        self._offset = self._line = 0
        self._passed: list[tuple[int, int]] = [(0, 0)]
        """(line, offset in it or at its start) of what was passed by: whoever goes back counts from there."""
        self.go_to(line)

    def go_to(self, line: int) -> None:
        """Stand before ``line``, or at the end where there are not so many; backwards too."""
        self._sealed = self._look(line)
        self._line, self._offset = self._passed[max(0, bisect_left(self._passed, (line, 0)) - 1)]
        while self._line < line and self._sealed is None:
            if not (chunk := os.pread(self._descriptor, _CHUNK, self._offset)):
                break
            self._skip(chunk, line)

    def _look(self, line: int) -> SealedLines | None:
        if is_sealed(self._descriptor):
            return SealedLines(self._descriptor, self._keys, self._name, line)
        return None

    @property
    def line(self) -> int:
        """The number of the next line."""
        return self._line if self._sealed is None else self._sealed.line

    def _skip(self, chunk: bytes, line: int) -> None:
        here = chunk.count(b"\n")
        if self._line + here < line:
            self._line += here
            self._offset += len(chunk)
            if self._line > self._passed[-1][0]:
                self._passed.append((self._line, self._offset))
            return
        at = -1
        while self._line < line:
            at = chunk.index(b"\n", at + 1)
            self._line += 1
        self._offset += at + 1

    def read(self, upto: int | None = None, size: int = _CHUNK * 2) -> list[bytes]:
        """The next whole lines, about ``size`` bytes of them, none that ends past offset ``upto``.

        Raises SealedAway where they are sealed with a key that is not there.
        """
        if self._sealed is None and not self._offset:
            self._sealed = self._look(self._line)  # nothing may have been there before
        if self._sealed is not None:
            return self._sealed.read(upto, size)
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
        self._line += len(lines)
        return lines

    def close(self) -> None:
        os.close(self._descriptor)
