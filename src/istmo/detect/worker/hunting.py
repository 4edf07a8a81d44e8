"""Searches and hunts that the web process asked for: run aside, told as they find."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import msgspec
import structlog

from istmo.clock import Clock
from istmo.detect.aside.jobs import (
    CountEvents,
    FindByRules,
    FindBySql,
    FindFields,
    FindHits,
    FindPast,
    FindRows,
    Found,
)
from istmo.detect.aside.pool import MOST_SCHEDULED, Pool
from istmo.detect.eventstore.log import EventLog
from istmo.detect.eventstore.times import to_micros
from istmo.detect.hits import LONGEST_RAW
from istmo.detect.indicators import Moment
from istmo.detect.wire import (
    HUNT_SECONDS,
    INDICATORS,
    AskFields,
    AskPast,
    AskSql,
    Count,
    Fields,
    Hunt,
    HuntHits,
    HuntRules,
    PastFound,
    Position,
    Problem,
    Rows,
    RuleHits,
    Search,
    SqlRows,
    Stretch,
    Tally,
    ToWeb,
    WireHit,
    WireIndicator,
    WireRow,
)
from istmo.detect.worker.indicators import IndicatorStage
from istmo.detect.worker.link import Connection, LinkLost
from istmo.settings import Limits

log = structlog.get_logger(__name__)

_MOST_SEARCHES: Final = 16
_MOST_RULE_HUNTS: Final = 1
"""Closing segments needs one of the processes that searches and these hunts share."""
_MOST_SQL: Final = 1
_MOST_PAST: Final = 2
_PAST_SECONDS: Final = 10.0
_HUNT_SECONDS: Final = float(HUNT_SECONDS)
_FAILED: Final = Problem("", "detect.aside_failed", {})
_CANCELLED: Final = Problem("", "detect.search_cancelled", {})


Asked = Search | Count | HuntRules | AskSql | AskFields | AskPast
Answer = Rows | Tally | RuleHits | SqlRows | Fields | PastFound


class Requests:
    """What one conversation has asked for. Ends with it."""

    def __init__(
        self,
        connection: Connection,
        pool: Pool,
        event_log: EventLog,
        stage: IndicatorStage,
        clock: Clock,
        limits: Limits,
        plans: str = "",
    ) -> None:
        """``plans``: where hunts by rules find compiled rules, and keep them."""
        self._connection = connection
        self._pool = pool
        self._log = event_log
        self._stage = stage
        self._clock = clock
        self._limits = limits
        self._plans = plans
        self._searches: dict[int, asyncio.Task[None]] = {}
        self._asked: dict[int, Asked] = {}
        self._hunts: dict[int, list[str]] = {}
        self._running: dict[int, list[str]] = {}
        self._hunting: asyncio.Task[None] | None = None

    async def search(self, asked: Asked) -> None:
        """Begin a search, a hunt by rules, or to count what a search would find."""
        if self._is_too_much(asked) or len(self._searches) >= _MOST_SEARCHES:
            busy = Problem("", "detect.search_busy", {})
            await self._connection.send(_end_of(asked, busy))
            return
        self._searches[asked.request] = asyncio.create_task(self._search(asked))
        self._asked[asked.request] = asked

    def _is_too_much(self, asked: Asked) -> bool:
        """Whether as much of its kind is under way as may be. What runs by itself takes nobody's place."""
        if _is_scheduled(asked):
            return sum(map(_is_scheduled, self._asked.values())) >= MOST_SCHEDULED
        if isinstance(asked, AskSql):
            statements = [one for one in self._asked.values() if isinstance(one, AskSql)]
            return sum(not one.scheduled for one in statements) >= _MOST_SQL
        if isinstance(asked, AskPast):
            return sum(isinstance(one, AskPast) for one in self._asked.values()) >= _MOST_PAST
        if not isinstance(asked, HuntRules):
            return False
        hunts = [one for one in self._asked.values() if isinstance(one, HuntRules)]
        return sum(not one.scheduled for one in hunts) >= _MOST_RULE_HUNTS

    def hunt(self, asked: Hunt) -> None:
        """Begin a hunt, or add it to those that wait: one pass over the store serves them all."""
        self._hunts[asked.request] = asked.indicator_ids
        if self._hunting is None or self._hunting.done():
            self._hunting = asyncio.create_task(self._hunt_all())

    async def cancel(self, request: int) -> None:
        """Stop a search or a hunt."""
        searching, asked = self._searches.pop(request, None), self._asked.get(request)
        if searching is not None and asked is not None:
            searching.cancel()
            await asyncio.gather(searching, return_exceptions=True)
            self._asked.pop(request, None)  # one that was called off before it began has not let go of it
            await self._connection.send(_end_of(asked, _CANCELLED))
        elif self._hunts.pop(request, None) is not None or self._running.pop(request, None) is not None:
            await self._connection.send(HuntHits(request, [], True, _CANCELLED))
            if not self._running and not self._hunts and self._hunting is not None:
                self._hunting.cancel()

    async def close(self) -> None:
        """Stop everything."""
        tasks = [*self._searches.values(), *([self._hunting] if self._hunting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _search(self, asked: Asked) -> None:
        try:
            async with aclosing(self._pool.run(self._job(asked))) as answers:
                async for answer in answers:
                    await self._send(_answer_of(asked, answer))
        except Exception:
            log.exception("search_failed")
            await self._send(_end_of(asked, _FAILED))
        finally:
            self._searches.pop(asked.request, None)
            self._asked.pop(asked.request, None)

    def _job(self, asked: Asked) -> FindRows | CountEvents | FindByRules | FindBySql | FindFields | FindPast:
        upto, seconds = self._log.head.position, float(self._limits.search_seconds)
        if isinstance(asked, HuntRules):
            limit = max(0, min(asked.limit, self._limits.search_rows))
            upto, after = _bounds(asked.stretch, upto)
            return FindByRules(
                asked.rules,
                asked.lists,
                asked.start,
                asked.end,
                limit,
                upto,
                _HUNT_SECONDS,
                self._plans,
                after,
                asked.scheduled,
            )
        if isinstance(asked, AskSql):
            limit = max(1, min(asked.limit, self._limits.search_rows))
            seconds = _HUNT_SECONDS if asked.scheduled else seconds
            return FindBySql(asked.sql, asked.start, asked.end, limit, upto, seconds, asked.scheduled)
        if isinstance(asked, AskFields):
            return FindFields(upto, seconds)
        if isinstance(asked, AskPast):
            now = to_micros(self._clock.now())
            return FindPast(asked.indicators, upto, asked.start, now, min(asked.seconds, _PAST_SECONDS))
        if isinstance(asked, Count):
            top = max(1, min(asked.top, self._limits.search_rows))
            bucket = max(0, asked.bucket)
            return CountEvents(asked.query, asked.start, asked.end, asked.by, top, bucket, upto, seconds)
        limit = max(1, min(asked.limit, self._limits.search_rows))
        upto, after = _bounds(asked.stretch, upto)
        seconds = _HUNT_SECONDS if asked.scheduled else seconds
        return FindRows(
            asked.query,
            asked.start,
            asked.end,
            limit,
            upto,
            seconds,
            after,
            asked.scheduled,
            asked.pattern,
            asked.before,
        )

    async def _hunt_all(self) -> None:
        while self._hunts:
            self._running, self._hunts = self._hunts, {}
            try:
                await self._hunt()
            except asyncio.CancelledError:
                raise
            except Exception:
                log.exception("hunt_failed")
                for request in self._running:
                    await self._send(HuntHits(request, [], True, _FAILED))
            self._running = {}

    async def _hunt(self) -> None:
        found = {id_: self._stage.live_since(id_) for ids in self._running.values() for id_ in ids}
        live = {id_: known for id_, known in found.items() if known is not None}
        problem: Problem | None = None
        if live and self._log.head.events:
            async with aclosing(self._find(live)) as answers:
                async for answer in answers:
                    problem = answer.problem
                    await self._tell(answer.hits)
                    for id_, earlier in answer.memory.items():
                        await self._go_on(live[id_][0], earlier)
        for request in self._running:
            await self._send(HuntHits(request, [], True, problem))

    def _find(self, live: dict[str, tuple[WireIndicator, Position]]) -> AsyncGenerator[Found, None]:
        job = FindHits(
            indicators=[indicator for indicator, _ in live.values()],
            upto={id_: position for id_, (_, position) in live.items()},
            now=to_micros(self._clock.now()),
            seconds=_HUNT_SECONDS,
        )
        return self._pool.run(job)

    async def _go_on(self, indicator: WireIndicator, earlier: list[list[Moment]]) -> None:
        """The stage remembers what came before the indicator, and what has come since is asked about anew."""
        for event, fields in await self._stage.precede(indicator, earlier):
            job = FindRows(f"id:{event}", None, None, 1, self._log.head.position, _HUNT_SECONDS)
            async with aclosing(self._pool.run(job)) as answers:
                async for answer in answers:
                    await self._tell([_hit_of(indicator.id, row, fields) for row in answer.rows])

    async def _tell(self, found: list[WireHit]) -> None:
        for request, ids in list(self._running.items()):
            wanted = set(ids)
            hits = [hit for hit in found if hit.subject in wanted]
            if hits:
                await self._send(HuntHits(request, hits, False))

    async def _send(self, message: ToWeb) -> None:
        try:
            await self._connection.send(message)
        except LinkLost:
            log.info("answer_to_nobody")


def _hit_of(indicator: str, row: WireRow, fields: dict[str, str]) -> WireHit:
    raw = row.raw[:LONGEST_RAW]
    return WireHit(
        INDICATORS, indicator, row.event_id, row.time, row.host, fields, raw, True, row.received, row.source
    )


def _is_scheduled(asked: Asked) -> bool:
    return isinstance(asked, (Search, HuntRules, AskSql)) and asked.scheduled


def _bounds(stretch: Stretch | None, head: Position) -> tuple[Position, Position | None]:
    """Before and after which place in the log is looked."""
    return (head, None) if stretch is None else (min(stretch.upto, head), stretch.after)


def _answer_of(asked: Asked, found: Found) -> Answer:
    if isinstance(asked, Search):
        return Rows(asked.request, found.rows, found.done, found.problem, found.looked, found.of)
    if isinstance(asked, HuntRules):
        told = found.by_rules or RuleHits(0, found.done, problem=found.problem)
        return msgspec.structs.replace(told, request=asked.request)
    if isinstance(asked, AskSql):
        table = found.table or SqlRows(0, found.done, problem=_of_sql(found.problem))
        return msgspec.structs.replace(table, request=asked.request)
    if isinstance(asked, AskFields):
        fields = found.fields or Fields(0, found.done, problem=found.problem)
        return msgspec.structs.replace(fields, request=asked.request)
    if isinstance(asked, AskPast):
        past = found.past or PastFound(0, found.done, problem=found.problem)
        return msgspec.structs.replace(past, request=asked.request)
    tally = found.tally or Tally(asked.request, found.done, problem=found.problem)
    return msgspec.structs.replace(tally, request=asked.request)


def _end_of(asked: Asked, problem: Problem) -> Answer:
    if isinstance(asked, Search):
        return Rows(asked.request, [], True, problem)
    if isinstance(asked, HuntRules):
        return RuleHits(asked.request, True, problem=problem)
    if isinstance(asked, AskSql):
        return SqlRows(asked.request, True, problem=problem)
    if isinstance(asked, AskFields):
        return Fields(asked.request, True, problem=problem)
    if isinstance(asked, AskPast):
        return PastFound(asked.request, True, problem=problem)
    return Tally(asked.request, True, problem=problem)


def _of_sql(problem: Problem | None) -> Problem | None:
    """A process that died while it ran SQL did so of what it was asked, as far as anybody can tell."""
    return Problem("", "detect.sql_died", {}) if problem == _FAILED else problem
