"""Matches in the order of their time, on disk in files without a name: memory stays small for millions."""

from __future__ import annotations

import heapq
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, cast

import orjson

from istmo.detect.triage.findings import Row

IN_MEMORY: Final = 20_000
MOST_RUNS: Final = 50
_LAST: Final = "~"


class Spool:
    """Rows in, in any order; out by time. Those without a time come last."""

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self._in_memory = in_memory
        self._held: list[tuple[str, int, bytes]] = []
        self._runs: list[IO[bytes]] = []
        self._count = 0

    def add(self, row: Row) -> None:
        """Keep one match."""
        self._count += 1
        self._held.append(
            (row["time"] or "~", self._count, orjson.dumps(row, option=orjson.OPT_NON_STR_KEYS))
        )
        if len(self._held) >= self._in_memory:
            self._settle()

    def __iter__(self) -> Iterator[Row]:
        self._held.sort()
        for _, _, line in heapq.merge(*map(_read, self._runs), iter(self._held)):
            yield cast(Row, orjson.loads(line))

    def close(self) -> None:
        """Let go of the files."""
        for run in self._runs:
            run.close()
        self._runs = []

    def _settle(self) -> None:
        self._held.sort()
        if len(self._runs) >= MOST_RUNS:  # few open files, whatever comes
            old, self._runs = self._runs, []
            self._write(heapq.merge(*map(_read, old)))
            for run in old:
                run.close()
        self._write(iter(self._held))
        self._held = []

    def _write(self, rows: Iterator[tuple[str, int, bytes]]) -> None:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        for time, number, line in rows:
            file.write(b"%b\t%d\t%b\n" % (time.encode(), number, line))
        self._runs.append(file)


class Handed:
    """Rows on their way to another process: few in memory, many in a file of a folder that both know."""

    def __init__(self, folder: str, most: int = 2000) -> None:
        self._folder, self._most = folder, most
        self._held: list[Row] = []
        self._path = ""

    def add(self, row: Row) -> None:
        """Keep one match."""
        self._held.append(row)
        if len(self._held) >= self._most:
            self._settle()

    def take(self) -> Iterator[Row]:
        """Every row, in the order in which they were kept; the file is removed."""
        if self._path:
            with Path(self._path).open("rb") as file:
                for line in file:
                    yield orjson.loads(line)
            Path(self._path).unlink()
        yield from self._held

    def _settle(self) -> None:
        if not self._path:
            number, self._path = tempfile.mkstemp(dir=self._folder)
            os.close(number)
        with Path(self._path).open("ab") as file:
            file.writelines(orjson.dumps(row) + b"\n" for row in self._held)
        self._held = []


def _read(file: IO[bytes]) -> Iterator[tuple[str, int, bytes]]:
    file.seek(0)
    for line in file:
        time, number, row = line.rstrip(b"\n").split(b"\t", 2)
        yield time.decode(), int(number), row
