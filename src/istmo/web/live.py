"""Live changes by server-sent events: only that something changed, and only what the asker may see.

An event names a topic (``alert object case peer worker notice``) and carries the subject's id. Each listener
has a bounded, deduplicating hold: a burst of ten thousand changes is a few lines, never a backlog.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from litestar import Request, get
from litestar.concurrency import sync_to_thread
from litestar.response import ServerSentEvent, ServerSentEventMessage

from istmo.errors import RateLimited, Unauthenticated
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.openapi import TEXT, operation_with_answer
from istmo.policy.principals import Principal
from istmo.store.changes import Change, Changes

TOPICS: Final = ("alert", "object", "case", "peer", "worker", "notice")
MayKnow = Callable[[Principal, str, str], bool]
"""Whether the asker may know of this subject: (principal, topic, subject). May touch the database."""

_GATHER = 0.25
_HEARTBEAT = 15.0
_HELD = 200
_LISTENERS = 200


class Live:
    """The listeners of one node."""

    def __init__(self, changes: Changes, may_know: MayKnow, stopping: asyncio.Event) -> None:
        self._changes = changes
        self._may_know = may_know
        self._listening = 0
        self._stopping = stopping

    def check_room(self) -> None:
        """Raises RateLimited when too many listen already."""
        if self._listening >= _LISTENERS:
            raise RateLimited("web.too_many_listeners", retry_after=30)

    async def listen(self, now: Callable[[], Principal]) -> AsyncIterator[ServerSentEventMessage]:
        """Events until the client leaves, the node stops, or the listener may listen no longer.

        ``now`` tells who listens, or raises Unauthenticated; it is asked each time that something is
        about to be sent, so nothing outlives a token or a session. A heartbeat comment keeps proxies awake.
        """
        loop = asyncio.get_running_loop()
        held: dict[tuple[str, str], None] = {}
        rung = asyncio.Event()

        def hold(topic: str, subject: str) -> None:
            if len(held) < _HELD:
                held[(topic, subject)] = None
            rung.set()

        def heard(change: Change) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(hold, change.topic, change.subject)

        unsubscribe = self._changes.subscribe(heard, *TOPICS)
        self._listening += 1
        try:
            yield ServerSentEventMessage(data=None, comment="listening", retry=3000)
            while not self._stopping.is_set():
                if not await self._wait(rung):
                    await sync_to_thread(now)
                    yield ServerSentEventMessage(data=None, comment="still here")
                    continue
                await asyncio.sleep(_GATHER)
                rung.clear()
                batch = list(held)
                held.clear()
                for topic, subject in await sync_to_thread(self._known, now, batch):
                    yield ServerSentEventMessage(data=subject, event=topic)
        except Unauthenticated:
            return  # whoever asks anew is told why
        finally:
            self._listening -= 1
            unsubscribe()

    async def _wait(self, rung: asyncio.Event) -> bool:
        waiting = {asyncio.ensure_future(rung.wait()), asyncio.ensure_future(self._stopping.wait())}
        try:
            await asyncio.wait(waiting, timeout=_HEARTBEAT, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
        return rung.is_set()

    def _known(self, now: Callable[[], Principal], batch: list[tuple[str, str]]) -> list[tuple[str, str]]:
        principal = now()
        return [(topic, subject) for topic, subject in batch if self._may_know(principal, topic, subject)]


@get(
    "/api/v1/changes",
    opt=PEOPLE,
    summary="Live changes (server-sent events)",
    tags=["node"],
    operation_class=operation_with_answer(
        "An event names a topic, its data the id of what changed.", {"text/event-stream": TEXT}
    ),
)
async def changes(request: Request[Any, Any, Any], asker: Asker, live: Live) -> ServerSentEvent:
    """Tell the asker of changes as they happen."""
    live.check_room()
    return ServerSentEvent(live.listen(asker.now))


routes = [changes]
