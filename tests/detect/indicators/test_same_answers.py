"""The matcher answers as the oracle does, on any pattern and any events (for longer: ``same_answers.py``)."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from istmo.detect.indicators import Matcher
from istmo.detect.indicators.moments import Moment, make_tracker
from istmo.model import pattern_grammar
from istmo.model import pattern_tree as tree
from istmo.model.pattern_tree import Comparison, Operator
from istmo.model.patterns import read_pattern

from .oracle import Event, true_at
from .pattern_cases import SECOND, Case, expected, found, make_case, written


@st.composite
def cases(draw: st.DrawFn) -> Case:
    return make_case(lambda below: draw(st.integers(0, below - 1)))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_whatever_the_pattern_and_the_events_both_answer_the_same(case: Case) -> None:
    ours, right = found(case), expected(case)
    event("not watched for" if ours is None else f"a match: {bool(right)}")
    if ours is not None:
        assert ours == right, case.text


@settings(max_examples=60, deadline=None)
@given(cases())
def test_a_pattern_that_is_written_is_read_as_it_was_meant(case: Case) -> None:
    assert written(pattern_grammar.read(case.text)) == case.text


def test_most_of_the_patterns_that_are_tried_are_watched_for() -> None:
    chance = random.Random(7)
    tried = [found(make_case(chance.randrange)) is not None for _ in range(60)]
    assert sum(tried) >= 45


# --- time alone: any joints, many events -------------------------------------------------------------

SEEN = tuple(tree.Seen(Comparison(("mutex", "name"), Operator.EQUAL, (name,))) for name in "abc")


def joints(depth: int) -> st.SearchStrategy[tree.Observation]:
    one: st.SearchStrategy[Any] = st.sampled_from(SEEN)
    for _ in range(depth):
        inner = one
        one = st.one_of(
            st.sampled_from(SEEN),
            st.builds(tree.Followed, inner, inner),
            st.builds(tree.Together, inner, inner),
            st.builds(tree.OneOf, inner, inner),
            st.builds(tree.Repeated, inner, st.integers(1, 3)),
            st.builds(tree.Within, inner, st.integers(1, 4)),
        )
    return one


def plan_of(one: tree.Observation) -> list[Any]:
    match one:
        case tree.Seen():
            return ["o", SEEN.index(one)]
        case tree.Repeated(inner, times):
            return ["times", times, plan_of(inner)]
        case tree.Within(inner, micros):
            return ["within", micros, plan_of(inner)]
        case tree.Followed(left, right):
            return ["then", plan_of(left), plan_of(right)]
        case tree.OneOf(left, right):
            return ["or", plan_of(left), plan_of(right)]
        case tree.Together(left, right):
            return ["and", plan_of(left), plan_of(right)]
    raise AssertionError(one)


@settings(max_examples=300, deadline=None)
@given(
    joints(3),
    st.lists(st.tuples(st.integers(0, 6), st.sets(st.integers(0, 2), min_size=1)), min_size=1, max_size=7),
)
def test_joints_in_time_find_whatever_set_of_events_there_is(
    pattern: tree.Observation, came: Sequence[tuple[int, set[int]]]
) -> None:
    tracker = make_tracker(plan_of(pattern), len(SEEN))
    ours = []
    for number, (at, held) in enumerate(came):
        bound = tracker.feed({one: Moment(at, f"0-{number}") for one in sorted(held)})
        if bound is not None:
            ours.append(number)
            assert len({one.event for one in bound}) == len(bound), "each event is used once"
            assert f"0-{number}" in {one.event for one in bound}, "told because of the event that came"
    events = [Event(at, {("mutex", "name"): ["abc"[one] for one in held]}) for at, held in came]
    assert ours == true_at(pattern, events)


def test_an_event_that_comes_twice_is_one_event() -> None:
    read = read_pattern("[mutex:name = 'a'] REPEATS 2 TIMES")
    matcher = Matcher(lambda: 0)
    matcher.put("indicator--x", read.terms, None, read.plan)
    told = [matcher.match({"MutexName": "a"}, SECOND, one) for one in ("0-1", "0-1", "0-2", "0-2")]
    assert [bool(one) for one in told] == [False, False, True, False]


# --- known results -----------------------------------------------------------------------------------

Rows = list[tuple[float, dict[str, Any]]]
PEOPLE: Rows = [
    (0, {"name": "alice", "age": 10}),
    (20, {"name": "bob", "age": 17}),
    (10, {"name": "carol", "age": 22}),
]


def holds(pattern: str, rows: Rows) -> bool:
    """By the oracle, for objects that no event of ours carries."""
    events = [
        Event(round(at * SECOND), {("person", name): [value] for name, value in one.items()})
        for at, one in rows
    ]
    return bool(true_at(pattern_grammar.read(pattern), events))


@pytest.mark.parametrize(
    ("pattern", "is_true"),
    [
        ("[person:name = 'alice' AND person:age < 20]", True),
        ("[person:name = 'alice' AND person:age > 10]", False),
        ("[person:name = 'alice' OR person:age > 1000 AND person:age < 0]", True),
        ("[(person:name = 'alice' OR person:age > 1000) AND person:age < 0]", False),
        ("[person:name NOT LIKE '%']", False),
        ("[person:name LIKE 'c_r%']", True),
        ("[person:name MATCHES '^a.*e$']", True),
        ("[person:age NOT IN (10, 17)]", True),
        ("[person:age NOT IN (10, 17, 22)]", False),
        ("[person:name = 'alice'] AND [person:age > 20]", True),
        ("[person:name = 'alice'] AND [person:age = 10]", False),
        ("[person:name = 'alice'] FOLLOWEDBY [person:name > 'bill']", True),
        ("[person:name = 'bob'] FOLLOWEDBY [person:age < 15]", False),
        # FOLLOWEDBY binds less than OR, and that less than AND
        ("[person:age > 20] OR ([person:name > 'zelda'] FOLLOWEDBY [person:age < 0])", True),
        ("[person:age > 20] OR [person:name > 'zelda'] FOLLOWEDBY [person:age < 0]", False),
        ("[person:age > 20] OR [person:name > 'zelda'] AND [person:age < 0]", True),
        ("([person:age > 20] OR [person:name > 'zelda']) AND [person:age < 0]", False),
        ("([person:name = 'carol'] FOLLOWEDBY [person:name < 'elizabeth']) AND [person:age < 15]", True),
        ("[person:name = 'carol'] FOLLOWEDBY [person:name < 'elizabeth'] AND [person:age < 15]", False),
        ("([person:name = 'alice'] AND [person:name = 'carol']) WITHIN 10 SECONDS", True),
        ("([person:name = 'alice'] AND [person:name = 'carol']) WITHIN 9.9999 SECONDS", False),
        ("[person:name = 'alice'] AND [person:name = 'carol'] WITHIN 1 SECONDS", True),
        ("[person:age > 0] REPEATS 3 TIMES", True),
        ("[person:age > 0] REPEATS 3 TIMES WITHIN 19 SECONDS", False),
        ("[person:age > 0] REPEATS 2 TIMES REPEATS 2 TIMES", False),
        (
            "[person:name = 'carol'] START t'1970-01-01T00:00:10Z' STOP t'1970-01-01T00:00:11Z'",
            True,
        ),
        (
            "[person:name = 'carol'] START t'1970-01-01T00:00:09Z' STOP t'1970-01-01T00:00:10Z'",
            False,
        ),
    ],
)
def test_the_oracle_knows_the_answers_that_are_known(pattern: str, is_true: bool) -> None:
    assert holds(pattern, PEOPLE) is is_true


ADD = r"certmgr.exe>-add GlobalSign.cer -c -s -r localMachine "


@pytest.mark.parametrize(
    ("pattern", "events", "at"),
    [
        (
            "[network-traffic:dst_ref.type = 'ipv4-addr'"
            " AND network-traffic:dst_ref.value = '203.0.113.33/32']",
            [(0, {"DestinationIp": "203.0.113.33"}), (0, {"SourceIp": "203.0.113.33"})],
            [0],
        ),
        (
            "[network-traffic:dst_ref.type = 'domain-name' AND network-traffic:dst_ref.value = 'example.com']"
            " REPEATS 5 TIMES WITHIN 1800 SECONDS",
            [(at, {"DestinationHostname": "example.com"}) for at in (0, 1, 2, 1799, 1800, 1802)],
            [4],
        ),
        (
            "[domain-name:value = 'www.example.com'"
            " AND domain-name:resolves_to_refs[*].value = '198.51.100.1/32']",
            [
                (0, {"QueryName": "www.example.com", "QueryResults": "198.51.100.1;"}),
                (0, {"QueryName": "www.example.com", "QueryResults": "198.51.100.2;"}),
            ],
            [0],
        ),
        (
            r"[file:name = 'foo.dll' AND file:parent_directory_ref.path = 'C:\\Windows\\System32']",
            [(0, {"ImageLoaded": r"C:\Windows\System32\foo.dll"}), (0, {"ImageLoaded": r"D:\x\foo.dll"})],
            [0],
        ),
        (
            "([file:hashes.MD5 = '79054025255fb1a26e4bc422aef54eb4'] FOLLOWEDBY"
            r" [windows-registry-key:key = 'HKEY_LOCAL_MACHINE\\foo\\bar']) WITHIN 300 SECONDS",
            [
                (0, {"Hashes": "MD5=79054025255FB1A26E4BC422AEF54EB4"}),
                (301, {"TargetObject": r"HKLM\foo\bar"}),
                (300, {"TargetObject": r"HKLM\foo\bar"}),
            ],
            [2],
        ),
        (
            "([process:command_line MATCHES '^.+>-add GlobalSign.cer -c -s -r localMachine Root$'] FOLLOWEDBY"
            " [process:command_line MATCHES"
            " '^.+>-add GlobalSign.cer -c -s -r localMachine TrustedPublisher$']) WITHIN 300 SECONDS",
            [(0, {"CommandLine": f"{ADD}Root"}), (9, {"CommandLine": f"{ADD}TrustedPublisher"})],
            [1],
        ),
        (
            "([ipv4-addr:value = '198.51.100.1/32' OR ipv4-addr:value = '203.0.113.33/32'] FOLLOWEDBY"
            " [domain-name:value = 'example.com']) WITHIN 600 SECONDS",
            [(0, {"QueryName": "example.com"}), (1, {"c-ip": "203.0.113.33"}), (2, {"query": "example.com"})],
            [2],
        ),
        (
            "[network-traffic:dst_ref.value ISSUBSET '2001:0db8:dead:beef:0000:0000:0000:0000/64']",
            [(0, {"DestinationIp": "2001:db8:dead:beef::7"}), (0, {"DestinationIp": "2001:db8::7"})],
            [0],
        ),
        (
            "[email-message:sender_ref.value = 'ana@example.com'"
            " AND email-message:subject = 'Conference Info']",
            [(0, {"from": "ana@example.com", "subject": "Conference Info"}), (0, {"to": "ana@example.com"})],
            [0],
        ),
        (
            "[x509-certificate:issuer = 'CN=WEBMAIL' AND x509-certificate:serial_number = '4c:0b:1d']",
            [(0, {"tls.issuerdn": "CN=WEBMAIL", "tls.serial": "4C:0B:1D"})],
            [0],
        ),
    ],
)
def test_patterns_of_the_kind_that_the_standard_shows(
    pattern: str, events: list[tuple[int, dict[str, Any]]], at: list[int]
) -> None:
    read = read_pattern(pattern)
    assert read.not_detected is None
    matcher = Matcher(lambda: 0)
    matcher.put("indicator--x", read.terms, None, read.plan)
    told = [bool(matcher.match(one, when * SECOND, f"0-{n}")) for n, (when, one) in enumerate(events)]
    assert [number for number, one in enumerate(told) if one] == at


# --- values that count in their own fields -----------------------------------------------------------


def test_a_value_of_one_side_counts_on_that_side_alone() -> None:
    read = read_pattern("[network-traffic:src_ref.value = '192.0.2.7']")
    matcher = Matcher(lambda: 0)
    matcher.put("indicator--x", read.terms, None, read.plan)
    assert matcher.plan("indicator--x") == read.plan
    assert matcher.match({"SourceIp": "192.0.2.7", "DestinationIp": "192.0.2.8"})
    assert not matcher.match({"SourceIp": "192.0.2.8", "DestinationIp": "192.0.2.7"})
    matcher.put("indicator--x", [("ipv4", "192.0.2.7")])
    assert matcher.plan("indicator--x") is None
    assert matcher.match({"SourceIp": "192.0.2.8", "DestinationIp": "192.0.2.7"})


def test_a_type_beside_its_value_is_said_already() -> None:
    both = "[network-traffic:src_ref.type = '{}' AND network-traffic:src_ref.value = '192.0.2.7']"
    alone = read_pattern("[network-traffic:src_ref.value = '192.0.2.7']")
    assert read_pattern(both.format("ipv4-addr")).plan == alone.plan
    other = json.loads(read_pattern(both.format("ipv6-addr")).plan or "")
    assert other["seen"][0][0] == "&"
