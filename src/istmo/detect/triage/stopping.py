"""Ctrl-C in a hunt: what was read is still matched, and what was found is shown.

The first one asks all processes to end with what they have. The second ends them at once. While standard
input is waited for, nobody would hear the question: there the first one ends the waiting too.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import c_bool
from multiprocessing.sharedctypes import RawValue
from types import FrameType
from typing import IO, Final

TELLING: Final = 4096
"""Bytes that tell what a pipe holds."""


class Stop:
    """Whether somebody wants it to end. Processes that are forked later see it too."""

    def __init__(self) -> None:
        self._flag = RawValue(c_bool, False)
        self._is_waiting = False

    @property
    def is_set(self) -> bool:
        return bool(self._flag.value)

    def set(self) -> None:
        """Ask all to end."""
        self._flag.value = True

    @contextmanager
    def heeding(self) -> Iterator[None]:
        """Take Ctrl-C for the question that it is; outside the main thread nobody can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._asked)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def waited_for(self, file: IO[bytes]) -> WaitedFor:
        """A file whose next bytes may be long in coming."""
        return WaitedFor(file, self)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While this lasts, being asked raises KeyboardInterrupt."""
        self._is_waiting = True
        try:
            yield
        finally:
            self._is_waiting = False

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self.is_set:
            raise KeyboardInterrupt
        self.set()
        if self._is_waiting:
            raise KeyboardInterrupt


class WaitedFor:
    """An open file or pipe, read by somebody who may be asked to stop waiting.

    A pipe gives what is there, so that nothing that came is lost while more is waited for. Its first bytes
    are gathered until they tell what it holds.
    """

    def __init__(self, file: IO[bytes], stop: Stop) -> None:
        self._file, self._stop = file, stop
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable
        self._at_once = None if file.seekable() else getattr(file, "read1", None)
        self._is_first = True

    def read(self, size: int = -1) -> bytes:
        """Up to so many bytes; none at the end alone."""
        with self._stop.waiting():
            if self._at_once is None or size < 0:
                return self._file.read(size)
            data: bytes = self._at_once(size)
            while self._is_first and data and len(data) < TELLING and (more := self._at_once(size)):
                data += more
            self._is_first = False
            return data
