"""Long answers: a program asks once and is answered when what it waits for has come.

Asking again and again would cost the node far more, and tell later. What a waiting asker is shown is
decided anew each time, exactly as if it had asked then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, TypeVar

from istmo.errors import NotFound, RateLimited
from istmo.kit.ringing import Ringing
from istmo.store.changes import Change, Changes

LONGEST: Final = 30.0
"""Seconds for which an answer is held back, at most."""
_ASKERS: Final = 100
_THREADS: Final = 8
Answer = TypeVar("Answer")


class Waiting:
    """Who waits at one node. No thread is held meanwhile; everything here belongs to the event loop."""

    def __init__(self, changes: Changes, stopping: asyncio.Event) -> None:
        self._changes, self._stopping = changes, stopping
        self._bells: set[Ringing[Any]] = set()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="waiting")
        self._ending: asyncio.Task[None] | None = None

    async def until(
        self,
        look: Callable[[], Answer],
        is_enough: Callable[[Answer], bool],
        *,
        topic: str,
        rings: Callable[[Change], bool],
        seconds: float,
    ) -> Answer:
        """The first answer that is enough; after ``seconds``, or when the node stops, whatever it is then.

        ``look`` runs in a thread: at once, and after each change of ``topic`` that ``rings``. While there
        is time left, its NotFound only means that the thing has not come yet. Raises RateLimited when
        too many wait already.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + max(0.0, min(seconds, LONGEST))
        bell = Ringing(look, threads=self._threads)

        def heard(change: Change) -> None:
            if rings(change):
                bell.ring()

        if seconds > 0 and len(self._bells) >= _ASKERS:
            raise RateLimited("web.too_many_listeners", retry_after=30)
        if self._ending is None:
            self._ending = asyncio.create_task(self._ring_at_the_end())
        unsubscribe = self._changes.subscribe(heard, topic)
        self._bells.add(bell)
        try:
            while loop.time() < deadline and not self._stopping.is_set():
                with suppress(NotFound):
                    answer = await bell.made()
                    if is_enough(answer):
                        return answer
                await bell.rest(deadline - loop.time())
            return await bell.made()
        finally:
            self._bells.discard(bell)
            unsubscribe()

    async def _ring_at_the_end(self) -> None:
        await self._stopping.wait()
        for bell in self._bells:
            bell.wake()
