"""Events as long as they may be, each found by many: what is told of them is bounded, and nothing is lost."""

from __future__ import annotations

from typing import Final

from istmo.detect import wire

from .conftest import Rig
from .test_worker import EVENT, RULE

LONG: Final = EVENT | {"CommandLine": "x" * 1_000_000}
MANY: Final = 70
"""Times the longest event: more than one message holds."""


def test_a_long_event_with_many_indicators_stops_no_stage(rig: Rig) -> None:
    """Invariant 8: one bad event stops no other."""
    ids = [f"indicator--{number}" for number in range(MANY)]
    rig.put(*(wire.WireIndicator(id_, [("ipv4", "203.0.113.7")]) for id_ in ids))
    rig.send(LONG)
    found = rig.hits("indicators", MANY, 10)
    assert sorted(hit.subject for hit in found) == sorted(ids)
    assert {(hit.event_id, hit.host) for hit in found} == {("1-0", "pc-1.example")}
    rig.send(EVENT)
    assert {hit.event_id for hit in rig.hits("indicators", MANY, 10)} == {"1-1"}


def test_a_long_event_that_many_rules_match_stops_no_stage(rig: Rig) -> None:
    """Invariant 8: one bad event stops no other."""
    rules = [wire.WireRule(str(n), RULE.replace("11111111-", f"{n:08}-")) for n in range(MANY)]
    rig.say(wire.PutRules(5, rules, True))
    rig.hear(wire.Live, lambda live: live.what == "sigma")
    rig.send(LONG)
    assert len(rig.hits("sigma", MANY, 10)) == MANY
    rig.send(EVENT)
    assert {hit.event_id for hit in rig.hits("sigma", MANY, 10)} == {"1-1"}


def test_long_events_are_found_by_searches_and_hunts(rig: Rig) -> None:
    for _ in range(7):
        rig.send(*[LONG] * 10)
    rows, problem = rig.search("203.0.113.7", start=None, end=None, limit=100)
    assert (len(rows), problem) == (70, None)
    rig.settle_stored()
    rig.put(wire.WireIndicator("indicator--1", [("ipv4", "203.0.113.7")]))
    assert len(rig.hunt("indicator--1")) == 70


def test_long_events_are_hunted_by_rules_that_bring_them(rig: Rig) -> None:
    rules = [wire.WireRule(str(n), RULE.replace("11111111-", f"{n:08}-")) for n in range(MANY)]
    rig.send(LONG)
    stretch = wire.Stretch(wire.Position(), wire.Position(1, 1))
    rig.say(wire.HuntRules(7, rules, {}, None, None, 1000, stretch, True))
    told = 0
    while True:
        answer = rig.hear(wire.RuleHits)
        told += len(answer.matches)
        if answer.done:
            break
    assert (told, answer.problem) == (MANY, None)
