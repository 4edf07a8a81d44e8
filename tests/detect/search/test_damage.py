"""A damaged segment costs its own events and no others, and whoever asked is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from istmo.detect.aside.__main__ import answers
from istmo.detect.aside.jobs import FindHits, FindRows
from istmo.detect.eventstore.folder import Closed, EventFolder
from istmo.detect.eventstore.frames import FrameReader
from istmo.detect.eventstore.health import look_at
from istmo.detect.wire import Problem, WireIndicator
from istmo.kit.i18n import Catalogue

from .test_find import END, fill

EVENTS = 40
WATCHED = WireIndicator("indicator--1", [("ipv4", "203.0.113.7")])


def flip(path: Path, place: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[place] ^= 0xFF
    path.write_bytes(raw)


def frame(folder: EventFolder, segment: Closed) -> None:
    flip(folder.raw_path(segment), 40)


def index(folder: EventFolder, segment: Closed) -> None:
    path = folder.raw_path(segment)
    with FrameReader(path) as reader:
        flip(path, sum(one.packed for one in reader.index.frames) + 8)


def tail(folder: EventFolder, segment: Closed) -> None:
    path = folder.raw_path(segment)
    path.write_bytes(path.read_bytes()[:-9])


def empty(folder: EventFolder, segment: Closed) -> None:
    folder.raw_path(segment).write_bytes(b"")


def lines_gone(folder: EventFolder, segment: Closed) -> None:
    folder.raw_path(segment).unlink()


def footer(folder: EventFolder, segment: Closed) -> None:
    path = folder.columns_path(segment)
    path.write_bytes(path.read_bytes()[:-20])


def pages(folder: EventFolder, segment: Closed) -> None:
    path = folder.columns_path(segment)
    raw = path.read_bytes()
    path.write_bytes(raw[:4] + b"\x00" * 200 + raw[204:])


def columns_gone(folder: EventFolder, segment: Closed) -> None:
    folder.columns_path(segment).unlink()


def other_columns(folder: EventFolder, segment: Closed) -> None:
    folder.columns_path(segment).write_bytes(
        folder.columns_path(Closed(segment.first + 1, segment.first + 1)).read_bytes()[:50]
    )


Damage = Callable[[EventFolder, Closed], None]
LINES: list[Damage] = [frame, index, tail, empty, lines_gone]
COLUMNS: list[Damage] = [footer, pages, columns_gone, other_columns]


@pytest.fixture
def folder(tmp_path: Path) -> EventFolder:
    """Three closed segments of eight events, one that waits to be closed, and one open."""
    lines = [orjson.dumps({"DestinationIp": "203.0.113.7", "n": n}) for n in range(EVENTS)]
    return fill(tmp_path / "events", lines)


def search(folder: EventFolder, query: str, *, seconds: float = 60) -> tuple[set[str], Problem | None]:
    told = list(answers(folder, FindRows(query, None, None, 1000, END, seconds)))
    rows = [row.event_id for one in told for row in one.rows]
    assert len(set(rows)) == len(rows), "no event is told twice"
    return set(rows), told[-1].problem


def hunt(folder: EventFolder, *, seconds: float = 60) -> tuple[set[str], Problem | None]:
    told = list(answers(folder, FindHits([WATCHED], {WATCHED.id: END}, 5, seconds)))
    return {hit.event_id for one in told for hit in one.hits}, told[-1].problem


def without(everything: set[str], segment: int) -> set[str]:
    return {one for one in everything if not one.startswith(f"{segment}-")}


@pytest.mark.parametrize("query", ["", "DestinationIp:203.0.113.7", "203.0.113.7"])
@pytest.mark.parametrize("damage", LINES)
def test_a_search_says_which_segment_it_could_not_read(
    folder: EventFolder, damage: Damage, query: str
) -> None:
    everything, problem = search(folder, query)
    assert (len(everything), problem) == (EVENTS, None)
    segment = folder.closed()[1]
    damage(folder, segment)
    found, problem = search(folder, query)
    assert found == without(everything, segment.first)
    assert problem == Problem("", "detect.segments_unreadable", {"n": 1, "segments": str(segment.first)})


@pytest.mark.parametrize("damage", LINES)
def test_a_hunt_says_that_it_did_not_see_everything(folder: EventFolder, damage: Damage) -> None:
    everything, problem = hunt(folder)
    assert (len(everything), problem) == (EVENTS, None)
    segment = folder.closed()[1]
    damage(folder, segment)
    found, problem = hunt(folder)
    assert found == without(everything, segment.first)
    assert problem is not None
    assert problem.code == "detect.hunt_unreadable"


@pytest.mark.parametrize("damage", COLUMNS)
def test_where_the_columns_are_damaged_the_lines_answer(folder: EventFolder, damage: Damage) -> None:
    everything, _ = search(folder, "")
    damage(folder, folder.closed()[1])
    for query in ("", "DestinationIp:203.0.113.7", "203.0.113.7"):
        assert search(folder, query) == (everything, None)
    assert hunt(folder) == (everything, None)


def test_a_damaged_line_costs_no_other(folder: EventFolder) -> None:
    segment = folder.wal_segments()[0]
    path = folder.wal_path(segment)
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b'"id"', b'"ID"', 1))
    for found, problem in (search(folder, ""), hunt(folder)):
        assert len(found) == EVENTS - 1
        assert problem is not None
        assert problem.params == {"n": 1, "segments": str(segment)}


def test_a_search_out_of_time_says_both(folder: EventFolder) -> None:
    tail(folder, folder.closed()[-1])
    for segment in folder.wal_segments():
        folder.wal_path(segment).unlink()
    _, problem = search(folder, "", seconds=-1)
    assert problem == Problem(
        "", "detect.search_cut_and_unreadable", {"seconds": -1, "n": 1, "segments": "3"}
    )


def test_many_segments_are_counted_and_few_named(folder: EventFolder) -> None:
    for number in range(50, 60):
        (folder.segments / f"{number:08d}.raw.zst").write_bytes(b"nothing of ours")
    _, problem = search(folder, "")
    assert problem is not None
    assert problem.params == {"n": 10, "segments": "50, 51, 52, 53, 54, …"}
    for language in ("es", "en"):
        said = Catalogue(strict=True).text(language, f"error.{problem.code}", **problem.params)
        assert "10" in said
        assert "50, 51" in said


@pytest.mark.parametrize("damage", LINES)
def test_a_look_over_the_store_names_the_files_whose_events_are_lost(
    folder: EventFolder, damage: Damage
) -> None:
    for every_event in (False, True):
        assert look_at(folder.root, every_event=every_event).segments == 3
    segment = folder.closed()[1]
    damage(folder, segment)
    # Within a frame only unpacking it finds out.
    found = look_at(folder.root, every_event=damage is frame)
    assert (found.segments, found.lost, found.slow) == (3, [folder.raw_path(segment).name], [])


@pytest.mark.parametrize("damage", [one for one in COLUMNS if one is not pages])
def test_a_look_over_the_store_names_the_files_that_only_slow_a_search(
    folder: EventFolder, damage: Damage
) -> None:
    segment = folder.closed()[1]
    damage(folder, segment)
    found = look_at(folder.root)
    assert (found.lost, found.slow) == ([], [folder.columns_path(segment).name])


def test_a_store_that_nobody_has_begun_is_whole(tmp_path: Path) -> None:
    assert look_at(tmp_path / "events").segments == 0
