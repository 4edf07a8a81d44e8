"""What rests is kept up: what is kept no longer goes, small neighbours become one, and what is not sealed as
is wanted now is written anew.

Only while the web process is there to say what is wanted and how far it has stored what was found:
before that place nobody reads an event again, neither a stage that starts anew nor a correlation that
feeds itself what it forgot. What goes is told before it does.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import structlog

from istmo.clock import Clock
from istmo.detect.aside.jobs import Rewrite
from istmo.detect.aside.pool import Pool
from istmo.detect.eventstore.disk import RESERVE, has_room
from istmo.detect.eventstore.folder import Closed
from istmo.detect.eventstore.keeping import Going, Keep, Wanted, daily_bytes, going, mergeable
from istmo.detect.eventstore.log import EventLog
from istmo.detect.eventstore.resting import Resting
from istmo.detect.eventstore.rewriting import Without, remove_superseded
from istmo.detect.eventstore.sealing import PLAIN
from istmo.detect.eventstore.times import to_micros
from istmo.detect.wire import AskKeeping, Keeping, LetGo, Notice, Sealing
from istmo.detect.worker.link import Connection

log = structlog.get_logger(__name__)

TEND_SECONDS: Final = 60.0
_GRACE_SECONDS: Final = 900.0
"""Longer than any search or hunt: whoever has begun with the old files finishes with them."""
_AGAIN_SECONDS: Final = 300.0
_BUSY: Final = "detect.store_in_use"


class Tending:
    """One step after another, in the worker's own loop."""

    def __init__(
        self,
        event_log: EventLog,
        pool: Pool,
        keep: Keep,
        clock: Clock,
        note: Callable[[Notice], None],
        seconds: float = TEND_SECONDS,
    ) -> None:
        """``keep`` is meant for the whole store; ``note`` takes what an administrator should know."""
        self._log, self._pool, self._keep, self._clock = event_log, pool, keep, clock
        self._note, self._seconds = note, seconds
        self._due = clock.monotonic() + min(seconds, 1.0)
        self._keeping: Keeping | None = None
        self._superseded: deque[tuple[float, Sequence[Closed]]] = deque()
        self._failed: set[Closed] = set()
        self._is_over = False

    def hear(self, keeping: Keeping) -> None:
        """What the web process answered."""
        self._keeping = keeping

    @property
    def is_due(self) -> bool:
        """Whether there is something to do or to ask."""
        now = self._clock.monotonic()
        has_old = bool(self._superseded) and now >= self._superseded[0][0]
        return self._keeping is not None or now >= self._due or has_old

    async def step(self, connection: Connection | None) -> None:
        """Do the next thing. Raises LinkLost where there is nobody to be told."""
        now = self._clock.monotonic()
        while self._superseded and now >= self._superseded[0][0]:
            await asyncio.to_thread(remove_superseded, self._log.folder, self._superseded.popleft()[1])
        if connection is None:
            self._keeping = None
        elif self._keeping is None and now >= self._due:
            self._due = now + self._seconds
            await connection.send(AskKeeping())
        elif self._keeping is not None:
            keeping, self._keeping = self._keeping, None
            if await self._tend(connection, keeping):
                self._due = now  # there may be more

    async def _tend(self, connection: Connection, keeping: Keeping) -> bool:
        """Let go of what is to go, or merge, or seal anew; False where there was nothing to do."""
        now = to_micros(self._clock.now())
        before = min(keeping.read, self._log.head.position).segment
        resting = self._log.shelf.all()
        wanted = Wanted(self._keep, {source: Keep(*kept) for source, kept in keeping.sources.items()})
        ahead = _ahead(self._log)
        leaving = going(resting, wanted, now, before, ahead)
        if wholes := [one for one in leaving if one.is_whole]:
            await self._tell(connection, wholes)
            await asyncio.to_thread(self._log.folder.remove, [one.resting.closed for one in wholes])
            await asyncio.to_thread(self._log.recount)
            return True
        for one in leaving:
            if one.resting.closed not in self._failed:
                if not has_room(self._log.folder.segments, 2 * one.resting.size):
                    # Not told to go before there is room to write what stays.
                    self._note(Notice("detect.segment_not_rewritten", {"segment": one.resting.closed.first}))
                    self._due = self._clock.monotonic() + _AGAIN_SECONDS
                    return False
                await self._tell(connection, [one])
                return await self._rewrite([one.resting.closed], {one.resting.closed: frozenset(one.why)})
        self._watch_budget(sum(one.size for one in resting) + ahead)
        run = [one.closed for one in mergeable(resting, now, before, self._barriers())]
        if not run:
            run = self._sealed_otherwise(resting, before)
        return bool(run) and await self._rewrite(run, {})

    def _sealed_otherwise(self, resting: Sequence[Resting], before: int) -> list[Closed]:
        """The first segment that is not sealed as what is written now; none where there is none."""
        wanted = self._log.folder.keys.first
        for one in resting:
            if one.key != wanted and one.closed.last < before and one.closed not in self._failed:
                return [one.closed]
        return []

    def _barriers(self) -> list[int]:
        shut = (*self._log.shelf.unreadable(), *self._failed)
        waiting = self._log.folder.wal_segments()
        return [*waiting, *(segment for one in shut for segment in range(one.first, one.last + 1))]

    async def _tell(self, connection: Connection, leaving: Iterable[Going]) -> None:
        told: dict[str, LetGo] = {}
        for one in leaving:
            for source, why in one.why.items():
                part = one.resting.parts[source]
                before = told.get(why, LetGo(why, {}, part.first, part.last))
                events = Counter(before.events)
                events[source] += part.lines
                told[why] = LetGo(
                    why, dict(events), min(before.first, part.first), max(before.last, part.last)
                )
        for each in told.values():
            log.info("events_let_go", why=each.why, events=sum(each.events.values()))
            await connection.send(each)

    async def _rewrite(self, olds: Sequence[Closed], without: Without) -> bool:
        job = Rewrite(
            [(one.first, one.last, one.generation) for one in olds],
            [sorted(without.get(one, ())) for one in olds],
        )
        async for answer in self._pool.run(job):
            if answer.problem is None:
                self._superseded.append((self._clock.monotonic() + _GRACE_SECONDS, olds))
                await asyncio.to_thread(self._log.recount)
                return True
            if answer.problem.code != _BUSY:
                if answer.problem.code != "detect.disk_full":
                    self._failed.update(olds)
                self._note(Notice("detect.segment_not_rewritten", {"segment": olds[0].first}))
        self._due = self._clock.monotonic() + _AGAIN_SECONDS
        return False

    def _watch_budget(self, taken: int) -> None:
        is_over = 0 < self._keep.budget < taken
        if is_over and not self._is_over:
            self._note(Notice("detect.budget_passed", {"bytes": taken, "budget": self._keep.budget}))
        self._is_over = is_over

    # What rests, for whoever asks

    def oldest(self) -> int:
        """When the oldest closed event came in, µs since 1970; 0 without any."""
        return min((one.first for one in self._log.shelf.all() if one.parts), default=0)

    def daily(self) -> int:
        """Bytes that a day brings."""
        return daily_bytes(self._log.shelf.all(), to_micros(self._clock.now()))

    def sealing(self, waiting: int) -> Sealing | None:
        """How what rests is sealed; ``waiting`` segments do not rest yet, since their key is not there."""
        keys = self._log.folder.keys
        sizes: Counter[str] = Counter()
        for one in self._log.shelf.all():
            kind = "plain" if one.key == PLAIN else "sealed" if one.key == keys.first else "older"
            sizes[kind] += one.size
        shut = waiting + len(self._log.shelf.shut())
        if not keys and not shut:
            return None
        return Sealing(keys.first.hex(), sizes["sealed"], sizes["older"], sizes["plain"], shut)

    def room(self) -> int:
        """Bytes that there is still room for: on the disk, or less where the budget says so."""
        free = max(0, shutil.disk_usage(self._log.folder.root).free - RESERVE)
        if not self._keep.budget:
            return free
        return min(free, max(0, self._keep.budget - _taken(self._log.shelf.all()) - _ahead(self._log)))


def _taken(resting: Iterable[Resting]) -> int:
    return sum(one.size for one in resting)


def _ahead(event_log: EventLog) -> int:
    """Bytes of the store that do not rest yet."""
    folder = event_log.folder
    return sum(folder.wal_path(one).stat().st_size for one in folder.wal_segments())
