"""What the worker found, stored: hits with the position after them, in one transaction.

A thread of its own takes whatever waits, so that a flood of hits costs few commits and a single one
no delay. While the database cannot be written it waits and tries again: the worker's position stands
still, so nothing is lost.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from istmo.clock import Clock
from istmo.detect import wire
from istmo.detect.objects_source import Sent
from istmo.detect.records import positions, rules, sources
from istmo.detect.stories import Stories, from_micros
from istmo.detect.wire import Costs, Counted, Hits, HuntHits, Lags, LetGo, SourceCount
from istmo.errors import Unavailable
from istmo.identity import audit
from istmo.model import instants
from istmo.policy.actions import Action
from istmo.policy.decisions import Reason
from istmo.policy.principals import Anonymous, System
from istmo.store.engine import Store, Transaction

log = structlog.get_logger(__name__)

MOST_WAITING: Final = 256
MOST_AT_ONCE: Final = 64
HITS_AT_ONCE: Final = 2_000
_LET_GO: Final = {
    "age": "let_go_age",
    "budget": "let_go_budget",
    "source_budget": "let_go_source_budget",
}
MOST_NAMED_SOURCES: Final = 50
"""Sources that an audit line names, those of which most went first; their sum counts all."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


@dataclass(frozen=True)
class Hunted:
    """The end of a hunt: the digests of the terms of what was hunted for.

    ``problem`` is the code of why it did not see everything; None where it did.
    """

    digests: Mapping[str, str]
    problem: str | None


@dataclass(frozen=True)
class Forgotten:
    """Indicators that are watched for no more."""

    indicators: list[str]


@dataclass(frozen=True)
class Unusable:
    """All rules that the worker cannot use as of now, with code and parameters."""

    rules: Mapping[str, tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class TurnedAway:
    """Senders without a good token: how many, from how many addresses, the busiest one, the last reason."""

    number: int
    addresses: int
    address: str
    code: str


Item = Hits | HuntHits | Counted | Costs | Lags | LetGo | Hunted | Forgotten | Unusable | TurnedAway


class Incoming:
    """Stores what is put, in order. One thread runs it."""

    def __init__(
        self, store: Store, clock: Clock, stories: Stories, counted: Callable[[Iterable[SourceCount]], None]
    ) -> None:
        """``counted`` hears what sources sent once it is stored: the last hour is never more than all."""
        self._store, self._clock, self._stories, self._counted = store, clock, stories, counted
        self._waiting: queue.Queue[Item | None] = queue.Queue(MOST_WAITING)
        self._stopping = threading.Event()
        self._turn = threading.Condition()
        self._put = self._done = 0

    def put(self, item: Item) -> None:
        """Store this next; waits while too much is waiting."""
        with self._turn:
            self._put += 1
        self._waiting.put(item)

    def wait_stored(self, timeout: float) -> bool:
        """Wait until everything that was put so far is stored."""
        with self._turn:
            goal = self._put
            return self._turn.wait_for(lambda: self._done >= goal, timeout)

    def close(self) -> None:
        """End once everything that was put is stored, or at once where it cannot be."""
        self._stopping.set()
        self._waiting.put(None)

    def run(self) -> None:
        """Store until closed."""
        while True:
            batch, is_last = self._take()
            if batch:
                self._store_all(batch)
                with self._turn:
                    self._done += len(batch)
                    self._turn.notify_all()
            if is_last:
                return

    def _take(self) -> tuple[list[Item], bool]:
        batch: list[Item] = []
        hits = 0
        item = self._waiting.get()
        while item is not None:
            batch.append(item)
            hits += len(item.hits) if isinstance(item, (Hits, HuntHits)) else 0
            if len(batch) >= MOST_AT_ONCE or hits >= HITS_AT_ONCE:
                return batch, False
            try:
                item = self._waiting.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _store_all(self, batch: list[Item]) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                with self._store.write() as tx:
                    for item in batch:
                        self._store_one(tx, item)
                for item in batch:
                    if isinstance(item, Counted):
                        self._counted(item.sources)
                return
            except Unavailable as error:
                log.warning("hits_wait_for_database", problem=error.code)
                if self._stopping.wait(pause):
                    return  # told again by the worker: the position stands before them
                pause = min(pause * 2, _LONGEST_PAUSE)
            except Exception:
                if len(batch) == 1:
                    # Only this one is lost, and said to be: the position moves with the next.
                    log.exception("hits_not_stored", kind=type(batch[0]).__name__)
                    return
                log.exception("hits_stored_one_by_one", items=len(batch))
                for item in batch:
                    self._store_all([item])
                return

    def _store_one(self, tx: Transaction, item: Item) -> None:
        match item:
            case Hits(detector=detector, position=position, hits=hits):
                if detector in wire.DETECTORS:
                    found = (item.matches, item.judged, item.state)
                    self._stories.store(tx, detector, hits, position, *found)
            case HuntHits(hits=hits):
                self._stories.store_hunted(tx, hits)
            case Hunted(digests=digests, problem=problem):
                now = self._clock.now()
                positions.finish_hunts(tx.connection, digests, problem, now)
                for indicator in digests:
                    tx.notify("worker", indicator, action="hunted")
            case Forgotten(indicators=indicators):
                positions.forget_hunts(tx.connection, indicators)
            case Unusable(rules=unusable):
                rules.set_problems(tx.connection, unusable)
            case Costs(rules=costs):
                rules.set_costs(tx.connection, costs, self._clock.now())
            case TurnedAway():
                told = {"count": str(item.number), "addresses": str(item.addresses)}
                reasons = [Reason(item.code), Reason("turned_away", told)]
                audit.record(
                    tx, Anonymous(), Action.EVENT_SUBMIT, "intake", audit.DENIED, reasons,
                    self._clock.now(), address=item.address,
                )  # fmt: skip
            case LetGo():
                self._store_let_go(tx, item)
            case Counted(sources=counts):
                sources.count_events(tx.connection, [_sent(one) for one in counts])
            case Lags(sources=lags):
                sources.set_lags(tx.connection, lags)

    def _store_let_go(self, tx: Transaction, item: LetGo) -> None:
        """Which source's events went, how many, and when the first and the last of them had come in."""
        told = {
            "events": str(sum(item.events.values())),
            "first": instants.format(from_micros(item.first)),
            "last": instants.format(from_micros(item.last)),
        }
        each = sorted(item.events.items(), key=lambda one: -one[1])[:MOST_NAMED_SOURCES]
        reasons = [Reason(_LET_GO.get(item.why, item.why), told)]
        reasons += [Reason("let_go_of_source", {"source": id, "events": str(n)}) for id, n in each]
        now = self._clock.now()
        audit.record(tx, System("detect"), Action.EVENT_LET_GO, "events", audit.DONE, reasons, now)


def _sent(one: SourceCount) -> Sent:
    last = from_micros(one.last) if one.last else None
    return Sent(one.id, one.accepted, one.refused, last, one.unreadable, one.doubled, one.reasons)
