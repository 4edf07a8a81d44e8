"""What senders without answers sent in the same few milliseconds, stored together."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog

from istmo.detect.intake.arrivals import Arrivals
from istmo.detect.intake.desk import Desk
from istmo.detect.intake.listeners.messages import Messages, Sent
from istmo.detect.wire import WireSource
from istmo.errors import IstmoError, TooLarge

log = structlog.get_logger(__name__)

TOGETHER: Final = 0.005
"""Seconds that the first of a batch waits for others."""
FULL_BATCH: Final = 1 << 20
"""Bytes that are stored without waiting for more."""
MOST_WAITING: Final = 8 << 20
"""Bytes that wait for the store; past it nothing more is read from any sender."""
AGAIN: Final = 0.2
"""Seconds until the store is asked again that was full, or had too much to do."""


class Gathering:
    """Takes messages and stores them in batches. For the event loop alone."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._open: dict[str, tuple[WireSource, Arrivals]] = {}
        self._full: list[tuple[WireSource, Arrivals]] = []
        """Batches as large as one may be."""
        self._is_ending = False
        self._has_some = asyncio.Event()
        self._has_enough = asyncio.Event()
        self._waiting = 0
        self._storing = 0
        self._on_room: list[Callable[[], None]] = []

    @property
    def is_full(self) -> bool:
        """Whether so much waits for the store that nothing more should be read."""
        return self._waiting + self._storing > MOST_WAITING

    def call_on_room(self, resume: Callable[[], None]) -> None:
        """Call ``resume`` once, when there is room again."""
        self._on_room.append(resume)

    def take(self, messages: Messages, message: bytes, sent: Sent) -> None:
        """Take one message of a source; one past the limits is counted as refused."""
        arrived = self._of(sent.source)
        before = arrived.size
        try:
            messages.take(arrived, message, sent)
        except TooLarge as error:
            if error.code == "detect.batch_too_large" and arrived.events:
                self._overflow(messages, message, sent)
                return
            arrived.refuse(error)
        self._grown(arrived.size - before)

    def refuse(self, source: WireSource, code: str, number: int = 1) -> None:
        """Count messages of a source that are not kept."""
        self._of(source).refused[code] += number
        self._grown(0)

    async def run(self) -> None:
        """Store what comes; returns after ``finish``."""
        while not self._is_ending or self._open:
            await self._has_some.wait()
            try:
                async with asyncio.timeout(TOGETHER):
                    await self._has_enough.wait()
            except TimeoutError:
                pass
            await self._store()

    def finish(self) -> None:
        """Nothing more will come: ``run`` stores what waits, and returns."""
        self._is_ending = True
        self._has_some.set()
        self._has_enough.set()

    def _of(self, source: WireSource) -> Arrivals:
        found = self._open.get(source.id)
        if found is None:
            found = self._open[source.id] = source, Arrivals(self._desk.limits)
        return found[1]

    def _overflow(self, messages: Messages, message: bytes, sent: Sent) -> None:
        """A source's batch is as large as one may be: the message begins another."""
        self._full.append(self._open.pop(sent.source.id))
        arrived = self._of(sent.source)
        try:
            messages.take(arrived, message, sent)
        except TooLarge as error:
            arrived.refuse(error)
        self._grown(arrived.size)

    def _grown(self, size: int) -> None:
        self._waiting += size
        self._has_some.set()
        if self._waiting > FULL_BATCH:
            self._has_enough.set()

    async def _store(self) -> None:
        batches = [*self._full, *self._open.values()]
        self._open, self._full = {}, []
        self._storing, self._waiting = self._waiting, 0
        self._has_some.clear()
        self._has_enough.clear()
        await asyncio.gather(*(self._store_one(*batch) for batch in batches))
        self._storing = 0
        if self._on_room and not self.is_full:
            resumed, self._on_room = self._on_room, []
            for resume in resumed:
                resume()

    async def _store_one(self, source: WireSource, arrived: Arrivals) -> None:
        """Store, however long it takes: meanwhile TCP's windows close, and nothing that was read is lost."""
        told: Counter[str] = Counter()
        while True:
            try:
                await self._desk.store(source, arrived)
                return
            except IstmoError as error:
                if not told[error.code]:
                    log.warning("listener_store_waits", code=error.code)
                told[error.code] += 1
                await asyncio.sleep(AGAIN)
