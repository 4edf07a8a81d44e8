"""A statement sees what a look at every event would see, whatever rests in columns and whatever does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from istmo.detect.eventstore import writing
from istmo.detect.eventstore.closing import close_segment
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.frames import FrameReader
from istmo.detect.eventstore.rewriting import rewrite
from istmo.detect.eventstore.texts import texts_of
from istmo.detect.eventstore.times import CLOCK, clock_trouble, to_micros
from istmo.detect.normalise import normalise
from istmo.detect.search.sql.table import EventTable
from istmo.detect.stories import from_micros
from istmo.detect.wire import Position
from istmo.model import instants

from .asking import all_seen, ask, fill, rows

FIELDS = ("Image", "Data", "payload", "istmo.clock", "EventID")
SELECT = (
    'SELECT id, time, received, source, host, "Image", "Data", PAYLOAD, "istmo.clock", EventID FROM events'
)


def plain(folder: EventFolder) -> list[list[Any]]:
    """The same rows by a look at every event."""
    found = []
    for _, seen in all_seen(folder):
        event, normal = seen.event, normalise(seen.event.data)
        row = [event.id, *(instants.format(from_micros(one)) for one in (seen.time, event.received))]
        row += [event.source, seen.host or None]
        trouble = clock_trouble(normal, event.received)
        fields = normal.fields | ({CLOCK: trouble} if trouble else {})
        for name in FIELDS:
            texts = [
                text for field, value in fields.items() if field.lower() == name.lower()
                for text in texts_of(value)
            ]  # fmt: skip
            row.append(sorted("\n".join(texts).split("\n")) if texts else None)
        found.append(row)
    return sorted(found, key=str)


def seen_by_sql(folder: EventFolder, **more: Any) -> list[list[Any]]:
    told = rows(folder, SELECT, **more)
    lists = [row[:5] + [None if one is None else sorted(one.split("\n")) for one in row[5:]] for row in told]
    return sorted(lists, key=str)


values = st.sampled_from(
    ["a.exe", "B", "ñ 'x' \"y\"", "", "1", 7, 2.5, True, None, ["a", "b"], {"x": 1}, "\x00"]
)
events = st.fixed_dictionaries(
    {"EventID": st.sampled_from([1, "1"]), "Image": values},
    optional={
        "Data": values,
        "Payload": values,
        "payload": values,
        "UtcTime": st.sampled_from(["2026-03-02 09:00:00.000", "2200-01-01 00:00:00.000", "no time"]),
        "Computer": st.sampled_from(["pc-1", ""]),
        "istmo.clock": values,
        "event": values,
        'odd "name"; --': values,
    },
)


@settings(max_examples=6, suppress_health_check=list(HealthCheck))
@given(st.lists(events, min_size=1, max_size=25))
def test_rows_are_those_of_a_look_at_every_event(
    tmp_path_factory: pytest.TempPathFactory, stored: list[dict[str, Any]]
) -> None:
    every = {"istmo.clock": "", "Data": "", "payload": "", "Image": ""}
    folder = fill(tmp_path_factory.mktemp("sql"), [orjson.dumps(one) for one in (every, *stored)])
    assert seen_by_sql(folder) == plain(folder)
    assert rows(folder, "SELECT count(*) FROM events") == [[len(stored) + 1]]
    everything = rows(folder, "SELECT * FROM events")
    assert sorted(row[0] for row in everything) == sorted(row[0] for row in plain(folder))


def process(minute: int, **more: Any) -> bytes:
    event = {"UtcTime": f"2026-03-02 09:{minute:02}:00.000", "Image": f"{minute}.exe", "EventID": 1}
    return orjson.dumps(event | more)


@pytest.mark.parametrize("most", [0, 1, 2])
def test_fields_without_a_column_are_read_from_the_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(writing, "MOST_COLUMNS", most)
    monkeypatch.setattr(writing, "FEWER_COLUMNS", most)
    folder = fill(tmp_path, [process(n) for n in range(20)])
    assert rows(folder, "SELECT count(DISTINCT Image), count(EventID) FROM events") == [[20, 20]]
    assert len(rows(folder, "FROM events")) == 20


def test_fields_that_would_have_the_same_column_are_both_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "column_name", lambda field: "c0")
    folder = fill(tmp_path, [process(n) for n in range(20)])
    monkeypatch.undo()
    (closed, *_) = folder.closed()
    with FrameReader(folder.raw_path(closed)) as reader:
        assert len(reader.index.columns) == 1 and len(reader.index.others) == 2


def test_the_event_itself_is_there_as_it_came_where_it_is_asked_for(tmp_path: Path) -> None:
    folder = fill(tmp_path, [b'{"a" : 1.50, "n":%d}' % n for n in range(20)])
    assert rows(folder, "SELECT event FROM events WHERE n = '7'") == [['{"a" : 1.50, "n":7}']]
    assert rows(folder, "SELECT sum(CAST(event->>'$.n' AS INTEGER)) FROM events") == [[190]]
    columns, _, _ = ask(folder, "SELECT * FROM events LIMIT 1")
    assert [name for name, _ in columns] == ["id", "time", "received", "source", "host", "a", "n"]


def test_times_bound_what_is_seen(tmp_path: Path) -> None:
    folder = fill(tmp_path, [process(n) for n in range(30)])
    start, end = (to_micros(instants.parse(f"2026-03-02T09:{n}:00Z")) for n in (10, 15))
    assert rows(folder, "SELECT count(*), min(Image) FROM events", start=start, end=end) == [[5, "10.exe"]]
    assert rows(folder, "SELECT count(*) FROM events", start=end) == [[15]]


def test_what_comes_in_after_the_question_is_not_seen(tmp_path: Path) -> None:
    folder = fill(tmp_path, [process(n) for n in range(30)])
    expected = sorted(seen.event.id for place, seen in all_seen(folder) if place < Position(5, 3))
    assert [
        row[0] for row in rows(folder, "SELECT id FROM events ORDER BY id", upto=Position(5, 3))
    ] == expected


def test_ids_stay_when_segments_are_written_anew(tmp_path: Path) -> None:
    folder = fill(tmp_path, [process(n) for n in range(30)])
    before = seen_by_sql_of_images(folder)
    olds = folder.closed()
    rewrite(folder, olds, {})
    assert seen_by_sql_of_images(folder) == before and len(folder.closed()) < len(olds)


def seen_by_sql_of_images(folder: EventFolder) -> list[list[Any]]:
    return rows(folder, "SELECT id, Image FROM events ORDER BY ALL")


def test_damaged_columns_cost_nothing(tmp_path: Path) -> None:
    folder = fill(tmp_path, [process(n, Text="x" * 50 + str(n)) for n in range(60)])
    first, second, third = folder.closed()
    for closed, place in ((first, 300), (second, None)):
        path = folder.columns_path(closed)
        raw = bytearray(path.read_bytes())
        raw[4 : place or len(raw)] = b"\x5a" * len(raw[4 : place or len(raw)])
        path.write_bytes(raw)
    folder.columns_path(third).unlink()
    asked = "SELECT count(DISTINCT Text), count(DISTINCT Image) FROM events"
    assert rows(folder, asked) == [[60, 60]]


def test_a_segment_that_is_let_go_of_meanwhile_costs_its_own_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(tmp_path, [process(n) for n in range(30)])
    put_into = EventTable.put_into

    def late(table: EventTable, connect_to: Any) -> Any:
        folder.remove(folder.closed()[:1])
        monkeypatch.undo()
        return put_into(table, connect_to)

    monkeypatch.setattr(EventTable, "put_into", late)
    assert rows(folder, "SELECT count(Image), min(Image) FROM events") == [[23, "10.exe"]]


def test_segments_that_are_closed_and_merged_meanwhile_are_not_told_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(tmp_path, [process(n) for n in range(30)])
    read_ahead = EventTable._read_ahead

    def late(table: EventTable, segment: int) -> bool:
        is_read = read_ahead(table, segment)
        waiting = folder.wal_segments()
        if segment == min(waiting):
            for one in waiting:
                close_segment(folder, one)
            rewrite(folder, [one for one in folder.closed() if one.first in waiting], {})
        return is_read

    monkeypatch.setattr(EventTable, "_read_ahead", late)
    assert rows(folder, "SELECT count(event), count(DISTINCT event) FROM events") == [[30, 30]]


def test_a_damaged_frame_costs_its_own_events_where_lines_are_read_and_is_told(tmp_path: Path) -> None:
    folder = fill(tmp_path, [process(n) for n in range(30)])
    path = folder.raw_path(folder.closed()[0])
    raw = bytearray(path.read_bytes())
    raw[40] ^= 0xFF
    path.write_bytes(raw)
    _, told, problem = ask(folder, "SELECT count(event) FROM events")
    assert problem is not None and problem.code == "detect.sql_unreadable"
    assert told[0][0] < 30
    assert rows(folder, "SELECT count(Image) FROM events") == [[30]]


def test_an_event_that_normalising_failed_on_is_there_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(data: dict[str, Any], raw: bytes | None = None) -> Any:
        if data["n"] == 3:
            raise ValueError
        return normalise(data)

    monkeypatch.setattr(writing, "normalise", failing)
    folder = fill(tmp_path, [b'{"n":%d}' % n for n in range(20)])
    assert rows(folder, "SELECT count(*), count(n), count(source) FROM events") == [[20, 19, 20]]


def test_a_field_called_like_what_duckdb_says_of_itself_is_a_field(tmp_path: Path) -> None:
    folder = fill(tmp_path, [process(n) for n in range(10)])
    assert rows(folder, "SELECT DISTINCT User, current_user, session_user FROM events") == [[None] * 3]
    folder = fill(tmp_path / "more", [process(n, User="ana") for n in range(10)])
    assert rows(folder, "SELECT DISTINCT User FROM events") == [["ana"]]


def test_an_empty_store_has_the_table_too(tmp_path: Path) -> None:
    folder = EventFolder(tmp_path)
    folder.create()
    assert rows(folder, "SELECT count(*) FROM events") == [[0]]
    assert [name for name, _ in ask(folder, "FROM events")[0]] == ["id", "time", "received", "source", "host"]


def test_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    folder = fill(tmp_path, [process(n) for n in range(10)])
    before = sorted(path.name for path in tmp_path.rglob("*"))
    rows(folder, "SELECT event FROM events")
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


LETTERS = ["\u0130", "i", "\u212a", "k", "\u017f", "s", "\u01c5", "Ñ", "ñ", "\U0001f41f", "\x00a", "", " "]
WORDS = ["rowid", "events", "ID", "select", "filename", "file_row_number", "c0", "odd", "segment", "x" * 300]
ODD = [*LETTERS, *WORDS, "a.b", "*", 'a"b', "';--"]


def test_names_that_senders_make_up_are_names(tmp_path: Path) -> None:
    folder = fill(tmp_path, [orjson.dumps({name: "x", "n": n}) for n, name in enumerate(ODD * 2)])
    columns, told, problem = ask(folder, "SELECT * FROM events")
    assert problem is None and len(told) == 2 * len(ODD)
    names = {name.lower() for name, _ in columns}
    assert {"a.b", "*", 'a"b', "rowid", "events", "segment", "';--", "filename"} <= names
    assert rows(folder, 'SELECT count("a""b"), count(rowid), count("segment"), count("Ñ") FROM events') == [
        [2, 2, 2, 4]
    ]
    assert {name for (name, *_) in rows(folder, "DESCRIBE events")} >= {"a.b", "*"}


def test_a_description_within_a_question_hides_no_event(tmp_path: Path) -> None:
    folder = fill(tmp_path, [process(n) for n in range(30)])
    for asked in (
        "SELECT (SELECT count(*) FROM events) FROM (DESCRIBE events) LIMIT 1",
        "SELECT any_value((SELECT count(*) FROM events)) FROM (DESCRIBE SELECT Image FROM events)",
    ):
        assert rows(folder, asked) == [[30]]


def test_more_fields_than_an_answer_may_have_are_told_and_can_still_be_listed_and_asked_for(
    tmp_path: Path,
) -> None:
    folder = fill(tmp_path, [orjson.dumps({f"f{n}-{k}": "x" for k in range(50)}) for n in range(30)])
    problem = ask(folder, "SELECT * FROM events")[2]
    assert problem is not None and problem.code == "detect.sql_too_wide"
    assert len(rows(folder, "DESCRIBE events")) == 5 + 1500
    assert rows(folder, "SELECT count(*) FROM events WHERE \"f7-7\" = 'x'") == [[1]]
