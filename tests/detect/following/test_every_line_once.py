"""Invariant 5 for files that are followed: what is written arrives once, whatever becomes of the file."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import Bench

STEPS = st.one_of(
    st.sampled_from(["round", "round", "rotate", "copy and truncate", "truncate", "pack", "drop", "kill"]),
    st.sampled_from(["lose a request", "lose an answer", "half a line", "settle"]),
    st.integers(1, 40),
    st.integers(1, 40),
)


class Writer:
    """Writes lines into one log, and does to it what administrators' tools do."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.count = 0
        self.unread: set[str] = set()
        """Lines that no round has seen; a truncation may take them along."""
        self.must: set[str] = set()
        self.may: set[str] = set()
        self._half = ""

    def take(self, step: str | int) -> None:
        bench = self.bench
        if isinstance(step, int):
            self._write(step)
        elif step == "half a line":
            if not self._half:
                self.count += 1
                self._half = f"Mar  1 09:00:00 web1 app: line {self.count}"
                bench.write("app.log", self._half[:20])
        elif step in ("round", "settle"):
            if (bench.round() if step == "round" else bench.settle() is not None) and not bench.intake.fails:
                self.unread.clear()
        elif step == "kill":
            bench.kill()
        elif step in ("lose a request", "lose an answer"):
            bench.intake.fails.append("before" if step == "lose a request" else "after")
        elif not (bench.logs / "app.log").exists():
            return
        else:
            self._complete()
            self._tool(step)

    def _tool(self, step: str) -> None:
        bench, log = self.bench, self.bench.logs / "app.log"
        # what was stored, not answered, and then cut away before the next try may come twice out of its copy
        while step in ("copy and truncate", "truncate") and bench.is_unanswered:
            bench.round()
        if step == "rotate":
            self._drop("app.log.3")
            bench.rotate("app.log")
        elif step == "copy and truncate":
            self._drop("app.log.3")
            for number in (2, 1):
                for packed in ("", ".gz"):
                    old = bench.logs / f"app.log.{number}{packed}"
                    if old.exists():
                        old.replace(bench.logs / f"app.log.{number + 1}{packed}")
            shutil.copy(log, bench.logs / "app.log.1")
            log.write_bytes(b"")
        elif step == "truncate":
            self.may |= self.unread
            self.must -= self.unread
            log.write_bytes(b"")
        elif step == "pack" and (bench.logs / "app.log.1").exists():
            bench.pack("app.log.1")
        elif step == "drop":
            self._drop("app.log.3")

    def _drop(self, name: str) -> None:
        """Old logs are deleted in the end: only what was read is certain."""
        for path in (self.bench.logs / name, self.bench.logs / f"{name}.gz"):
            if path.exists():
                self.bench.settle()
                self.unread.clear()
                path.unlink()

    def _write(self, lines: int) -> None:
        self._complete()
        for _ in range(lines):
            self.count += 1
            self._put(f"Mar  1 09:00:00 web1 app: line {self.count}", 0)

    def _complete(self) -> None:
        if self._half:
            half, self._half = self._half, ""
            self._put(half, 20)

    def _put(self, line: str, begun: int) -> None:
        self.bench.write("app.log", line[begun:] + "\n")
        self.must.add(line)
        self.unread.add(line)

    def end(self) -> None:
        self._complete()


@given(steps=st.lists(STEPS, max_size=30), is_folder=st.booleans())
@settings(max_examples=150, deadline=None)
def test_what_is_written_arrives_once_whatever_becomes_of_the_file(
    steps: list[str | int], is_folder: bool
) -> None:
    """What nobody can save: lines that are truncated away before any round saw them."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        if not is_folder:
            bench.wanted = [bench.logs / "app.log"]
        bench.write("app.log", "")
        bench.round()
        writer = Writer(bench)
        for step in steps:
            writer.take(step)
        writer.end()
        bench.intake.fails.clear()
        arrived = bench.settle()
        bench.kill()
        assert len(arrived) == len(set(arrived)), "nothing comes twice"
        assert writer.must <= set(arrived) <= writer.must | writer.may
        assert bench.intake.problems == []
