"""Sealed columns that a statement reads: opened in memory, of each segment what is asked for alone.

A statement reads all of its segments as one table, so they lie open together. Whole they would soon be more
than memory is for; of a few columns there is room for years.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from istmo.detect.eventstore.columns import ColumnsUnreadable, connect, duckdb_, quoted
from istmo.detect.eventstore.folder import Closed, EventFolder
from istmo.detect.eventstore.sealed_columns import ColumnsToAsk, MemoryFile
from istmo.detect.search.sql.lines import TooLarge

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MOST_BYTES: Final = 256 << 20
"""Of what lies open in memory at the same time."""
_FIXED: Final = ("segment", "place", "time", "received", "host", "source", "odd")
_SHARE: Final = 4
"""Of the files that a process may have, one in so many: each is open here and in DuckDB."""


class OpenedColumns:
    """Opens the columns of one segment after another, until ``close``. For one thread."""

    def __init__(self, folder: EventFolder) -> None:
        self._folder = folder
        self._whole, self._some = ColumnsToAsk(folder), MemoryFile("some")
        self._connection: DuckDBPyConnection | None = None
        self._open: list[MemoryFile] = []
        self._bytes = 0

    def open(self, closed: Closed, columns: Sequence[str] | None) -> Path:
        """Where ``columns`` of a segment (None for all) can be read. Raises ColumnsUnreadable, TooLarge."""
        if len(self._open) >= _most():
            raise TooLarge
        source = self._whole.path_of(closed)
        if columns is not None:
            self._take_some(source, columns)
            source = self._some.path
        try:
            size = source.stat().st_size
            self._bytes += size
            if self._bytes > MOST_BYTES:
                raise TooLarge
            self._open.append(MemoryFile("columns"))
            with source.open("rb") as file:
                done = 0
                while done < size and (sent := _send(self._open[-1], file.fileno(), done, size - done)):
                    done += sent
        except OSError as error:
            raise ColumnsUnreadable(str(error)) from error
        return self._open[-1].path

    def close(self) -> None:
        """Let go of all of them."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        for one in (*self._open, self._some):
            one.close()
        self._open.clear()
        self._whole.close()

    def _take_some(self, source: Path, columns: Sequence[str]) -> None:
        if self._connection is None:
            files = [*self._whole.files, self._some.path]
            self._connection = connect(self._folder.segments, files=files)
        # Every piece of this statement is ours: fixed names, digests of names, and paths.
        chosen = ", ".join((*_FIXED, *columns))
        try:
            self._connection.execute(
                f"COPY (SELECT {chosen} FROM read_parquet({quoted(source)}))"  # noqa: S608
                f" TO {quoted(self._some.path)} (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)"
            )
        except duckdb_().Error as error:
            raise ColumnsUnreadable(str(error)) from error


def _send(target: MemoryFile, source: int, offset: int, count: int) -> int:
    return os.sendfile(target.descriptor, source, offset, count)


def _most() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft // _SHARE
