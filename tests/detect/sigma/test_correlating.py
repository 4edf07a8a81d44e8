"""What a responder sees of correlations: when they match, how often, with what, and within which bounds."""

from __future__ import annotations

from typing import Any

import pytest

from istmo.detect.sigma import load_rules
from istmo.detect.sigma.correlating import (
    CorrelationMatch,
    Correlator,
    CorrelatorLimits,
    SnapshotUnreadable,
)
from istmo.detect.sigma.correlating.oracle import Event

from .correlated import SECOND, at, correlation, loaded, run
from .test_correlations import SPECIFICATION

FAILED, SUCCEEDED = "53ba33fd-3a50-4468-a5ef-c583635cfa92", "4d0a2c83-c62c-4ed4-b475-c7e23a9269b8"
BRUTE = {"type": "event_count", "rules": "[a]", "group_by": "[User]", "timespan": "10m"}


def times(matches: list[CorrelationMatch]) -> list[float]:
    return [match.last / SECOND for match in matches]


def judged(events: list[Event], **section: str) -> list[CorrelationMatch]:
    return run(loaded(correlation("k", **section)), events)


def test_many_failed_logins_then_a_success_as_in_the_specification() -> None:
    found = load_rules(SPECIFICATION.encode())
    failures = [at(10 * n, FAILED, User="Ana", Host=f"h{n}") for n in range(10)]
    (match,) = run(found, [*failures, at(300, SUCCEEDED, User="ANA"), at(301, SUCCEEDED, User="luis")])
    assert match.title == "Correlation - Multiple Failed Logins Followed by Successful Login"
    assert (match.level, match.value) == ("high", 2)
    assert match.group["User"].lower() == "ana"
    assert match.references == tuple(range(11))
    assert (match.first, match.last) == (0, 300 * SECOND)
    assert run(found, [*failures[:9], at(300, SUCCEEDED, User="Ana")]) == []


def test_a_success_is_found_however_long_the_failures_went_on() -> None:
    found = load_rules(SPECIFICATION.encode())
    failures = [at(30 * n, FAILED, User="Ana") for n in range(1000)]
    (match,) = run(found, [*failures, at(30_001, SUCCEEDED, User="Ana")])
    assert match.first == 0


def test_a_flood_is_one_match_and_fills_no_memory() -> None:
    correlator = Correlator(loaded(correlation("k", condition="{gte: 10}", **BRUTE)))
    found = [
        match for n in range(10_000) for match in correlator.feed("a", {"User": "ana"}, n * SECOND // 10, n)
    ]
    assert [(match.value, match.references) for match in found] == [(10, tuple(range(10)))]
    assert correlator.remembered <= CorrelatorLimits().contributors


def test_it_matches_again_once_a_timespan_passed_in_which_it_did_not_hold() -> None:
    one = [at(n, User="ana") for n in range(3)]
    soon, later = [at(600 + n, User="ana") for n in range(3)], [at(2000 + n, User="ana") for n in range(3)]
    assert times(judged([*one, *soon, *later], condition="{gte: 3}", **BRUTE)) == [2, 2002]


def test_both_ends_of_the_window_count() -> None:
    for gap, is_matched in [(600, True), (600.000001, False)]:
        found = judged([at(0, User="a"), at(gap, User="a")], condition="{gte: 2}", **BRUTE)
        assert bool(found) is is_matched


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("{gt: 2}", [3]),
        ("{gte: 2}", [2]),
        ("{eq: 4}", [4]),
        ("{lt: 2}", [1]),
        ("{lte: 1}", [1]),
        ("{neq: 1}", [2]),
        ("{gt: 2, lte: 3}", [3]),
    ],
)
def test_a_condition_is_held_against_the_count_at_each_event(condition: str, expected: list[int]) -> None:
    found = judged([at(n, User="a") for n in range(1, 6)], condition=condition, **BRUTE)
    assert [match.value for match in found] == expected


def test_groups_are_apart_and_case_and_numbers_as_text_are_not() -> None:
    same: list[tuple[Any, Any]] = [("Ana", "ANA"), (7, "7"), (True, "true")]
    for first, second in same:
        assert judged([at(0, User=first), at(1, User=second)], condition="{gte: 2}", **BRUTE)
    assert not judged([at(0, User="ana"), at(1, User="luis")], condition="{gte: 2}", **BRUTE)


@pytest.mark.parametrize("fields", [{}, {"User": None}, {"User": []}])
def test_an_event_without_the_field_of_its_group_counts_nowhere(fields: dict[str, Any]) -> None:
    correlator = Correlator(loaded(correlation("k", condition="{gte: 1}", **BRUTE)))
    correlator.feed("a", fields, 0, 0)
    assert correlator.flush(SECOND) == []
    assert correlator.counts.without_group == 1


