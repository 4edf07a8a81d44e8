"""What is not closed yet is searched like the rest: the newest first, and no more of it than can count."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from istmo.detect.eventstore import ahead_times
from istmo.detect.eventstore.ahead_times import AheadTimes
from istmo.detect.eventstore.closing import close_segment
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.follow import read_lines
from istmo.detect.eventstore.lines import compose
from istmo.detect.search import ahead
from istmo.detect.search.find import Finder
from istmo.detect.search.query import parse_query
from istmo.detect.wire import Position

END = Position(9)
NOW = 1_772_442_000_000_000


def write(folder: EventFolder, segment: int, minutes: list[int], *, noted: int | None = None) -> None:
    """A write-ahead file of events at these minutes; what is noted of the first ``noted`` (all)."""
    lines = []
    for at, minute in enumerate(minutes):
        raw = orjson.dumps({"Image": "x", "UtcTime": f"2026-03-02 09:{minute:02}:00.000", "Channel": "x"})
        lines.append(compose(segment, at, NOW, b'"s"', raw))
    folder.wal_path(segment).write_bytes(b"".join(lines))
    times, events = AheadTimes(folder), read_lines(lines)
    upto = len(events) if noted is None else min(noted, len(events))
    for first in range(0, upto, 5):
        last = min(first + 5, upto)
        times.note(Position(segment, first), Position(segment, last), events[first:last])
    times.note(Position(segment + 1, 0), Position(segment + 1, 0), [])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EventFolder:
    monkeypatch.setattr(ahead_times, "STRETCH_LINES", 5)
    made = EventFolder(tmp_path)
    made.create()
    return made


def ids(rows: Iterator[list[object]]) -> list[str]:
    return [row.event_id for some in rows for row in some]  # type: ignore[attr-defined]


def found(folder: EventFolder, query: str, limit: int) -> list[str]:
    return ids(iter(Finder(folder, parse_query(query), limit, END, 30).rows()))  # type: ignore[arg-type]


@given(
    st.lists(st.lists(st.integers(0, 59), min_size=1, max_size=23), min_size=1, max_size=4),
    st.integers(0, 23),
    st.integers(0, 3),
    st.integers(1, 40),
    st.sampled_from(["Image:x", "", "from:2026-03-02T09:20:00Z to:2026-03-02T09:40:00Z", "id:1-3"]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_with_noted_times_the_same_is_found_in_the_same_order(
    tmp_path_factory: pytest.TempPathFactory,
    segments: list[list[int]],
    noted: int,
    closed: int,
    limit: int,
    query: str,
) -> None:
    folder = EventFolder(tmp_path_factory.mktemp("events"))
    folder.create()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ahead_times, "STRETCH_LINES", 5)
        for number, minutes in enumerate(segments, 1):
            write(folder, number, minutes, noted=noted)
    for number in range(1, min(closed, len(segments) - 1) + 1):
        close_segment(folder, number)
    with_times = found(folder, query, limit)
    for path in folder.wal.glob("*.times"):
        path.unlink()
    assert with_times == found(folder, query, limit)


def test_what_cannot_be_among_the_newest_is_not_read(folder: EventFolder) -> None:
    write(folder, 1, [1] * 40)
    write(folder, 2, [*[5] * 20, *[50] * 5, *[6] * 10], noted=30)
    finder = Finder(folder, parse_query("Image:x"), 5, END, 30)
    rows = finder.rows()
    assert ids(rows) == [f"2-{at}" for at in range(24, 19, -1)]  # type: ignore[arg-type]
    assert (finder.looked, finder.of) == (10, 75), "five of which nothing is noted, and the newest five"


def test_what_lies_outside_the_time_asked_for_is_not_read(folder: EventFolder) -> None:
    write(folder, 1, [*[1] * 20, *[30] * 5, *[59] * 20])
    finder = Finder(folder, parse_query("from:2026-03-02T09:29:00Z to:2026-03-02T09:31:00Z"), 99, END, 30)
    assert len(ids(finder.rows())) == 5 and finder.looked == 5  # type: ignore[arg-type]


def test_a_segment_that_is_closed_during_the_search_is_found_once(folder: EventFolder) -> None:
    write(folder, 1, list(range(40)))
    write(folder, 2, list(range(20, 59)), noted=20)
    rows = Finder(folder, parse_query("Image:x"), 1000, END, 30).rows()
    first = next(rows)
    for segment in (1, 2):
        close_segment(folder, segment)
    assert sorted([row.event_id for row in first] + ids(rows)) == sorted(  # type: ignore[arg-type]
        [f"1-{at}" for at in range(40)] + [f"2-{at}" for at in range(39)]
    )


def test_many_files_that_wait_to_be_closed_are_not_all_held_open(
    folder: EventFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "_HELD", 2)
    for segment in range(1, 7):
        write(folder, segment, [segment] * 7)
    assert found(folder, "Image:x", 10) == [f"6-{at}" for at in range(6, -1, -1)] + ["5-6", "5-5", "5-4"]
    assert len(found(folder, "Image:x", 1000)) == 42


def test_what_cannot_be_opened_is_told_and_the_rest_is_found(folder: EventFolder) -> None:
    write(folder, 1, [1] * 7)
    write(folder, 2, [2] * 7)
    folder.wal_path(2).unlink()
    folder.wal_path(2).symlink_to(folder.wal_path(2))  # goes round and round: nobody opens it
    folder.times_path(1).unlink()
    folder.times_path(1).mkdir()
    finder = Finder(folder, parse_query("Image:x"), 99, END, 30)
    assert len(ids(finder.rows())) == 7  # type: ignore[arg-type]
    assert finder.unreadable.params["segments"] == "2"
