"""The worker alone, the web process's part played by the test: what it takes up again, and what it tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from istmo.detect import wire
from istmo.settings import Limits

from .conftest import Rig

RULE = """
title: Failed logon
id: 11111111-1111-4111-8111-111111111111
name: failed
logsource: {category: network_connection, product: windows}
detection:
  selection: {EventID: 3}
  condition: selection
"""
MANY = """
title: Many of them
id: 22222222-2222-4222-8222-222222222222
correlation: {type: event_count, rules: [failed], group-by: [User], timespan: 300m, condition: {gte: 4}}
"""
BOTH = [wire.WireRule("rule", RULE), wire.WireRule("many", MANY)]


def event(user: str, minute: int) -> dict[str, Any]:
    return {
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "EventID": 3,
        "UtcTime": f"2026-03-02 {9 + minute // 60:02}:{minute % 60:02}:00.000",
        "User": user,
    }


@dataclass
class Stored:
    """What the web process has stored: a message is whole or not at all."""

    position: wire.Position = field(default_factory=wire.Position)
    judged: int = wire.BEFORE
    state: wire.StoredState | None = None
    digest: str = ""
    matches: list[wire.WireMatch] = field(default_factory=list)

    def take(self, hits: wire.Hits) -> None:
        before = (self.position, self.judged)
        self.matches += [one for one in hits.matches if (one.at, one.last) > before]
        self.position, self.judged = max((hits.position, hits.judged), before)
        state = hits.state
        if state is not None and state.data is not None:
            self.state, self.digest = wire.StoredState(hits.position, state.data), state.digest
        elif state is not None and self.state is not None and state.digest == self.digest:
            self.state = wire.StoredState(hits.position, self.state.data)

    def hear(self, rig: Rig, until: Callable[[], bool]) -> None:
        """Store what is told until something holds."""
        while not until():
            self.take(rig.hear(wire.Hits, lambda hits: hits.detector == "sigma"))

    def to_line(self, rig: Rig, line: int) -> None:
        self.hear(rig, lambda: self.position >= wire.Position(1, line))

    def start(self, rig: Rig, rules: list[wire.WireRule] = BOTH) -> None:
        """A worker that is told what is stored."""
        rig.start()
        rig.accept(sync=False)
        self.go_on(rig, rules)

    def go_on(self, rig: Rig, rules: list[wire.WireRule] = BOTH) -> None:
        rig.say(wire.Welcome({"sigma": self.position}, "hn", ["hn"], self.judged, self.state))
        rig.say(wire.PutRules(2, rules, True, {}))
        rig.say(wire.Synced())
        rig.hear(wire.Live, lambda live: live.what == "sigma")


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    return make_rig(limits=Limits(lateness_seconds=0))


def test_a_match_that_was_told_and_not_stored_is_told_again(rig: Rig) -> None:
    stored = Stored()
    stored.start(rig)
    rig.send(*(event("ana", n) for n in range(3)))
    stored.to_line(rig, 3)
    rig.send(event("ana", 3), event("beto", 200))
    lost = rig.hear(wire.Hits, lambda hits: bool(hits.matches))
    assert [one.group for one in lost.matches] == [{"User": "ana"}]
    rig.kill()
    stored.start(rig)
    stored.hear(rig, lambda: bool(stored.matches))
    assert [(one.group, one.last) for one in stored.matches] == [({"User": "ana"}, lost.matches[0].last)]
    assert [hit.event_id for hit in stored.matches[0].events] == ["1-0", "1-1", "1-2", "1-3"]


def test_a_match_that_was_stored_is_not_told_again_though_the_memory_is_older(rig: Rig) -> None:
    """The memory is stored less often than the position: what lies between is fed again, and not told."""
    stored = Stored()
    stored.start(rig)
    rig.send(*(event("ana", n) for n in range(2)))
    stored.to_line(rig, 2)
    stored.hear(rig, lambda: stored.state is not None)
    old = stored.state
    rig.send(event("ana", 2), event("ana", 3), event("beto", 200))
    stored.to_line(rig, 5)
    stored.hear(rig, lambda: bool(stored.matches))
    stored.state = old
    rig.kill()
    stored.start(rig)
    rig.send(event("ana", 4), event("beto", 201), event("beto", 202), event("beto", 203), event("eva", 400))
    stored.to_line(rig, 10)
    stored.hear(rig, lambda: len(stored.matches) > 1)
    assert [one.group["User"] for one in stored.matches] == ["ana", "beto"]
    assert [hit.event_id for hit in stored.matches[1].events] == ["1-4", "1-6", "1-7", "1-8"]


def test_a_match_that_time_alone_brought_is_not_told_again(rig: Rig) -> None:
    stored = Stored()
    stored.start(rig)
    rig.send(*(event("ana", n) for n in range(4)))
    stored.hear(rig, lambda: bool(stored.matches))
    assert stored.position == stored.matches[0].at == wire.Position(1, 4)
    rig.kill()
    stored.start(rig)
    rig.send(event("beto", 250))
    stored.to_line(rig, 5)
    rig.send(event("beto", 290))
    stored.to_line(rig, 6)
    assert len(stored.matches) == 1


def test_a_correlation_that_is_new_counts_from_where_it_came_in_force(rig: Rig) -> None:
    """What is fed again for the others is not for it: it would match, and fall silent, unheard."""
    stored = Stored()
    stored.start(rig)
    rig.send(*(event("ana", n) for n in range(2)))
    stored.to_line(rig, 2)
    stored.hear(rig, lambda: stored.state is not None)
    old = stored.state
    rig.send(*(event("ana", 2 + n) for n in range(2)))
    stored.to_line(rig, 4)
    stored.state = old
    rig.kill()
    new = MANY.replace("2222-4222", "2222-4223").replace("gte: 4", "gte: 3")
    stored.start(rig, [*BOTH, wire.WireRule("new", new)])
    rig.send(*(event("ana", 10 + n) for n in range(3)), event("eva", 290))
    stored.hear(rig, lambda: {one.subject for one in stored.matches} == {"many", "new"})
    (found,) = [one for one in stored.matches if one.subject == "new"]
    assert [hit.event_id for hit in found.events] == ["1-4", "1-5", "1-6"]


def test_a_memory_that_cannot_be_read_is_begun_anew_and_detection_goes_on(rig: Rig) -> None:
    stored = Stored(state=wire.StoredState(wire.Position(), b"no memory"))
    stored.start(rig)
    rig.send(*(event("ana", n) for n in range(4)))
    stored.hear(rig, lambda: bool(stored.matches))


def test_a_stage_without_correlations_remembers_nothing(rig: Rig) -> None:
    stored = Stored()
    stored.start(rig, [BOTH[0]])
    rig.send(event("ana", 1))
    told = rig.hear(wire.Hits, lambda hits: bool(hits.hits))
    assert (told.state, told.matches) == (None, [])
    assert rig.stats().correlations == {}


OF_EACH_TYPE = {
    "event_count": "gte: 3",
    "value_count": "field: DestinationPort, gte: 3",
    "value_sum": "field: DestinationPort, gte: 60",
    "value_avg": "field: DestinationPort, gt: 19",
    "value_percentile": "field: DestinationPort, percentile: 50, gt: 19",
}


def test_correlations_of_every_type_are_told_by_a_real_worker(rig: Rig) -> None:
    documents = [wire.WireRule("rule", RULE)]
    for number, (type_, condition) in enumerate(OF_EACH_TYPE.items()):
        text = f"""