def test_a_list_puts_an_event_into_the_group_of_each_value() -> None:
    events = [at(0, User=["ana", "luis"]), at(1, User="ANA"), at(2, User="luis")]
    groups = [match.group["User"] for match in judged(events, condition="{gte: 2}", **BRUTE)]
    assert groups == ["ana", "luis"]


def test_without_a_group_all_events_are_one() -> None:
    section = BRUTE | {"group_by": "[]", "rules": "[a, b]"}
    (match,) = judged([at(0, "a"), at(1, "b")], condition="{gte: 2}", **section)
    assert match.group == {}


def test_distinct_values_are_counted_over_several_fields_together() -> None:
    section = BRUTE | {"type": "value_count", "group_by": "[]"}
    events = [at(0, User="ana", Host="x"), at(1, User="ANA", Host="X"), at(2, User="ana", Host="y")]
    assert times(judged(events, condition="{field: User, gte: 1}", **section)) == [0]
    assert times(judged(events, condition="{field: [User, Host], gte: 2}", **section)) == [2]


def test_sums_and_averages_take_numbers_and_texts_of_numbers() -> None:
    section = BRUTE | {"group_by": "[]"}
    events = [at(n, Sent=sent) for n, sent in enumerate([0.1, "0.2", "much", None, [1, 2], True])]
    (total,) = judged(events, condition="{field: Sent, gte: 3.3}", **section | {"type": "value_sum"})
    assert (total.value, total.references) == (3.3, (0, 1, 4))
    (mean,) = judged(events, condition="{field: Sent, gt: 0.5}", **section | {"type": "value_avg"})
    assert mean.value == 0.825


def test_a_percentile_is_a_value_of_the_events_and_without_one_the_share_of_the_newest() -> None:
    section = BRUTE | {"type": "value_percentile", "group_by": "[Host]"}
    amounts = [at(n, Host="h", Sent=sent) for n, sent in enumerate([1, 9, 5])]
    (median,) = judged(amounts, condition="{field: Sent, percentile: 50, gte: 5}", **section)
    assert (median.last, median.value) == (2 * SECOND, 5)
    usual = [at(n, Host="h", Image="explorer") for n in range(99)]
    events = [*usual, at(100, Host="h", Image="rare")]
    (share,) = judged(events, condition="{field: Image, lte: 1}", **section)
    assert (share.value, share.references) == (1, (99,))


def test_temporal_asks_for_all_rules_and_ordered_for_their_order_too() -> None:
    section = {"rules": "[a, b, c]", "timespan": "5m", "group_by": "[User]"}
    events = [at(0, "c", User="x"), at(1, "a", User="x"), at(2, "b", User="x"), at(3, "c", User="x")]
    assert times(judged(events, type="temporal", **section)) == [2]
    assert times(judged(events, type="temporal_ordered", **section)) == [3]
    tie = [at(0, "c", User="x"), at(0, "b", User="x"), at(0, "a", User="x")]
    assert times(judged(tie, type="temporal_ordered", **section)) == [0]


def test_a_temporal_condition_may_count_rules_or_combine_them() -> None:
    section = {"type": "temporal", "rules": "[a, b, c]", "timespan": "5m"}
    events = [at(0, "a"), at(1, "c"), at(2, "b")]
    assert times(judged(events, condition="{gte: 2}", **section)) == [1]
    assert times(judged(events, condition="a and (b or c)", **section)) == [1]
    assert times(judged(events, condition="1 of them and not c", **section)) == [0]
    assert times(judged(events, condition="b and not c", **section)) == []
    ordered = section | {"type": "temporal_ordered"}
    assert times(judged(events, condition="a and b", **ordered)) == [2]
    assert times(judged(events, condition="b and c", **ordered)) == []


def test_an_alias_groups_different_fields_of_different_rules() -> None:
    section = {"type": "temporal", "rules": "[name_a, b]", "timespan": "10s", "group_by": "[ip]"}
    aliases = "{ip: {name_a: DestinationIp, b: SourceIp}}"
    events = [at(0, "a", DestinationIp="192.0.2.1", SourceIp="x"), at(1, "b", SourceIp="192.0.2.1")]
    (match,) = judged(events, aliases=aliases, **section)
    assert match.group == {"ip": "192.0.2.1"}
    assert judged([events[0], at(1, "b", SourceIp="x")], aliases=aliases, **section) == []


def test_a_correlation_above_groups_by_fields_that_the_one_below_does_not() -> None:
    many = correlation(
        "many", type="event_count", rules="[a]", group_by="[Host]", timespan="5m", condition="{gte: 2}"
    )
    top = correlation("top", type="temporal_ordered", rules="[many, b]", group_by="[User]", timespan="5m")
    events = [at(0, Host="h", User="ana"), at(1, Host="h", User="luis"), at(2, "b", Host="i", User="LUIS")]
    (match,) = run(loaded(many, top), events)
    assert (match.correlation_id, match.references) == ("top", (0, 1, 2))


