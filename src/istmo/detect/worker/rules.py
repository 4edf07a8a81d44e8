"""The Sigma stage: a thread that follows the log at its own pace, so a slow rule delays nobody else."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from istmo.clock import Clock
from istmo.detect.eventstore.follow import Follower
from istmo.detect.eventstore.lines import StoredEvent
from istmo.detect.eventstore.log import EventLog
from istmo.detect.hits import rule_hit
from istmo.detect.normalise import NormalEvent
from istmo.detect.sigma import Match, Rule, RuleFile, RuleSet, collect_rules
from istmo.detect.sigma.engine import Engine, PlanFolder
from istmo.detect.sigma.fields import EventView
from istmo.detect.wire import SIGMA, Hits, Live, Position, Problem, WireHit, WireRule
from istmo.detect.worker.link import Connection, LinkLost

log = structlog.get_logger(__name__)

_PORTION: Final = 500
_TOLD_SECONDS: Final = 1.0
_MOST_PROBLEMS: Final = 1000


class RuleTable:
    """Rules by the web process's key, as they are now."""

    def __init__(self, plans: PlanFolder | None = None) -> None:
        self._plans = plans
        self._rules: dict[str, tuple[Rule, ...]] = {}
        self._texts: dict[str, int] = {}
        self.engine = Engine(RuleSet())
        self.keys: dict[str, str] = {}
        """The web process's key by the rule's own id."""

    def __len__(self) -> int:
        return len(self.keys)

    def put(self, rules: list[WireRule], *, reset: bool) -> list[Problem]:
        """Add or replace rules; what could not be used. One bad rule costs no other."""
        if reset:
            self._rules.clear()
            self._texts.clear()
        problems: list[Problem] = []
        for rule in rules:
            digest = hash(rule.text)
            if self._texts.get(rule.id) == digest and rule.id in self._rules:
                continue
            read = collect_rules([RuleFile(rule.id, rule.text.encode())])
            problems += [
                _told(rule.id, problem.code, problem.line, problem.params) for problem in read.problems
            ]
            self._rules.pop(rule.id, None)
            if read.rules:
                self._rules[rule.id] = read.rules
                self._texts[rule.id] = digest
        self._build()
        return problems[:_MOST_PROBLEMS]

    def drop(self, ids: list[str]) -> None:
        for id_ in ids:
            self._rules.pop(id_, None)
            self._texts.pop(id_, None)
        self._build()

    def _build(self) -> None:
        first = {rule.id: (key, rule) for key, rules in reversed(self._rules.items()) for rule in rules}
        self.keys = {id_: key for id_, (key, _) in first.items()}
        self.engine = Engine(RuleSet(tuple(rule for _, rule in first.values())), self.engine, self._plans)


def _told(subject: str, code: str, line: int, params: Any) -> Problem:
    told: dict[str, str | int] = {"reason": code, "line": line}
    told |= {
        name: value if isinstance(value, (str, int)) else str(value) for name, value in dict(params).items()
    }
    return Problem(subject, "detect.rule_unusable", told)


