"""Matches in the order of their time, on disk in a file without a name: memory stays small for millions of them."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterator
from typing import IO, Final

import orjson

from istmo.detect.triage.findings import Row

IN_MEMORY: Final = 20_000
MOST_RUNS: Final = 50


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
            yield orjson.loads(line)

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


def _read(file: IO[bytes]) -> Iterator[tuple[str, int, bytes]]:
    file.seek(0)
    for line in file:
        time, number, row = line.rstrip(b"\n").split(b"\t", 2)
        yield time.decode(), int(number), row
