"""Whole patterns: judged on the fields of one event, and on several events by the time they happened."""

from __future__ import annotations

from typing import Any

import pytest

from istmo.detect.indicators import Matcher
from istmo.detect.indicators.properties import PROPERTIES as READERS
from istmo.model.observables import PROPERTIES
from istmo.model.patterns import read_pattern

A, B = {"DestinationIp": "192.0.2.1"}, {"CommandLine": "an evil line"}
IS_A, IS_B = "[ipv4-addr:value = '192.0.2.1']", "[process:command_line LIKE '%evil%']"
Events = list[tuple[int, dict[str, Any]]]


def found_at(pattern: str, events: Events) -> list[int]:
    """The numbers of the events at which a pattern becomes true; times are in seconds."""
    read = read_pattern(pattern)
    matcher = Matcher(lambda: 0)
    matcher.put("indicator--x", read.terms, None, read.plan)
    return [
        number
        for number, (at, fields) in enumerate(events)
        if matcher.match(fields, at * 1_000_000, f"0-{number}")
    ]


def test_every_property_that_a_pattern_may_name_has_its_fields() -> None:
    assert {one.name for one in PROPERTIES.values()} == set(READERS)


@pytest.mark.parametrize(
    ("pattern", "fields", "holds"),
    [
        ("[file:name = 'a.exe' AND process:pid = 7]", {"Image": r"C:\a.exe", "ProcessId": "0x7"}, True),
        ("[file:name = 'a.exe' AND process:pid = 7]", {"Image": r"C:\a.exe", "ProcessId": 8}, False),
        ("[mutex:name = 'M' AND process:pid NOT IN (1, 2)]", {"MutexName": "m", "ProcessId": 3}, True),
        ("[mutex:name = 'M' AND process:pid > 3]", {"MutexName": "m", "ProcessId": 3}, False),
        ("[process:command_line MATCHES 'e.il$']", {"CommandLine": "an evil"}, True),
        ("[process:command_line MATCHES 'E.IL']", {"CommandLine": "an evil"}, False),
        ("[network-traffic:src_ref.value = '192.0.2.1' AND network-traffic:dst_port = 4]", A, False),
    ],
)
def test_comparisons_are_held_against_one_event(pattern: str, fields: dict[str, Any], holds: bool) -> None:
    assert found_at(pattern, [(0, fields)]) == ([0] if holds else [])


@pytest.mark.parametrize(
    ("pattern", "events", "at"),
    [
        (f"({IS_A} FOLLOWEDBY {IS_B}) WITHIN 5 SECONDS", [(0, A), (6, B), (5, B)], [2]),
        (f"{IS_A} FOLLOWEDBY {IS_B}", [(9, B), (10, A)], []),
        (f"{IS_A} FOLLOWEDBY {IS_B}", [(9, B), (8, A)], [1]),
        (f"{IS_A} AND {IS_B}", [(0, A | B)], []),
        (f"{IS_A} AND {IS_B}", [(0, A | B), (1, B)], [1]),
        (f"{IS_A} REPEATS 3 TIMES WITHIN 10 SECONDS", [(0, A), (11, A), (12, A), (13, A)], [3]),
        (f"{IS_A} START t'1970-01-01T00:00:01Z' STOP t'1970-01-01T00:00:02Z'", [(0, A), (1, A), (2, A)], [1]),
    ],
)
def test_observations_are_joined_by_when_they_happened(pattern: str, events: Events, at: list[int]) -> None:
    assert found_at(pattern, events) == at