class SigmaStage:
    """Start it once; ``follow`` and ``pause`` as conversations come and go. Callable from the event loop."""

    def __init__(
        self,
        event_log: EventLog,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        plans: PlanFolder | None = None,
    ) -> None:
        self._log = event_log
        self._loop = loop
        self._clock = clock
        self._told_at = clock.monotonic()
        self._table = RuleTable(plans)
        self._turn = threading.Condition()
        self._changes: deque[Callable[[], None]] = deque()
        self._connection: Connection | None = None
        self._follower = Follower(event_log, Position())
        self._is_ending = False
        self._failed: set[str] = set()
        self.position = Position()
        self.rules = 0
        self._told = Position()
        self._thread = threading.Thread(target=self._run, name="sigma-stage", daemon=True)
        self._thread.start()

    def put(self, generation: int, rules: list[WireRule], connection: Connection, *, reset: bool) -> None:
        """Take rules; ``Live`` is sent once they are in force."""

        def change() -> None:
            problems = self._table.put(rules, reset=reset)
            self._say_live(connection, generation, problems)

        self._do(change)

    def drop(self, generation: int, ids: list[str], connection: Connection) -> None:
        """Let go of rules; ``Live`` is sent once they no longer count."""

        def change() -> None:
            self._table.drop(ids)
            self._say_live(connection, generation, [])

        self._do(change)

    def follow(self, position: Position, connection: Connection) -> None:
        """Evaluate everything from ``position`` on."""

        def change() -> None:
            self._follower.seek(position)
            self.position = self._told = position
            self._connection = connection

        self._do(change)

    def pause(self) -> None:
        """Rest until the next ``follow``."""

        def change() -> None:
            self._connection = None

        self._do(change)

    def wake(self) -> None:
        """There are new events."""
        with self._turn:
            self._turn.notify()

    def close(self) -> None:
        """End the thread."""
        self._is_ending = True
        self.wake()
        self._thread.join(10)

    def _do(self, change: Callable[[], None]) -> None:
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

    def _step(self) -> None:
        while self._changes:
            self._changes.popleft()()
        connection = self._connection
        block = self._follower.next() if connection is not None else None
        if connection is None or block is None:
            self._rest(connection)
            return
        if self.position == self._told:
            self._told_at = self._clock.monotonic()
        events = block.events
        for start in range(0, len(events), _PORTION):
            hits = self._hits(events[start : start + _PORTION])
            done = start + _PORTION
            if done < len(events):
                segment, _, line = events[done].id.partition("-")
                self.position = Position(int(segment), int(line))
            else:
                self.position = block.end
            if hits:
                self._tell(connection, hits)
            if self._changes or self._is_ending:
                # A change of rules or of the conversation comes before the rest of the block.
                self._follower.seek(self.position)
                return
        self.position = block.end
        if self._clock.monotonic() - self._told_at >= _TOLD_SECONDS:
            self._tell(connection, [])

    def _rest(self, connection: Connection | None) -> None:
        pause = _TOLD_SECONDS
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

    def _hits(self, events: Sequence[StoredEvent]) -> list[WireHit]:
        asked: list[tuple[StoredEvent, NormalEvent]] = []
        for event in events:
            try:
                asked.append((event, event.normal))
            except Exception:
                log.exception("event_not_normalised", event=event.id)
        hits = []
        for place, match in self._matches(asked):
            event, normal = asked[place]
            fields = {name: _text(value) for name, value in match.matched.items()}
            hits.append(rule_hit(self._table.keys[match.rule_id], event, normal, fields))
        return hits

    def _matches(self, asked: Sequence[tuple[StoredEvent, NormalEvent]]) -> list[tuple[int, Match]]:
        engine = self._table.engine
        normals = [normal for _, normal in asked]
        try:
            return [(place, engine.explain(rule.id, normals[place])) for place, rule in engine.find(normals)]
        except Exception:
            log.exception("rules_failed_on_events", first=asked[0][0].id, events=len(asked))
        # One of them cannot bear one of these events: ask each alone.
        found = []
        for place, (event, normal) in enumerate(asked):
            view = EventView(normal.fields)
            for matcher in engine.meant_for(normal.logsources):
                try:
                    if matcher.holds(view):
                        found.append((place, matcher.match(view)))
                except Exception:
                    if matcher.rule.id not in self._failed:
                        self._failed.add(matcher.rule.id)
                        log.exception("rule_failed", rule=matcher.rule.id, event=event.id)
        return found

    def _say_live(self, connection: Connection, generation: int, problems: list[Problem]) -> None:
        self.rules = len(self._table)
        try:
            self._send(connection, Live(SIGMA, generation, problems))
        except LinkLost:
            log.info("link_lost_before_live", generation=generation)

    def _tell(self, connection: Connection, hits: list[WireHit]) -> None:
        self._send(connection, Hits(SIGMA, self.position, hits))
        self._told = self.position
        self._told_at = self._clock.monotonic()

    def _send(self, connection: Connection, message: Hits | Live) -> None:
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