def test_the_order_of_arrival_makes_no_difference_within_the_lateness() -> None:
    found = loaded(correlation("k", type="temporal_ordered", rules="[a, b]", timespan="1m"))
    correlator = Correlator(found, lateness=5 * SECOND)
    assert correlator.feed("b", {}, 10 * SECOND, 1) == []
    assert correlator.feed("a", {}, 5 * SECOND, 2) == []
    (match,) = correlator.flush(10 * SECOND)
    assert match.references == (2, 1)


def test_what_comes_later_than_that_is_left_out_and_counted() -> None:
    correlator = Correlator(loaded(correlation("k", condition="{gte: 2}", **BRUTE)), lateness=5 * SECOND)
    correlator.feed("a", {"User": "x"}, 10 * SECOND, 1)
    correlator.feed("a", {"User": "x"}, 5 * SECOND - 1, 2)
    assert correlator.counts.late == 1
    assert correlator.flush(1 << 60) == []


def test_a_clock_that_runs_ahead_does_not_make_all_others_late() -> None:
    correlator = Correlator(loaded(correlation("k", condition="{gte: 2}", **BRUTE)), lateness=5 * SECOND)
    correlator.feed("a", {"User": "x"}, 10**9 * SECOND, 1, received=20 * SECOND)
    correlator.feed("a", {"User": "x"}, 19 * SECOND, 2, received=20 * SECOND)
    assert (correlator.counts.from_future, correlator.counts.late) == (1, 0)
    assert times(correlator.flush(30 * SECOND)) == [20]


def test_memory_is_bounded_and_what_was_forgotten_is_told() -> None:
    limits = CorrelatorLimits(groups=100, remembered=500, window=50)
    found = loaded(correlation("k", condition="{field: Sent, gte: 1000000}", **BRUTE | {"type": "value_sum"}))
    correlator = Correlator(found, lateness=0, limits=limits)
    for n in range(1000):
        correlator.feed("a", {"User": f"u{n}", "Sent": 1}, n, n)
    assert correlator.groups <= 100
    assert correlator.counts.groups_forgotten >= 890
    for n in range(1000, 2000):
        correlator.feed("a", {"User": "one", "Sent": 1}, n, n)
    assert correlator.remembered <= 500
    assert correlator.counts.events_forgotten >= 900


def test_groups_whose_time_is_over_are_forgotten_without_a_word() -> None:
    correlator = Correlator(loaded(correlation("k", condition="{gte: 2}", **BRUTE)), lateness=0)
    for n in range(1000):
        correlator.feed("a", {"User": f"u{n}"}, n * 100 * SECOND, n)
    assert correlator.groups <= 8
    assert correlator.counts.groups_forgotten == 0


def test_too_many_events_that_wait_are_judged_early() -> None:
    found = loaded(correlation("k", condition="{gte: 2}", **BRUTE))
    correlator = Correlator(found, limits=CorrelatorLimits(held=10))
    for n in range(30):
        correlator.feed("a", {"User": "x"}, n, n)
    assert correlator.counts.hurried == 20


def test_a_changed_correlation_begins_anew_and_the_others_go_on() -> None:
    same = correlation("same", condition="{gte: 2}", **BRUTE)
    was = correlation("k", condition="{gte: 2}", **BRUTE)
    correlator = Correlator(loaded(same, was))
    correlator.feed("a", {"User": "x"}, 0, 1)
    stored = correlator.snapshot()
    changed = Correlator(loaded(same, was.replace("10m", "11m")))
    assert changed.restore(stored) == ("k",)
    changed.feed("a", {"User": "x"}, SECOND, 2)
    assert [match.correlation_id for match in changed.flush(SECOND)] == ["same"]


@pytest.mark.parametrize("data", [b"", b"rubbish", b"\x90", b"\x97" + b"\x00" * 7])
def test_rubbish_is_no_snapshot(data: bytes) -> None:
    correlator = Correlator(loaded(correlation("k", condition="{gte: 2}", **BRUTE)))
    before = correlator.snapshot()
    with pytest.raises(SnapshotUnreadable):
        correlator.restore(data)
    assert correlator.snapshot() == before


def test_a_rule_in_no_correlation_costs_nothing() -> None:
    correlator = Correlator(loaded(correlation("k", condition="{gte: 2}", **BRUTE)))
    assert correlator.is_concerned("a")
    assert not correlator.is_concerned("b")
    assert correlator.feed("b", {}, 0, 0) == []
    assert correlator.counts == type(correlator.counts)()
