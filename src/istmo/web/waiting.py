"""Long answers: a program asks once and is answered when what it waits for has come.

Asking again and again would cost the node far more, and tell later. What a waiting asker is shown is
decided anew each time, exactly as if it had asked then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from litestar.concurrency import sync_to_thread

from istmo.errors import NotFound, RateLimited
from istmo.store.changes import Change, Changes

LONGEST: Final = 30.0
"""Seconds for which an answer is held back, at most."""
_ASKERS: Final = 100
Answer = dict[str, Any]


class Waiting:
    """Who waits at one node. No thread is held meanwhile; everything here belongs to the event loop."""

    def __init__(self, changes: Changes, stopping: asyncio.Event) -> None:
        self._changes, self._stopping = changes, stopping
        self._askers = 0

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
        bell = asyncio.Event()

        def heard(change: Change) -> None:
            if rings(change) and not loop.is_closed():
                loop.call_soon_threadsafe(bell.set)

        if seconds > 0 and self._askers >= _ASKERS:
            raise RateLimited("web.too_many_listeners", retry_after=30)
        unsubscribe = self._changes.subscribe(heard, topic)
        self._askers += 1
        try:
            while loop.time() < deadline and not self._stopping.is_set():
                bell.clear()
                with suppress(NotFound):
                    answer = await sync_to_thread(look)
                    if is_enough(answer):
                        return answer
                await self._rest(bell, deadline - loop.time())
            return await sync_to_thread(look)
        finally:
            self._askers -= 1
            unsubscribe()

    async def _rest(self, bell: asyncio.Event, seconds: float) -> None:
        waiting = {asyncio.ensure_future(bell.wait()), asyncio.ensure_future(self._stopping.wait())}
        try:
            await asyncio.wait(waiting, timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
