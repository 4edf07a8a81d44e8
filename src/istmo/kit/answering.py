"""Answers that come line by line, while somebody listens."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Final, Protocol

from litestar.concurrency import sync_to_thread

from istmo.errors import Unauthenticated
from istmo.kit.asking import Asker


class Lines(Iterator[bytes], Protocol):
    """What makes the lines, and is closed when nobody wants them any more."""

    def close(self) -> None:
        """Call off what was asked."""


ASKED_SECONDS: Final = 1.0
"""So often it is asked anew who listens: what they may know can end while they do."""


async def heard(
    lines: Lines, asker: Asker, monotonic: Callable[[], float] = time.monotonic
) -> AsyncGenerator[bytes]:
    """Lines for whoever listens. When they leave, ``lines`` is closed at once, not when memory is tidied.

    No line comes once the asker is shut out, or is by now somebody with other rights than those by which the
    lines are made.
    """
    turns = _Turns(lines, asker, monotonic)
    try:
        while (line := await sync_to_thread(turns.next)) is not None:
            yield line
    finally:
        # In a thread, since one may be within; not waited for, since whoever asked may have gone.
        asyncio.get_running_loop().run_in_executor(None, turns.close)


class _Turns:
    """Threads go through an iterator one after the other: closing waits for the one that is within."""

    def __init__(self, lines: Lines, asker: Asker, monotonic: Callable[[], float]) -> None:
        self._lines, self._lock, self._is_over = lines, threading.Lock(), False
        self._asker, self._monotonic, self._asked = asker, monotonic, monotonic()

    def next(self) -> bytes | None:
        """The next line; None at the end. May wait."""
        with self._lock:
            line = None if self._is_over else next(self._lines, None)
            return line if self._may_listen() else None

    def _may_listen(self) -> bool:
        now = self._monotonic()
        if now - self._asked < ASKED_SECONDS:
            return True
        self._asked = now
        try:
            return self._asker.now() == self._asker.principal
        except Unauthenticated:
            return False

    def close(self) -> None:
        """No line comes after this."""
        self._is_over = True
        with self._lock:
            self._lines.close()
