"""Answers that come line by line, while somebody listens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator
from typing import Protocol

from litestar.concurrency import sync_to_thread


class Lines(Iterator[bytes], Protocol):
    """What makes the lines, and is closed when nobody wants them any more."""

    def close(self) -> None:
        """Call off what was asked."""


async def heard(lines: Lines) -> AsyncGenerator[bytes]:
    """Lines for whoever listens. When they leave, ``lines`` is closed at once, not when memory is tidied."""
    turns = _Turns(lines)
    try:
        while (line := await sync_to_thread(turns.next)) is not None:
            yield line
    finally:
        # In a thread, since one may be within; not waited for, since whoever asked may have gone.
        asyncio.get_running_loop().run_in_executor(None, turns.close)


class _Turns:
    """Threads go through an iterator one after the other: closing waits for the one that is within."""

    def __init__(self, lines: Lines) -> None:
        self._lines, self._lock, self._is_over = lines, threading.Lock(), False

    def next(self) -> bytes | None:
        """The next line; None at the end. May wait."""
        with self._lock:
            return None if self._is_over else next(self._lines, None)

    def close(self) -> None:
        """No line comes after this."""
        self._is_over = True
        with self._lock:
            self._lines.close()
