"""Live changes by server-sent events: only that something changed, and only what the asker may see.

An event names a topic (``alert object case peer worker notice``) and carries the subject's id. Each listener
has a bounded, deduplicating hold for each topic: a burst of ten thousand changes is a few lines, never a
backlog, and hides no change of another kind.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from litestar import Request, get
from litestar.concurrency import sync_to_thread
from litestar.response import ServerSentEvent, ServerSentEventMessage

from istmo.errors import RateLimited, Unauthenticated
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.openapi import TEXT, operation_with_answer
from istmo.policy import told
from istmo.policy.principals import Principal
from istmo.store.changes import Change, Changes

TOPICS: Final = ("alert", "object", "case", "peer", "worker", "notice")
MayKnow = Callable[[Principal, str, str], bool]
"""Whether the asker may know of this subject: (principal, topic, subject). May touch the database."""

_GATHER = 0.25
_HEARTBEAT = 15.0
_HELD = 200
"""Subjects of one topic."""
_LISTENERS = 200
_LISTENERS_EACH = 20
"""Of one asker: nobody takes the place of all others."""


class Live:
    """The listeners of one node."""

    def __init__(self, changes: Changes, may_know: MayKnow, stopping: asyncio.Event) -> None:
        self._changes = changes
        self._may_know = may_know
        self._listening: Counter[str] = Counter()
        self._stopping = stopping

    def check_room(self, principal: Principal) -> None:
        """Raises RateLimited when too many listen already, or the asker on too many lines."""
        if self._listening.total() >= _LISTENERS or self._listening[told(principal)] >= _LISTENERS_EACH:
            raise RateLimited("web.too_many_listeners", retry_after=30)

    async def listen(
        self, principal: Principal, now: Callable[[], Principal]
    ) -> AsyncIterator[ServerSentEventMessage]:
        """Events until the client leaves, the node stops, or the listener may listen no longer.

        ``now`` tells who ``principal`` is by now, or raises Unauthenticated; it is asked each time that
        something is about to be sent, so nothing outlives a token or a session. A heartbeat comment keeps
        proxies awake.
        """
        loop, place = asyncio.get_running_loop(), told(principal)
        held: dict[tuple[str, str], None] = {}
        counts: Counter[str] = Counter()
        rung = asyncio.Event()

        def hold(topic: str, subject: str) -> None:
            if (topic, subject) not in held and counts[topic] < _HELD:
                held[(topic, subject)] = None
                counts[topic] += 1
            rung.set()

        def heard(change: Change) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(hold, change.topic, change.subject)

        unsubscribe = self._changes.subscribe(heard, *TOPICS)
        self._listening[place] += 1
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
                counts.clear()
                for topic, subject in await sync_to_thread(self._known, now, batch):
                    yield ServerSentEventMessage(data=subject, event=topic)
        except Unauthenticated:
            return  # whoever asks anew is told why
        finally:
            self._listening[place] -= 1
            self._listening += Counter()  # whoever listens no more is not remembered
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
    live.check_room(asker.principal)
    return ServerSentEvent(live.listen(asker.principal, asker.now))


routes = [changes]
