"""What rules cost: told now and then, the costliest first."""

from __future__ import annotations

from istmo.clock import ManualClock
from istmo.detect.sigma.engine import Meter
from istmo.detect.worker.costs import LEAST_EVENTS, TOLD_SECONDS, RuleCosts, costs


def timed(events: int, seconds: float, **rules: float) -> Meter:
    meter = Meter()
    meter.events, meter.seconds = events, seconds
    for rule, cost in rules.items():
        meter.note(rule, cost)
    return meter


def test_costs_are_by_event_that_was_timed_and_of_rules_that_cost_something() -> None:
    meter = timed(1_000, 0.1, quick=0.000_001, slow=0.04, other=0.01, gone=1.0)
    meter.note("slow", 0.01)
    found = costs(meter, {"quick": "k1", "slow": "k2", "other": "k3"}).rules
    assert [(one.subject, one.nanos, one.asked, one.share) for one in found] == [
        ("k2", 50_000, 2_000, 500),
        ("k3", 10_000, 1_000, 100),
    ]


def test_they_are_told_once_a_minute_and_not_of_a_few_events(clock: ManualClock) -> None:
    told = RuleCosts(clock)
    assert told.due(timed(LEAST_EVENTS - 1, 0.1, slow=0.04), {"slow": "k"}) is None
    meter = timed(LEAST_EVENTS, 0.1, slow=0.04)
    assert told.due(meter, {"slow": "k"}) is not None
    assert told.due(meter, {"slow": "k"}) is None
    clock.advance(seconds=TOLD_SECONDS)
    assert told.due(meter, {"slow": "k"}) is not None


def test_what_was_counted_long_ago_weighs_less(clock: ManualClock) -> None:
    meter = timed(60_000, 6.0, slow=0.6, once=0.6)
    meter.note("slow", 0.6)
    assert RuleCosts(clock).due(meter, {"slow": "k"}) is not None
    assert (meter.events, meter.seconds) == (30_000, 3.0)
    assert {rule: (cost.asked, round(cost.seconds, 3)) for rule, cost in meter.costs.items()} == {
        "slow": (1, 0.6)
    }


def test_a_rule_that_is_not_what_it_was_is_measured_anew() -> None:
    meter = timed(1_000, 0.1, changed=0.04, same=0.01)
    meter.forget(["changed", "never asked"])
    assert set(meter.costs) == {"same"}
