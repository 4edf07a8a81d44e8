"""What patterns remember, as bytes: a matcher that takes it up goes on as if nothing had happened."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from istmo.detect.indicators import Matcher, MemoryUnreadable, watches
from istmo.model.patterns import read_pattern

from .pattern_cases import SECOND, Case, found, make_case

TWICE = "[mutex:name = 'm'] REPEATS 2 TIMES"
IN_ORDER = "[mutex:name = 'm'] FOLLOWEDBY [process:pid = 7]"


def matcher_of(**patterns: str) -> Matcher:
    made = Matcher(lambda: 0)
    for name, text in patterns.items():
        read = read_pattern(text)
        made.put(f"indicator--{name}", read.terms, None, read.plan)
    return made


def sees(matcher: Matcher, number: int, **fields: Any) -> set[str]:
    return {one.id for one in matcher.match(fields, number * SECOND, f"0-{number}")}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    return make_case(lambda below: draw(st.integers(0, below - 1)))


@settings(max_examples=60, deadline=None)
@given(cases(), st.integers(0, 6))
def test_a_matcher_that_begins_anew_in_the_middle_finds_the_same(case: Case, cut: int) -> None:
    whole = found(case)
    if whole is None:
        return
    read = read_pattern(case.text)
    ours, matcher = [], matcher_of(x=case.text)
    for number, (at, fields) in enumerate(case.events):
        if number == cut:
            data, matcher = matcher.remember(), matcher_of(x=case.text)
            assert matcher.recall(data) == set()
        if matcher.match(fields, at, f"0-{number}"):
            ours.append(number)
    assert ours == whole, read.plan


def test_a_pattern_that_is_new_or_another_takes_up_nothing() -> None:
    before = matcher_of(a=TWICE, b=IN_ORDER, gone=TWICE)
    assert sees(before, 1, MutexName="m") == set()
    after = matcher_of(a=TWICE, b=TWICE, new=TWICE)
    assert len(after.recall(before.remember())) == 2
    assert sees(after, 2, MutexName="m") == {"indicator--a"}


def test_those_that_rest_see_nothing_of_what_is_shown_again() -> None:
    matcher = matcher_of(a=TWICE)
    matcher.watches.resting = set()
    read = read_pattern(TWICE)
    matcher.put("indicator--new", read.terms, None, read.plan)
    sees(matcher, 1, MutexName="m")
    matcher.watches.resting = None
    assert sees(matcher, 2, MutexName="m") == {"indicator--a"}
    assert sees(matcher, 3, MutexName="m") == {"indicator--a", "indicator--new"}


@pytest.mark.parametrize(
    "data", [b"", b"\x93\x02\xc4\x00\x90", b"\x93\x01\xc4\x01a\x90", b"\x01", b"\xff" * 9]
)
def test_bytes_that_are_no_memory_are_refused(data: bytes) -> None:
    with pytest.raises(MemoryUnreadable):
        matcher_of(a=TWICE).recall(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_taken_up_or_refused(data: bytes) -> None:
    with suppress(MemoryUnreadable):
        matcher_of(a=TWICE).recall(data)


def test_what_is_let_go_of_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert matcher_of(a="[mutex:name = 'm']").watches.counts == {}
    matcher = matcher_of(a=IN_ORDER)
    for number in range(70):
        sees(matcher, number, MutexName="m")
    counts = {"patterns": 1, "remembered": 64, "displaced": 6, "forgotten": 0, "given_up": 0}
    assert matcher.watches.counts == counts

    monkeypatch.setattr(watches, "MOST_MOMENTS", 70)
    read = read_pattern(IN_ORDER.replace("'m'", "'n'"))
    matcher.put("indicator--b", read.terms, None, read.plan)
    for number in range(100, 107):
        sees(matcher, number, MutexName="n")
    assert matcher.watches.counts["forgotten"] == 64, "of the one that waited longest"
    assert matcher.watches.counts["remembered"] == 7


def test_a_search_that_is_given_up_is_counted() -> None:
    matcher = matcher_of(a=f"({IN_ORDER} FOLLOWEDBY [mutex:name = 'z']) WITHIN 1 SECONDS REPEATS 3 TIMES")
    matcher = matcher_of(
        a="([mutex:name = 'm'] FOLLOWEDBY [mutex:name = 'm'] FOLLOWEDBY [mutex:name = 'z']) REPEATS 4 TIMES"
    )
    for number in range(40):
        sees(matcher, number, MutexName="m")
    sees(matcher, 41, MutexName="z")
    assert matcher.watches.counts["given_up"] > 0


SEQUENCES = [
    "[domain-name:value = 'mando.example'] FOLLOWEDBY [ipv4-addr:value = '203.0.113.7']",
    "([domain-name:value = 'mando.example'] FOLLOWEDBY [ipv4-addr:value = '203.0.113.7']) WITHIN 30 SECONDS",
    "[ipv4-addr:value = '203.0.113.7'] REPEATS 3 TIMES WITHIN 60 SECONDS",
    "[domain-name:value = 'mando.example'] AND [ipv4-addr:value = '203.0.113.7']",
]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 90)), max_size=16)
    | st.lists(st.tuples(st.booleans(), st.integers(0, 90)), max_size=16, unique_by=lambda one: one[1]).map(
        lambda seen: sorted(seen, key=lambda one: one[1])
    ),
    st.integers(0, 16),
    st.integers(0, 16),
    st.sampled_from(SEQUENCES),
)
def test_where_a_pattern_comes_into_force_makes_no_difference(
    seen: list[tuple[bool, int]], live_from: int, hunted_by: int, pattern: str
) -> None:
    """What was seen before is taken over from a hunt, whenever that is through."""
    found = read_pattern(pattern)

    def made() -> Matcher:
        one = Matcher(lambda: 0)
        one.put("i", found.terms, None, found.plan)
        return one

    def shown(matcher: Matcher, first: int, end: int) -> set[str]:
        told: set[str] = set()
        for number, (is_name, second) in list(enumerate(seen))[first:end]:
            fields = {"QueryName": "mando.example"} if is_name else {"DestinationIp": "203.0.113.7"}
            if matcher.match(fields, second * 1_000_000, f"1-{number}"):
                told.add(f"1-{number}")
        return told

    whole, hunter, stage = made(), made(), made()
    expected = shown(whole, 0, len(seen))
    told = shown(hunter, 0, live_from)
    hunted_by = max(hunted_by, live_from)
    told |= shown(stage, live_from, hunted_by)
    assert found.plan is not None
    told |= {one[0] for one in stage.precede("i", found.plan, hunter.moments().get("i", [[], []])) if one}
    told |= shown(stage, hunted_by, len(seen))
    assert bool(told) == bool(expected)
    times = [second for _, second in seen]
    if times == sorted(set(times)):  # else another event of the same match may be the one that is told
        assert told >= expected
    tracker = next(watch.tracker for _, watch in whole.watches.in_time())
    assert tracker is not None
    in_some = {m.event for some in tracker.kept for m in some if tracker.completed_by(m)}
    assert told <= in_some, "nothing is told that is no match"


def test_what_was_remembered_of_another_pattern_is_not_taken_over() -> None:
    one, other = read_pattern(SEQUENCES[0]), read_pattern(SEQUENCES[2])
    stage = Matcher(lambda: 0)
    stage.put("i", one.terms, None, one.plan)
    assert one.plan and other.plan
    assert list(stage.precede("i", other.plan, [[]])) == []
    assert list(stage.precede("i", one.plan, [[]])) == [] == list(stage.precede("gone", one.plan, [[], []]))
