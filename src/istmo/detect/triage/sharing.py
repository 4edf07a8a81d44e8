"""The work on several cores. Processes are forked from one that holds rules and indicators: they share them.

Results are joined in the order of the parts, and only few are under way at once, so memory depends on
neither their number nor their size. Compiling rules for the first events before the fork was measured and
left: with what an earlier hunt kept it gains nothing, without it a seventh of the CPU time and no time.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from ctypes import c_longlong
from multiprocessing.connection import wait
from typing import Any, Final

from istmo.detect.triage.findings import Findings, Row
from istmo.detect.triage.parts import Part
from istmo.detect.triage.spool import Handed
from istmo.detect.triage.stopping import Stop
from istmo.detect.triage.work import Work
from istmo.errors import Unavailable

AHEAD: Final = 3
"""Parts a process that are handed out before the first of them is through."""
LOOK_SECONDS: Final = 0.2
"""Between two looks at how far the others are."""
PATIENCE: Final = 10.0
"""Seconds that a process has for the batch it is at, once it was asked to end."""

Result = tuple[Findings, Handed]


class Read:
    """How many bytes all processes have dealt with. ``multiprocessing`` names no type for its values."""

    def __init__(self, context: Any) -> None:
        self._value: Any = context.Value(c_longlong, 0)

    def add(self, n: int) -> None:
        with self._value.get_lock():
            self._value.value += n

    @property
    def total(self) -> int:
        return int(self._value.value)


class Sharing:
    """Parts handed out to processes, and their results taken in order."""

    def __init__(self, make: Callable[[Callable[[int], object]], Work], stop: Stop, processes: int) -> None:
        """``make`` gives the work, which tells of the bytes that it has dealt with."""
        self._context = multiprocessing.get_context("fork")
        self._read = Read(self._context)
        self._work = make(self._read.add)
        self._stop = stop
        self._processes = processes
        self._told = 0
        self._asked_at = 0.0

    def run(
        self,
        parts: list[Part],
        into: Findings,
        keep: Callable[[Row], None],
        progress: Callable[[], Any],
    ) -> None:
        """All parts, or what was found until somebody ended it.

        Raises Unavailable where the system ended one of the processes.
        """
        global _work, _folder
        gc.collect()
        gc.freeze()  # what all processes share must stay as it is, or each gets a copy
        kept = tempfile.TemporaryDirectory(prefix="istmo-hunt-", ignore_cleanup_errors=True)
        _work, _folder = self._work, kept.name
        executor = ProcessPoolExecutor(self._processes, mp_context=self._context, initializer=_begin)
        under_way: deque[Part | Future[Result]] = deque()
        coming = iter(parts)
        try:
            self._hand_out(coming, under_way, executor)
            with progress() as done:
                while under_way:
                    self._take(under_way[0], into, keep, done)
                    under_way.popleft()
                    self._hand_out(coming, under_way, executor)
        except BrokenProcessPool:
            raise Unavailable("detect.hunt_process_ended") from None
        finally:
            for process in multiprocessing.active_children():
                process.terminate()
            executor.shutdown(wait=True, cancel_futures=True)
            kept.cleanup()
            _work = None
            gc.unfreeze()

    def _hand_out(
        self, coming: Iterator[Part], under_way: deque[Part | Future[Result]], executor: ProcessPoolExecutor
    ) -> None:
        while (
            not self._stop.is_set
            and len(under_way) < AHEAD * self._processes
            and (part := next(coming, None)) is not None
        ):
            under_way.append(part if part.path is None else executor.submit(_look, part))

    def _take(
        self,
        one: Part | Future[Result],
        into: Findings,
        keep: Callable[[Row], None],
        done: Callable[[float], None],
    ) -> None:
        if isinstance(one, Part):  # standard input is this process's alone
            if not self._stop.is_set:
                self._work.look(one, into, keep)
            return
        result = self._result(one, done)
        if result is not None:
            found, rows = result
            into.merge(found)
            for row in rows.take():
                keep(row)

    def _result(self, future: Future[Result], done: Callable[[float], None]) -> Result | None:
        """What became of a part; None where it was not begun before somebody ended the hunt."""
        while True:
            if self._stop.is_set and not self._asked_at:
                self._asked_at = time.monotonic()
            if self._stop.is_set and future.cancel():
                return None
            try:
                return future.result(timeout=LOOK_SECONDS)
            except CancelledError:
                return None
            except TimeoutError:
                if self._asked_at and time.monotonic() > self._asked_at + PATIENCE:
                    return None
            finally:
                total = self._read.total
                done(total - self._told)
                self._told = total


_work: Work | None = None
_folder = ""
"""Of the hunt that processes take part in; they get both by being forked."""


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us asks us to end
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """However the process that forked us ends: nobody would take what we find."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _look(part: Part) -> Result:
    assert _work is not None
    findings = Findings()
    rows = Handed(_folder)
    _work.look(part, findings, rows.add)
    return findings, rows