title: By {type_}
id: 44444444-4444-4444-8444-00000000000{number}
correlation: {{type: {type_}, rules: [failed], group-by: [User], timespan: 1h, condition: {{{condition}}}}}
"""
        documents.append(wire.WireRule(type_, text))
    other = (
        RULE.replace("1111-1111", "1111-2222").replace("failed", "later").replace("EventID: 3", "EventID: 4")
    )
    documents.append(wire.WireRule("other", other.replace("category: network_connection, ", "")))
    for number, type_ in enumerate(("temporal", "temporal_ordered")):
        text = f"""
title: By {type_}
id: 55555555-5555-4555-8555-00000000000{number}
correlation: {{type: {type_}, rules: [failed, later], group-by: [User], timespan: 1h}}
"""
        documents.append(wire.WireRule(type_, text))
    stored = Stored()
    stored.start(rig, documents)
    rig.send(*({**event("a", minute), "DestinationPort": 10 * (minute + 1)} for minute in range(3)))
    rig.send({**event("b", 4), "DestinationPort": 10}, {**event("a", 5), "EventID": 4})
    types = {*OF_EACH_TYPE, "temporal", "temporal_ordered"}
    stored.hear(rig, lambda: {one.subject for one in stored.matches} == types)
    assert {one.group["User"] for one in stored.matches} == {"a"}
