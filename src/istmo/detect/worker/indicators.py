"""The indicator stage: at once after each commit, on the event loop, in small portions."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

import structlog

from istmo.clock import Clock
from istmo.detect.eventstore.ahead_times import AheadTimes
from istmo.detect.eventstore.follow import Follower
from istmo.detect.eventstore.lines import StoredEvent
from istmo.detect.eventstore.log import Block, EventLog
from istmo.detect.eventstore.times import event_micros, to_micros
from istmo.detect.hits import fitting, indicator_hits
from istmo.detect.indicators import Matcher, Moment
from istmo.detect.wire import INDICATORS, Hits, Position, Problem, StoredState, WireHit, WireIndicator
from istmo.detect.worker.link import Connection, LinkLost
from istmo.detect.worker.pattern_memory import PatternMemory

log = structlog.get_logger(__name__)

_PORTION: Final = 64
"""Events between two breaths: nothing else on the loop waits longer than these take."""
_PUT_PORTION: Final = 1000
_TOLD_SECONDS: Final = 1.0
_REMEMBERED: Final = 10_000
_STORING_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.02


class IndicatorStage:
    """Follows the log with the matcher. Everything here belongs to the event loop."""

    def __init__(self, event_log: EventLog, clock: Clock) -> None:
        self._log = event_log
        self._clock = clock
        self.matcher = Matcher(lambda: to_micros(clock.now()))
        self._memory = PatternMemory(self.matcher, clock)
        self._follower = Follower(event_log, Position())
        self._times = AheadTimes(event_log.folder)
        self._wake = asyncio.Event()
        self._since: OrderedDict[str, tuple[WireIndicator, Position]] = OrderedDict()
        self.position = Position()
        """Every event before it has been matched, in this conversation."""
        self._again_upto = Position()
        """Events before it are shown again to patterns that remember, and nothing of them is told."""
        self._told = Position()

    def wake(self) -> None:
        """There are new events."""
        self._wake.set()

    async def put(self, items: list[WireIndicator], *, reset: bool) -> list[Problem]:
        """Add indicators, live from the next event on; what could not be used."""
        if reset:
            self.matcher.clear()
            self._since.clear()
        problems = []
        for start in range(0, len(items), _PUT_PORTION):
            for item in items[start : start + _PUT_PORTION]:
                problems += self._put(item)
            await asyncio.sleep(0)
        return problems

    def _put(self, item: WireIndicator) -> list[Problem]:
        try:
            unusable = self.matcher.put(item.id, item.terms, item.until, item.plan)
        except ValueError as error:
            log.warning("plan_not_used", indicator=item.id, problem=str(error))
            return [Problem(item.id, "detect.indicator_unusable", {})]
        except Exception:
            log.exception("indicator_not_put", indicator=item.id)
            return [Problem(item.id, "detect.indicator_unusable", {})]
        self._since[item.id] = (item, self.position)
        self._since.move_to_end(item.id)
        while len(self._since) > _REMEMBERED:
            self._since.popitem(last=False)
        return [Problem(item.id, "detect.term_unusable", {"kind": k, "value": v[:200]}) for k, v in unusable]

    def drop(self, ids: Iterable[str]) -> None:
        """Remove indicators: the next event no longer hits them."""
        for id_ in ids:
            self.matcher.drop(id_)
            self._since.pop(id_, None)

    def live_since(self, id_: str) -> tuple[WireIndicator, Position] | None:
        """An indicator, and the position from which this stage sees it; None when it is not live."""
        if id_ not in self.matcher:
            return None
        known = self._since.get(id_)
        if known is not None:
            return known
        terms: list[tuple[str, str]] = list(self.matcher.terms(id_))
        return WireIndicator(id_, terms, None, self.matcher.plan(id_)), self.position

    async def precede(
        self, indicator: WireIndicator, earlier: list[list[Moment]]
    ) -> list[tuple[str, dict[str, str]]]:
        """Let a pattern over time remember stored events of before it was live; events since that make it
        true together with them, by id, with the fields by which they do.

        Returns once that memory is told to be stored: whoever is told that a hunt is through asks no more.
        """
        found = []
        for one in self.matcher.precede(indicator.id, indicator.plan or "", earlier):
            if one is not None:
                found.append(one)
            await asyncio.sleep(0)
        until = self._clock.monotonic() + _STORING_SECONDS
        while self._memory.is_due and self._clock.monotonic() < until:
            self.wake()
            await asyncio.sleep(_LOOK_SECONDS)
        return found

    async def follow(
        self, position: Position, connection: Connection, memory: StoredState | None = None
    ) -> None:
        """Match everything from ``position`` on, until the connection is lost; patterns over time go on from
        what they remembered at or before it."""
        self._follower.seek(self._memory.resume(position, memory))
        self.position = self._told = self._again_upto = position
        told_at = self._clock.monotonic()
        try:
            while True:
                self._wake.clear()
                if self._memory.is_resuming and self._follower.position >= self._again_upto:
                    self._memory.finish_resuming()
                    continue
                await self._store_what_changed(connection)
                block = await self._next()
                if block is not None:
                    await self._match(block, connection)
                now = self._clock.monotonic()
                if self.position != self._told and now - told_at >= _TOLD_SECONDS:
                    await self._tell(connection, [])
                if self.position == self._told:
                    told_at = now
                if block is None:
                    await self._rest()
        except LinkLost:
            log.info("stage_waits", stage=INDICATORS)
        finally:
            self._follower.close()

    async def _next(self) -> Block | None:
        if self._follower.position >= self._log.head.position:
            return None
        if self._log.recent(self._follower.position) is not None:
            return self._follower.next()
        return await asyncio.to_thread(self._follower.next)

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(_TOLD_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _match(self, block: Block, connection: Connection) -> None:
        events: Sequence[StoredEvent] = block.events
        at = block.start
        if self._memory.is_resuming:
            events = await self._show_again(events)
            at = _before(events[0]) if events else block.end
        for start in range(0, len(events), _PORTION):
            await self._store_what_changed(connection)
            portion, done = events[start : start + _PORTION], start + _PORTION
            hits = [hit for event in portion for hit in self._hits(event)]
            self.position = _before(events[done]) if done < len(events) else block.end
            self._times.note(at, self.position, portion)
            at = self.position
            if hits:
                await self._tell(connection, hits)
            if done < len(events):
                await asyncio.sleep(0)
        self.position = max(self.position, block.end)

    async def _show_again(self, events: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
        """Patterns remember what they had been shown before; the events that come after that."""
        number = next((n for n, one in enumerate(events) if _before(one) >= self._again_upto), len(events))
        for place, event in enumerate(events[:number]):
            self._hits(event)
            if place % _PORTION == _PORTION - 1:
                await asyncio.sleep(0)
        if number < len(events):
            self._memory.finish_resuming()
        return events[number:]

    async def _store_what_changed(self, connection: Connection) -> None:
        """Patterns that came or went: what is remembered is stored before the next event."""
        while self._memory.is_due:
            await self._tell(connection, [])

    def _hits(self, event: StoredEvent) -> list[WireHit]:
        """One bad event never stops the others."""
        try:
            normal = event.normal
            if self.matcher.has_moments:
                found = self.matcher.match(normal.fields, event_micros(normal, event.received), event.id)
            else:
                found = self.matcher.match(normal.fields)
            return indicator_hits(found, event, normal) if found else []
        except Exception:
            log.exception("event_not_matched", place=event.id)
            return []

    async def _tell(self, connection: Connection, hits: list[WireHit]) -> None:
        self._told = self.position
        state = self._memory.state()
        await connection.send(Hits(INDICATORS, self.position, fitting(hits), state=state))


def _before(event: StoredEvent) -> Position:
    segment, _, line = event.id.partition("-")
    return Position(int(segment), int(line))
