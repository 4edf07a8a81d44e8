"""For all ends of a worker: what correlations find is what they find in a worker that never ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from istmo.clock import ManualClock
from istmo.detect.eventstore.lines import StoredEvent
from istmo.detect.normalise import normalise
from istmo.detect.sigma import RuleSet, load_rules
from istmo.detect.sigma.correlating import CorrelationMatch
from istmo.detect.wire import BEFORE, Position, StoredState, WireState
from istmo.detect.worker.correlations import Correlations

SECOND = 1_000_000
START = 1_772_442_000
RULES = b"""
title: Failed
id: 11111111-1111-4111-8111-111111111111
name: failed
logsource: {product: windows}
detection: {s: {EventID: 1}, condition: s}
---
title: Done
id: 11111111-1111-4111-8111-111111111112
name: done
logsource: {product: windows}
detection: {s: {EventID: 2}, condition: s}
---
title: Many
id: 22222222-2222-4222-8222-222222222221
name: many
correlation: {type: event_count, rules: [failed], group-by: [User], timespan: 20s, condition: {gte: 3}}
---
title: Then in
id: 22222222-2222-4222-8222-222222222222
correlation: {type: temporal_ordered, rules: [many, done], group-by: [User], timespan: 20s, generate: true}
---
title: Few
id: 22222222-2222-4222-8222-222222222223
correlation: {type: event_count, rules: [done], timespan: 5s, condition: {lt: 2}}
"""
RULESET: RuleSet = load_rules(RULES)
Told = tuple[str, str, int, int]


@dataclass
class Log:
    """Events with when they came in, in seconds: kind, user, how late."""

    events: list[StoredEvent] = field(default_factory=list)
    now: int = START

    def append(self, kind: int, user: str, late: int) -> None:
        raw = b'{"EventID":%d,"User":"%b","UtcTime":"%b"}' % (kind, user.encode(), _utc(self.now - late))
        self.events.append(StoredEvent(f"1-{len(self.events)}", self.now * SECOND, "s", raw))


def _utc(second: int) -> bytes:
    minutes, seconds = divmod(second - START + 600, 60)
    return b"2026-03-02 09:%02d:%02d.000" % (minutes, seconds)


class Stage:
    """What the Sigma stage does with correlations, and what the web process stores of it."""

    def __init__(self, log: Log) -> None:
        self.log, self.told = log, list[Told]()
        self.position, self.judged = Position(1, 0), BEFORE
        self.state: StoredState | None = None
        self.digest = ""
        self.start()

    def start(self) -> None:
        """A new worker: all that it knows is what is stored."""
        self.clock = ManualClock(datetime(2026, 3, 2, 9, tzinfo=UTC))
        self.correlations = Correlations(self.clock, 3 * SECOND)
        self.correlations.use(RULESET)
        begin = self.correlations.resume(self.position, self.state)
        for line in range(begin.line, self.position.line):
            self._feed(line)
        self.correlations.finish_resuming(self.judged)
        self.line = self.position.line
        self.waiting: list[CorrelationMatch] = []
        if self.correlations.is_due:
            self.tell()

    def _feed(self, line: int) -> list[CorrelationMatch]:
        event = self.log.events[line]
        rule = next(
            one for one in RULESET.rules if one.title == ("Failed", "Done")[event.data["EventID"] - 1]
        )
        return self.correlations.feed(rule.id, event, normalise(event.data))

    def look(self) -> None:
        """Everything new in the log; it is told, and not stored yet."""
        for line in range(self.line, len(self.log.events)):
            self.waiting += self._feed(line)
        self.line = len(self.log.events)

    def pass_time(self) -> None:
        self.waiting += self.correlations.pass_time(self.log.now * SECOND)

    def tell(self) -> None:
        """Tell, and store."""
        self.told += [_told(one) for one in self.waiting]
        self.waiting = []
        self.position, self.judged = Position(1, self.line), self.correlations.judged
        self._keep(self.correlations.state())

    def _keep(self, state: WireState | None) -> None:
        if state is not None and state.data is not None:
            self.state, self.digest = StoredState(self.position, state.data), state.digest
        elif state is not None and state.digest == self.digest and self.state is not None:
            self.state = StoredState(self.position, self.state.data)


def _told(match: CorrelationMatch) -> Told:
    return match.title, match.group.get("User", ""), match.first, match.last


EVENTS = st.tuples(st.just("event"), st.integers(1, 2), st.sampled_from("ab"), st.integers(0, 4))
STEPS = st.one_of(
    EVENTS,
    EVENTS,
    st.tuples(st.just("wait"), st.integers(1, 9)),
    st.sampled_from([("look",), ("time",), ("tell",), ("hurry",), ("kill",)]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, min_size=20, max_size=60))
def test_whenever_the_worker_ends_all_is_told_once(steps: list[tuple[object, ...]]) -> None:
    log = Log()
    stage = Stage(log)
    for step in steps:
        match step:
            case ("event", int(kind), str(user), int(late)):
                log.append(kind, user, late)
            case ("wait", int(seconds)):
                log.now += seconds
            case ("look",):
                stage.look()
            case ("time",):
                stage.look()
                stage.pass_time()
            case ("tell",):
                stage.tell()
            case ("hurry",):
                stage.clock.advance(3600)  # a memory is due again
            case ("kill",):
                stage.start()
    log.now += 100
    never_ended = Stage(log)
    for one in (stage, never_ended):
        one.look()
        one.pass_time()
        one.tell()
    assert sorted(stage.told) == sorted(never_ended.told)
