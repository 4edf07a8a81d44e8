"""Something made anew after each ring, by a thread that begins at the ring itself.

For those who wait on the event loop for what a commit brings: a feed, a long answer. Going by way of
the loop (wake the loop, let it ask a thread, wake it again) costs turns of it in the very milliseconds
in which everything else hears of the commit too.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class Ringing(Generic[T]):
    """One consumer, on the event loop in which this was made; ``ring`` and ``wake`` from any thread.

    The consumer's turn is ``await made()``, then ``await rest(seconds)``. Every ring is taken in by a
    ``make`` that begins after it, or none would be missed at the price of one too many.
    """

    def __init__(self, make: Callable[[], T], *, threads: Executor, at_ring: Executor | None = None) -> None:
        """``make`` runs in ``threads``; in ``at_ring``, where given, when it begins at a ring."""
        self._make, self._threads, self._at_ring = make, threads, at_ring or threads
        self._loop, self._awake = asyncio.get_running_loop(), asyncio.Event()
        self._lock = threading.Lock()
        self._rings = self._taken_in = 0
        self._is_resting = False
        self._prepared: Future[T] | None = None

    def ring(self) -> None:
        """There is something new: where the consumer rests, begin at once."""
        with self._lock:
            self._rings += 1
            if not self._is_resting:
                return  # it looks at the count before it rests
            self._is_resting = False
            try:
                prepared = self._at_ring.submit(self._make)
            except RuntimeError:  # the threads are gone because the node stops
                prepared = None
            else:
                self._prepared, self._taken_in = prepared, self._rings
        if prepared is None:
            self.wake()
        else:
            prepared.add_done_callback(lambda _: self.wake())

    def wake(self) -> None:
        """End the consumer's rest, though there is nothing new."""
        with suppress(RuntimeError):  # the loop may have closed just now
            self._loop.call_soon_threadsafe(self._awake.set)

    async def made(self) -> T:
        """What ``make`` gives, every ring until now taken in. Raises what it raises."""
        self._awake.clear()
        with self._lock:
            prepared, self._prepared, self._is_resting = self._prepared, None, False
            if prepared is None:
                self._taken_in = self._rings
        return await asyncio.wrap_future(prepared or self._threads.submit(self._make))

    async def rest(self, seconds: float) -> None:
        """Until something new is made or ``wake`` is called, ``seconds`` at most."""
        with self._lock:
            self._is_resting = self._rings == self._taken_in
            if not self._is_resting:
                return
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._awake.wait()
