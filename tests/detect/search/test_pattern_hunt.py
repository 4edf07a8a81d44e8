"""Stored events by a STIX pattern, against the live matcher shown every event in the order of the log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from istmo.detect.aside.__main__ import answers
from istmo.detect.aside.jobs import FindRows
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.lines import place_of_id
from istmo.detect.indicators import Matcher
from istmo.detect.search import pattern_hunt
from istmo.detect.search.hunt import Hunter
from istmo.detect.service.patterns import asked_pattern, sought
from istmo.detect.wire import Position, WireIndicator, WireRow
from istmo.errors import InvalidInput, TooLarge

from .test_find import END, all_seen, fill

ALONE = "[ipv4-addr:value = '203.0.113.7']"
BOTH = "[ipv4-addr:value = '203.0.113.7' AND process:command_line LIKE '%-enc%']"
ORDER = "[domain-name:value = 'mando.example'] FOLLOWEDBY [ipv4-addr:value = '203.0.113.7']"
SOON = f"({ORDER}) WITHIN 60 SECONDS"
TWICE = "[ipv4-addr:value = '203.0.113.7'] REPEATS 2 TIMES WITHIN 30 SECONDS"
PATTERNS = [ALONE, BOTH, ORDER, SOON, TWICE]


def event(second: int, **more: Any) -> bytes:
    head = {"Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 3, "Computer": "pc-1"}
    time = f"2026-03-02 {9 + second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.000"
    return orjson.dumps({**head, "UtcTime": time, **more})


def kind(number: int, second: int) -> bytes:
    match number:
        case 0:
            return event(second, DestinationIp="203.0.113.7", Image="a.exe")
        case 1:
            return event(second, DestinationIp="203.0.113.7", CommandLine="x -enc y")
        case 2:
            return event(second, QueryName="mando.example")
        case _:
            return event(second, DestinationIp="198.51.100.9", Image="b.exe")


def asked(
    folder: EventFolder,
    pattern: str,
    *,
    query: str = "",
    limit: int = 10_000,
    upto: Position = END,
    after: Position | None = None,
    before: int | None = None,
    seconds: float = 60.0,
) -> tuple[list[WireRow], str]:
    found = asked_pattern(pattern)
    job = FindRows(query, None, None, limit, upto, seconds, after, False, sought(found), before)
    parts = list(answers(folder, job))
    problem = parts[-1].problem
    return [row for part in parts for row in part.rows], problem.code if problem else ""


def told_live(folder: EventFolder, pattern: str) -> set[str]:
    """Every event that takes part in a match, as the live matcher finds them."""
    found = sought(asked_pattern(pattern))
    matcher = Matcher(lambda: 0)
    matcher.put(found.id, found.terms, None, found.plan)
    tracker = next((watch.tracker for _, watch in matcher.watches.in_time()), None)
    told: set[str] = set()
    for _, seen in sorted(all_seen(folder), key=lambda one: one[0]):
        assert seen.normal is not None
        if matcher.match(seen.normal.fields, seen.time, seen.event.id):
            told.add(seen.event.id)
            told.update(one.event for one in (tracker.found if tracker is not None else ()))
    return told


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 200)), min_size=5, max_size=40),
    st.sampled_from(PATTERNS),
)
def test_it_finds_what_the_live_stage_would_have_found(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[int, int]], pattern: str
) -> None:
    folder = fill(tmp_path_factory.mktemp("log"), [kind(*one) for one in made])
    rows, problem = asked(folder, pattern)
    ids = [row.event_id for row in rows]
    assert set(ids) == told_live(folder, pattern) and len(ids) == len(set(ids)) and not problem
    assert [row.time for row in rows] == sorted((row.time for row in rows), reverse=True), "newest first"
    assert all(row.fields for row in rows), "each tells by which of its fields"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EventFolder:
    """A name asked for, much else, and a connection twenty seconds after it; once more an hour later."""
    times = [(2, 0), *((3, n) for n in range(1, 20)), (0, 20), (2, 3600), (1, 3620)]
    return fill(tmp_path_factory.mktemp("log"), [kind(*one) for one in times])


def test_a_query_and_a_limit_narrow_it(store: EventFolder) -> None:
    rows, _ = asked(store, ALONE)
    assert [b"-enc" in row.raw for row in rows] == [True, False]
    assert rows[0].fields == {"DestinationIp": "203.0.113.7"}
    assert asked(store, ALONE, query="CommandLine:*")[0] == rows[:1]
    assert asked(store, ALONE, query="to:2026-03-02T09:30:00Z")[0] == rows[1:]
    assert asked(store, ALONE, limit=1)[0] == rows[:1]
    assert asked(store, ALONE, query="Image:(")[1] == "detect.query_wrong"


def test_every_event_that_takes_part_is_told_and_the_last_names_the_others(store: EventFolder) -> None:
    rows, _ = asked(store, SOON)
    assert len(rows) == 4
    last, first = rows[0], rows[1]
    assert first.fields == {"QueryName": "mando.example"}
    assert last.fields["DestinationIp"] == "203.0.113.7"
    assert last.fields[f"QueryName @ {first.event_id}"] == "mando.example"


def test_a_stretch_tells_its_own_events_of_what_began_before_it(store: EventFolder) -> None:
    places = sorted(place for place, _ in all_seen(store))
    after = places[20]  # the connection; what was asked before it stands ahead of the stretch
    whole, _ = asked(store, ORDER)
    assert place_of_id(whole[-1].event_id) == places[0]
    rows, _ = asked(store, ORDER, after=after, before=0)
    assert [place_of_id(row.event_id) for row in rows] == [places[22], places[20]]
    assert whole[-1].event_id in "".join(rows[-1].fields), "what stands ahead of it is named"
    rows, _ = asked(store, ORDER, after=after, upto=places[21], before=None)
    assert rows == [], "nothing ahead was asked for"


def test_what_does_not_fit_into_memory_is_told(store: EventFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pattern_hunt, "MOST_HELD", 1)
    rows, problem = asked(store, SOON)
    assert problem == "detect.pattern_forgot" and len(rows) == 2, "what completes it is told all the same"


def test_it_ends_when_its_time_is_up(store: EventFolder) -> None:
    assert asked(store, ORDER, seconds=-1.0) == ([], "detect.search_cut_short")


def test_a_plan_that_cannot_be_used_is_told(store: EventFolder) -> None:
    job = FindRows("", None, None, 10, END, 60.0, pattern=WireIndicator("pattern", [], None, "{}"))
    (found,) = answers(store, job)
    assert found.problem is not None and found.problem.code == "detect.pattern_not_served"


def test_what_cannot_be_looked_for_is_refused() -> None:
    for text, code in (
        ("[ipv4-addr:value = ", "pattern.unfinished"),
        ("Image:*x", "pattern.invalid"),
        ("[x-other:thing = 'a']", "detect.pattern_not_served"),
    ):
        with pytest.raises(InvalidInput) as refused:
            asked_pattern(text)
        assert refused.value.code == code
    with pytest.raises(TooLarge):
        asked_pattern("[" + "x" * (64 << 10))
    partly = asked_pattern("[ipv4-addr:value = '203.0.113.7'] OR [x-other:thing = 'a']")
    assert partly.not_detected == "pattern.not_detected.partly"


def test_a_hunt_for_an_indicator_finds_an_early_match_behind_a_flood(tmp_path: Path) -> None:
    """Newest first, a flood of one part would push out the early event that another part waits for."""
    made = [kind(2, 0), kind(0, 5), *(kind(2, 100 + n) for n in range(200))]
    folder = fill(tmp_path, made)
    found = sought(asked_pattern(SOON))
    hits = Hunter(folder, [found], {found.id: END}, 0, 60.0).hits()
    assert [place_of_id(hit.event_id) for hit in hits] == [sorted(place for place, _ in all_seen(folder))[1]]
