"""Times that cannot be true are not believed, and events whose clock is in trouble can be searched for."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.clock import ManualClock
from istmo.detect.eventstore.closing import close_segment
from istmo.detect.eventstore.log import Batch, EventLog
from istmo.detect.eventstore.times import AHEAD, EARLIEST, clock_trouble, event_micros, to_micros
from istmo.detect.normalise import normalise
from istmo.detect.search.find import Finder
from istmo.detect.search.query import parse_query
from istmo.detect.wire import Position

RECEIVED = to_micros(datetime(2026, 3, 2, 9, tzinfo=UTC))


def found(log: EventLog, query: str) -> list[str]:
    finder = Finder(log.folder, parse_query(query), 10, Position(1, 2), 60)
    return sorted(row.event_id for rows in finder.rows() for row in rows)


def event(time: str, **more: Any) -> dict[str, Any]:
    return {"timestamp": time, "program": "a", "message": "b", **more}


@pytest.mark.parametrize(
    ("time", "trouble", "is_believed"),
    [
        ("2026-03-02T08:59:59Z", "", True),
        ("2026-03-02 08:59:59", "no-zone", True),
        ("2026-03-03T08:59:59Z", "", True),
        ("2026-03-03T09:00:01Z", "future", False),
        ("1989-12-31T23:59:59Z", "past", False),
        ("1970-01-01 00:00:00", "past", False),
    ],
)
def test_a_time_that_cannot_be_true_gives_way_to_the_time_of_receipt(
    time: str, trouble: str, is_believed: bool
) -> None:
    normal = normalise(event(time))
    assert normal.time is not None
    assert event_micros(normal, RECEIVED) == (to_micros(normal.time) if is_believed else RECEIVED)
    assert clock_trouble(normal, RECEIVED) == trouble


def test_with_the_zone_of_its_source_a_time_is_complete() -> None:
    normal = normalise(event("2026-03-02 03:00:00", **{"istmo.zone": "America/Guatemala"}))
    assert normal.time == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert clock_trouble(normal, RECEIVED) == ""


@pytest.mark.parametrize("time", ["2025-11-02 01:30:00", "2025-03-09 02:30:00"], ids=["twice", "never"])
def test_an_hour_that_was_there_twice_or_never_is_not_guessed(time: str) -> None:
    normal = normalise(event(time, **{"istmo.zone": "America/New_York"}))
    assert normal.is_time_assumed
    assert clock_trouble(normal, RECEIVED) == "no-zone"


@given(st.datetimes(timezones=st.just(UTC)))
def test_whatever_an_event_claims_its_time_is_one_that_can_be(claimed: datetime) -> None:
    found = event_micros(normalise(event(claimed.isoformat())), RECEIVED)
    assert EARLIEST <= found <= RECEIVED + AHEAD


@given(st.text(max_size=40), st.datetimes())
def test_a_zone_that_is_none_changes_nothing(zone: str, claimed: datetime) -> None:
    plain = normalise(event(claimed.isoformat(" ")))
    zoned = normalise(event(claimed.isoformat(" "), **{"istmo.zone": zone + "\0"}))
    assert zoned.time == plain.time


def test_what_a_clock_does_is_found_before_and_after_its_segment_is_closed(
    tmp_path: Path, clock: ManualClock
) -> None:
    log = EventLog(tmp_path, clock)
    try:
        stored = threading.Event()
        lines = [orjson.dumps(event(time)) for time in ("2030-01-01T00:00:00Z", "2026-03-02T08:00:00Z")]
        log.append(Batch("s1", [(line, None) for line in lines], lambda problem: stored.set()))
        assert stored.wait(20)
        log.ask_rotation()
        assert found(log, "istmo.clock:future") == ["1-0"]
        assert found(log, "NOT istmo.clock:*") == ["1-1"]
        stored.clear()
        log.append(Batch("s1", [(lines[1], None)], lambda problem: stored.set()))
        assert stored.wait(20)
        close_segment(log.folder, 1)
        assert found(log, "istmo.clock:future") == ["1-0"]
        assert found(log, "istmo.clock:past") == []
    finally:
        log.close()
