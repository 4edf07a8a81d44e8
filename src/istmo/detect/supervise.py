"""Keeping the detection worker running: started, watched, started again, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 10.0
_GOOD_SECONDS: Final = 30.0
"""A worker that lived this long was all right: the next pause is short again."""
_STOP_SECONDS: Final = 10.0


class Supervisor:
    """One worker process of one node.

    The worker holds the reading end of a pipe whose other end only we have: when we die, however we
    die, it reads the end and stops. ``on_exit(status)`` is called from our thread after each end that
    we did not ask for.
    """

    def __init__(
        self,
        data: Path,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
        on_exit: Callable[[int], None] = lambda _: None,
    ) -> None:
        """``certificate`` and ``key``: the intake speaks TLS with these PEM files."""
        command = [sys.executable, "-m", "istmo.detect.worker", str(data), "--supervised"]
        if certificate and key:
            command += ["--certificate", str(certificate), "--key", str(key)]
        self._command: Sequence[str] = command
        self._on_exit = on_exit
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self.starts = 0
        """How often a worker has been started."""

    @property
    def pid(self) -> int | None:
        """The running worker's process id."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start the worker and keep it running. Call once."""
        self._spawn()
        self._thread = threading.Thread(target=self._watch, name="worker-supervisor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the worker: politely, then firmly."""
        self._stopping.set()
        with self._lock:
            process = self._process
            if process is not None:
                _end(process)
        if self._thread is not None:
            self._thread.join()

    def _spawn(self) -> subprocess.Popen[bytes]:
        # Two arenas: the worker has few threads, and glibc would else keep memory for each.
        environment = {**os.environ, "MALLOC_ARENA_MAX": "2"}
        # Held back for good in the worker and in what it starts: Ctrl-C in a terminal reaches them too,
        # while they still read their modules perhaps. It is ours to heed; their input ends then.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, env=environment)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self.starts += 1
        return self._process

    def _watch(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            process = self._process
            if process is None:
                return
            began = time.monotonic()
            status = process.wait()  # without a time limit, which would look twenty times a second
            is_good = time.monotonic() - began >= _GOOD_SECONDS
            if self._stopping.is_set():
                return
            log.error("worker_ended", status=status, pid=process.pid)
            self._on_exit(status)
            pause = _FIRST_PAUSE if is_good else min(pause * 2, _LONGEST_PAUSE)
            if self._stopping.wait(pause):
                return
            with self._lock:
                if not self._stopping.is_set():
                    _close_input(process)
                    self._spawn()


def _close_input(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    _close_input(process)
    measures: tuple[Callable[[], None], ...] = (process.terminate, process.kill)
    for press in (None, *measures):
        if press is not None:
            press()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            log.warning("worker_does_not_end", pid=process.pid)
        else:
            return
