"""The Sigma stage: a thread that follows the log at its own pace, so a slow rule delays nobody else."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

import structlog

from istmo.clock import Clock
from istmo.detect.eventstore.follow import FollowedLog, Follower
from istmo.detect.eventstore.lines import StoredEvent, place_of_id
from istmo.detect.eventstore.times import to_micros
from istmo.detect.hits import fitting, rule_hit
from istmo.detect.sigma.correlating import CorrelationMatch
from istmo.detect.sigma.engine import PlanFolder
from istmo.detect.wire import BEFORE, SIGMA, Costs, Hits, Live, Position, StoredState, WireHit, WireRule
from istmo.detect.worker.correlations import Correlations
from istmo.detect.worker.costs import RuleCosts
from istmo.detect.worker.lags import LagSample
from istmo.detect.worker.link import LinkLost
from istmo.detect.worker.looking import Looking
from istmo.detect.worker.quoting import Found, Quoting
from istmo.detect.worker.rule_table import InForce, RuleTable

log = structlog.get_logger(__name__)

_PORTION: Final = 500
_TOLD_SECONDS: Final = 1.0


class Hearer(Protocol):
    """Who is told what the stage finds. Raises LinkLost when nobody hears any more."""

    async def send(self, message: Hits | Live | Costs) -> None: ...


class SigmaStage:
    """Start it once; ``follow`` and ``pause`` as conversations come and go. Callable from the event loop."""

    def __init__(
        self,
        event_log: FollowedLog,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        plans: PlanFolder | None = None,
        *,
        lateness: int = 0,
        lags: LagSample | None = None,
        give_up: Callable[[], None] | None = None,
    ) -> None:
        """``lateness``, in microseconds, is what correlations wait for; ``lags`` sees a few of the events.

        ``give_up`` is called after a failure that nobody foresaw: without it the stage rests until the next
        conversation.
        """
        self._log = event_log
        self._loop = loop
        self._clock = clock
        self._told_at = clock.monotonic()
        self._table = RuleTable(plans)
        """The builder's own."""
        self._looking = Looking(lags)
        self._give_up = give_up
        self._builder = ThreadPoolExecutor(1, thread_name_prefix="sigma-builder")
        """Makes what comes into force while events go on being asked about by what was before."""
        self._correlations = Correlations(clock, lateness)
        self._costs = RuleCosts(clock)
        self._quoting = Quoting(event_log)
        self._turn = threading.Condition()
        self._changes: deque[Callable[[], None]] = deque()
        self._connection: Hearer | None = None
        self._follower = Follower(event_log, Position())
        self._is_ending = False
        self.position = Position()
        self._again_upto: Position | None = None
        """Events before this one are fed to correlations again, and nothing of it is told."""
        self._judged = BEFORE
        """Up to when they had been judged there."""
        self.rules = 0
        self.correlations: dict[str, int] = {}
        """What they remember and have let go of, by name."""
        self.has_failed = False
        """The rules told last could not be made: nobody is told that they are live."""
        self._told = Position()
        self._thread = threading.Thread(target=self._run, name="sigma-stage", daemon=True)
        self._thread.start()

    def put(
        self,
        generation: int,
        rules: list[WireRule],
        connection: Hearer,
        *,
        reset: bool,
        lists: Mapping[str, list[str]] | None = None,
    ) -> None:
        """Take rules and value lists; ``Live`` is sent once they are in force."""

        self._build(
            lambda: self._table.put(rules, reset=reset, lists=lists),
            lambda: self._say_live(connection, generation),
        )

    def drop(self, generation: int, ids: list[str], connection: Hearer) -> None:
        """Let go of rules; ``Live`` is sent once they no longer count."""

        self._build(lambda: self._table.drop(ids), lambda: self._say_live(connection, generation))

    def follow(
        self,
        position: Position,
        connection: Hearer,
        judged: int = BEFORE,
        state: StoredState | None = None,
    ) -> None:
        """Evaluate everything from ``position`` on; correlations go on from what they remembered there."""

        def change() -> None:
            start = self._correlations.resume(position, state)
            self._follower.seek(start)
            self._again_upto, self._judged = position, judged
            self.position = self._told = position
            self._connection = connection

        self._do(change)

    def pause(self) -> None:
        """Rest until the next ``follow``."""

        self._do(self._break_off)

    def wake(self) -> None:
        """There are new events."""
        with self._turn:
            self._turn.notify()

    def close(self) -> None:
        """End the thread."""
        self._is_ending = True
        self._builder.shutdown(wait=False, cancel_futures=True)
        self.wake()
        self._thread.join(10)

    def _do(self, change: Callable[[], None]) -> None:
        """Change something between two portions of events, after all changes that were asked for before."""
        if not self._is_ending:
            self._builder.submit(self._hand_over, change)

    def _build(self, build: Callable[[], None], then: Callable[[], None]) -> None:
        """Make new rules behind; put them in force between two portions of events."""

        def work() -> None:
            try:
                build()
            except Exception:
                log.exception("rules_not_built")
                self.has_failed = True
                if not len(self._in_force):
                    self._hand_over(self._break_off)  # events wait for rules; what was in force goes on
                return
            self.has_failed = False
            in_force = self._table.in_force
            scan = self._looking.scan_for(in_force.engine)

            def swap() -> None:
                before = self._in_force.ruleset.by_id
                self._looking.use(in_force, scan)
                now = in_force.ruleset.by_id
                in_force.engine.meter.forget(id_ for id_, rule in before.items() if now.get(id_) is not rule)
                then()

            self._hand_over(swap)

        if not self._is_ending:
            self._builder.submit(work)

    @property
    def _in_force(self) -> InForce:
        return self._looking.in_force

    def _break_off(self) -> None:
        self._connection = None

    def _hand_over(self, change: Callable[[], None]) -> None:
        with self._turn:
            self._changes.append(change)
            self._turn.notify()

    def _run(self) -> None:
        while not self._is_ending:
            try:
                self._step()
            except LinkLost:
                self._connection = None
                log.info("stage_waits", stage=SIGMA)
            except Exception:
                log.exception("sigma_stage_failed")
                self._connection = None
                if self._give_up is not None:
                    self._give_up()

    def _step(self) -> None:
        while self._changes:
            self._changes.popleft()()
        connection = self._connection
        if connection is not None and self._again_upto is not None:
            self._feed_again(self._again_upto)
            return
        if connection is not None and self._correlations.is_due:
            self._tell(connection, [])
        block = self._follower.next() if connection is not None else None
        if connection is None or block is None:
            self._rest(connection)
            return
        if self.position == self._told:
            self._told_at = self._clock.monotonic()
        events = block.events
        for start in range(0, len(events), _PORTION):
            portion = events[start : start + _PORTION]
            hits, found = self._look(portion)
            done = start + _PORTION
            self.position = place_of_id(events[done].id) if done < len(events) else block.end
            found += self._found(self.position, self._correlations.pass_time(portion[-1].received))
            if hits or found:
                self._tell(connection, hits, found)
            if self._changes or self._is_ending:
                # A change of rules or of the conversation comes before the rest of the block.
                self._follower.seek(self.position)
                return
        self.position = block.end
        if self._clock.monotonic() - self._told_at >= _TOLD_SECONDS:
            self._tell(connection, [])
        costs = self._costs.due(self._in_force.engine.meter, self._in_force.keys)
        if costs is not None:
            self._send(connection, costs)

    def _feed_again(self, upto: Position) -> None:
        """A block of what correlations had been fed before; the last one brings them to where they were."""
        block = self._follower.next() if self._follower.position < upto else None
        events = [one for one in block.events if place_of_id(one.id) < upto] if block is not None else []
        for start in range(0, len(events), _PORTION):
            if self._changes or self._is_ending:
                self._follower.seek(place_of_id(events[start].id))
                return
            self._look(events[start : start + _PORTION], is_told=False)
        if block is None or block.end >= upto:
            self._correlations.finish_resuming(self._judged)
            self._follower.seek(upto)
            self._again_upto = None

    def _rest(self, connection: Hearer | None) -> None:
        pause = _TOLD_SECONDS
        if connection is not None and self._log.head.position <= self._follower.position:
            now = to_micros(self._clock.now())
            found = self._found(self.position, self._correlations.pass_time(now))
            if found:
                self._tell(connection, [], found)
        if connection is not None and self.position != self._told:
            # A position alone is worth a commit a second, not one an event.
            pause = self._told_at + _TOLD_SECONDS - self._clock.monotonic()
            if pause <= 0:
                self._tell(connection, [])
                pause = _TOLD_SECONDS
        with self._turn:
            if not self._changes and not self._is_ending:
                has_more = connection is not None and self._log.head.position > self._follower.position
                if not has_more:
                    self._turn.wait(pause)

    # --- what rules and correlations find ------------------------------------------------------

    def _look(
        self, events: Sequence[StoredEvent], *, is_told: bool = True
    ) -> tuple[list[WireHit], list[Found]]:
        """Hits of rules that speak for themselves, and matches of correlations."""
        hits: list[WireHit] = []
        found: list[Found] = []
        for event, normal, rule, match in self._looking.find(events, is_told=is_told):
            if match is not None:
                fields = {name: _text(value) for name, value in match.matched.items()}
                hits.append(rule_hit(self._in_force.keys[rule], event, normal, fields))
            found += self._found(place_of_id(event.id), self._correlations.feed(rule, event, normal))
        return hits, found

    @staticmethod
    def _found(at: Position, matches: Sequence[CorrelationMatch]) -> list[Found]:
        return [Found(at, match) for match in matches]

    # --- what is said --------------------------------------------------------------------------

    def _say_live(self, connection: Hearer, generation: int) -> None:
        self._correlations.use(self._in_force.ruleset)
        self.rules = len(self._in_force)
        self.correlations = self._correlations.counts
        try:
            self._send(connection, Live(SIGMA, generation, list(self._in_force.problems)))
        except LinkLost:
            log.info("link_lost_before_live", generation=generation)

    def _tell(self, connection: Hearer, hits: list[WireHit], found: Sequence[Found] = ()) -> None:
        by_id, keys = self._correlations.by_id, self._in_force.keys
        ids = [one.match.correlation_id for one in found]
        named = [(keys[id_], by_id[id_], one) for id_, one in zip(ids, found, strict=True)]
        matches = self._quoting.tell(named) if named else []
        self._send(connection, Hits(SIGMA, self.position, fitting(hits), matches, self._correlations.judged))
        state = self._correlations.state()
        if state is not None:
            # A message of its own, lest both be too long for one.
            self._send(connection, Hits(SIGMA, self.position, [], [], self._correlations.judged, state))
        self.correlations = self._correlations.counts
        self._told = self.position
        self._told_at = self._clock.monotonic()

    def _send(self, connection: Hearer, message: Hits | Live | Costs) -> None:
        if self._is_ending or self._loop.is_closed():
            raise LinkLost
        sending = asyncio.run_coroutine_threadsafe(connection.send(message), self._loop)
        while True:
            try:
                sending.result(0.5)
                return
            except TimeoutError:
                if self._is_ending:
                    sending.cancel()
                    raise LinkLost from None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)
