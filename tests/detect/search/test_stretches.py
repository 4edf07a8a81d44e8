"""The event log looked at in stretches: each event is found in one of them, however it rests by then."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from istmo.detect.aside.__main__ import answers
from istmo.detect.aside.jobs import FindByRules, FindRows
from istmo.detect.eventstore.closing import close_segment
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.rewriting import rewrite
from istmo.detect.search.quoting import quoted_fields
from istmo.detect.wire import Position, WireRule

from .test_find import all_seen, fill

SYSMON = {"Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 1}
EVENTS = [
    orjson.dumps(
        {
            **SYSMON,
            "n": n,
            "Image": "whoami.exe" if n % 3 else "x.exe",
            "UtcTime": f"2026-03-02 09:{-n % 60:02}:00.000",
        }
    )
    for n in range(60)
]
RULE = """title: who
id: 11111111-1111-4111-8111-111111111111
logsource: {product: windows}
detection: {s: {Image: whoami.exe}, condition: s}
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EventFolder:
    """Some segments closed, one that waits, one open."""
    return fill(tmp_path_factory.mktemp("log"), EVENTS)


def rows(folder: EventFolder, query: str, after: Position, upto: Position) -> list[str]:
    job = FindRows(query, None, None, 1000, upto, 60.0, after, True)
    return [row.event_id for found in answers(folder, job) for row in found.rows]


def matches(folder: EventFolder, after: Position, upto: Position) -> list[str]:
    rules = [WireRule("rules.yml", RULE)]
    job = FindByRules(rules, {}, None, None, 1000, upto, 60.0, after=after, scheduled=True)
    told = [found.by_rules for found in answers(folder, job) if found.by_rules is not None]
    for one in (match for part in told for match in part.matches):
        assert orjson.loads(one.raw)["Image"] == "whoami.exe" and one.received > 0
    return [match.event_id for part in told for match in part.matches]


def stretches(folder: EventFolder, cuts: list[int]) -> Iterator[tuple[Position, Position]]:
    places = sorted(place for place, _ in all_seen(folder))
    ends = [Position(), *(places[one] for one in sorted(cuts)), Position(places[-1].segment + 1)]
    return pairwise(ends)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(0, 59), max_size=6), st.sampled_from(["", "Image:whoami.exe", "whoami", "n:<20"]))
def test_every_event_stands_in_one_stretch(store: EventFolder, cuts: list[int], query: str) -> None:
    found = [id for after, upto in stretches(store, cuts) for id in rows(store, query, after, upto)]
    assert sorted(found) == sorted(rows(store, query, Position(), Position(1 << 40)))
    assert len(found) in (60, 40, 20)


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(0, 59), max_size=6))
def test_every_event_that_a_rule_matches_does_too(store: EventFolder, cuts: list[int]) -> None:
    found = [id for after, upto in stretches(store, cuts) for id in matches(store, after, upto)]
    assert len(found) == len(set(found)) == 40


def test_segments_that_are_closed_and_merged_between_two_looks_change_nothing(
    store: EventFolder, tmp_path: Path
) -> None:
    shutil.copytree(store.root, tmp_path / "log")
    folder = EventFolder(tmp_path / "log")
    places = sorted(place for place, _ in all_seen(folder))
    first, second = Position(), places[31]
    before = rows(folder, "", first, second) + matches(folder, first, second)
    for segment in folder.wal_segments():
        close_segment(folder, segment)
    rewrite(folder, folder.closed(), {})
    after = rows(folder, "", second, places[-1]), matches(folder, second, places[-1])
    assert len(before) == 31 + sum(1 for n in range(31) if n % 3)
    assert len(after[0]) == 28 and not set(before) & {*after[0], *after[1]}


def test_what_came_in_behind_the_end_of_a_stretch_is_left_to_the_next(store: EventFolder) -> None:
    """Also where it lies in a segment that has been closed since."""
    places = sorted(place for place, _ in all_seen(store))
    found = rows(store, "", places[3], places[5])
    assert len(found) == 2


def test_a_quotation_shows_the_fields_that_a_query_names() -> None:
    event = {"Image": "whoami.exe", "User": ["ana", "root"], "ProcessId": 7, "Other": "x"}
    query = 'image:who* (User:ana OR ProcessId:>3) NOT Other:y host:pc "free"'
    assert quoted_fields(query, event) == {"Image": "whoami.exe", "User": "ana, root", "ProcessId": "7"}
    assert quoted_fields("free text", event) == {}
