"""Columns where they are sealed: made and asked in files that have no name and are in memory alone.

A sealed file of columns is ``ISTMOSLC``, its key's id (8 bytes), then the Parquet file in parts of 4 MB, each
sealed as that part of so many. DuckDB reads and writes a file in memory by its name under ``/proc/self/fd``,
and is allowed that name and no other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import zstandard

from istmo.detect.eventstore.columns import ColumnsUnreadable
from istmo.detect.eventstore.folder import Closed, EventFolder
from istmo.detect.eventstore.sealing import ID_BYTES, OVERHEAD, Keys, Sealer

_MAGIC: Final = b"ISTMOSLC"
_HEAD_BYTES: Final = len(_MAGIC) + ID_BYTES
_PART_BYTES: Final = 4 << 20


class MemoryFile:
    """A file without a name, which is gone with its process at the latest."""

    def __init__(self, what: str) -> None:
        self.descriptor = os.memfd_create(what)
        self.path = Path(f"/proc/self/fd/{self.descriptor}")

    def close(self) -> None:
        os.close(self.descriptor)


class Draft:
    """Rows and columns of a segment while they are made; in memory where they are to be sealed."""

    def __init__(self, folder: EventFolder, target: Closed) -> None:
        self._sealer = folder.keys.sealer(folder.columns_path(target).name)
        self._half = folder.half_path(target, "columns")
        self.is_packed = self._sealer is not None
        """Rows are packed (zstd): what is in memory is to be small."""
        self._memory: tuple[MemoryFile, ...] = ()
        if self.is_packed:
            self._memory = MemoryFile("rows"), MemoryFile("columns")
            self.rows, self.columns = (one.path for one in self._memory)
        else:
            self.rows, self.columns = folder.half_path(target, "rows"), self._half

    @property
    def files(self) -> list[Path]:
        """What DuckDB must be allowed beside the folder."""
        return [one.path for one in self._memory]

    @contextmanager
    def writing(self) -> Iterator[BinaryIO]:
        """Where rows are written; they can be read once this has ended."""
        with self.rows.open("wb") as file:
            if not self.is_packed:
                yield file
                return
            with zstandard.ZstdCompressor(level=1).stream_writer(file, closefd=False) as packed:
                yield packed

    def finish(self) -> Path:
        """The file of columns as it is to rest."""
        if self._sealer is not None:
            _seal(self._sealer, self._memory[1].descriptor, self._half)
        return self._half

    def close(self) -> None:
        """Let go of what was half done."""
        for one in self._memory:
            one.close()
        self._memory = ()
        if not self.is_packed:
            self.rows.unlink(missing_ok=True)
        self._half.unlink(missing_ok=True)


class ColumnsToAsk:
    """The columns of one segment after another, where DuckDB can read them. For one thread."""

    def __init__(self, folder: EventFolder) -> None:
        self._folder = folder
        self._memory: MemoryFile | None = None

    @property
    def files(self) -> list[Path]:
        """What DuckDB must be allowed beside the folder."""
        memory = self._file()
        return [] if memory is None else [memory.path]

    def _file(self) -> MemoryFile | None:
        if self._memory is None and self._folder.keys:
            self._memory = MemoryFile("columns")
        return self._memory

    def path_of(self, closed: Closed) -> Path:
        """Where a segment's columns can be read until the next one is asked for.

        Raises ColumnsUnreadable where they are sealed and cannot be opened.
        """
        path = self._folder.columns_path(closed)
        try:
            memory = self._file()
            if memory is None or key_of(path) is None:
                return path
            os.ftruncate(memory.descriptor, 0)
            _open(path, self._folder.keys, memory.descriptor)
        except (OSError, ValueError) as error:
            raise ColumnsUnreadable(str(error)) from error
        return memory.path

    def close(self) -> None:
        if self._memory is not None:
            self._memory.close()
            self._memory = None


def key_of(path: Path) -> bytes | None:
    """The id of the key that a file of columns says it is sealed with; None where it is not sealed."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return head[len(_MAGIC) :] if head.startswith(_MAGIC) else None


def _seal(sealer: Sealer, source: int, target: Path) -> None:
    size = os.fstat(source).st_size
    count = -(-size // _PART_BYTES)
    with target.open("wb") as file:
        file.write(_MAGIC + sealer.key_id)
        for number in range(count):
            part = os.pread(source, _PART_BYTES, number * _PART_BYTES)
            file.write(sealer.seal(part, _place(number, count)))


def _open(path: Path, keys: Keys, target: int) -> None:
    with path.open("rb") as file:
        count = -(-(os.fstat(file.fileno()).st_size - _HEAD_BYTES) // (_PART_BYTES + OVERHEAD))
        opener = keys.opener(path.name, file.read(_HEAD_BYTES)[len(_MAGIC) :])
        offset = 0
        for number in range(count):
            part = opener.open(file.read(_PART_BYTES + OVERHEAD), _place(number, count))
            offset += os.pwrite(target, part, offset)


def _place(number: int, count: int) -> bytes:
    return b"part %d of %d" % (number, count)
