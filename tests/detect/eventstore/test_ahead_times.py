"""What is noted of the times of a write-ahead file is true of every line, or it is not noted."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from istmo.detect.eventstore import ahead_times
from istmo.detect.eventstore.ahead_times import AheadTimes, Stretch, keep_upto, stretches
from istmo.detect.eventstore.closing import close_segment
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.lines import StoredEvent, compose
from istmo.detect.eventstore.sealing import NO_KEYS, Keys
from istmo.detect.eventstore.wal import WriteAhead, WriteAheadReader
from istmo.detect.wire import Position

from .conftest import KEY

NOW = 1_772_442_000_000_000


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead_times, "STRETCH_LINES", 4)


@pytest.fixture
def folder(tmp_path: Path) -> EventFolder:
    made = EventFolder(tmp_path)
    made.create()
    return made


def event(line: int, received: int) -> StoredEvent:
    return StoredEvent(f"1-{line}", received, "s", b'{"a":1}')


def has_lines(folder: EventFolder, segment: int = 1) -> Path:
    folder.wal_path(segment).write_bytes(compose(segment, 0, NOW, b'"s"', b"{}"))
    return folder.times_path(segment)


@given(st.lists(st.integers(0, 50), max_size=40), st.lists(st.tuples(st.integers(0, 40), st.integers(1, 7))))
@settings(max_examples=60, deadline=None)
def test_stretches_hold_each_line_once_and_what_they_say_is_true(
    tmp_path_factory: pytest.TempPathFactory, seconds: list[int], shown: list[tuple[int, int]]
) -> None:
    """Whatever was shown to whoever notes: parts, parts again after a new beginning, parts out of order."""
    folder = EventFolder(tmp_path_factory.mktemp("events"))
    folder.create()
    path = has_lines(folder)
    times = AheadTimes(folder)
    for first, count in shown:
        end = min(first + count, len(seconds))
        if first < end:
            events = [event(at, NOW + seconds[at]) for at in range(first, end)]
            times.note(Position(1, first), Position(1, end), events)
    found = stretches(path, len(seconds))
    held = [line for one in found for line in range(one.first, one.end or 0)]
    assert held == list(range(len(seconds)))
    for one in found:
        if one.earliest is not None and one.latest is not None:
            inside = seconds[one.first : one.end]
            assert one.earliest <= NOW + min(inside) and NOW + max(inside) <= one.latest


def test_what_was_shown_is_noted_once_it_is_long_enough_or_the_next_segment_begins(
    folder: EventFolder,
) -> None:
    path, times = has_lines(folder), AheadTimes(folder)
    times.note(Position(1, 0), Position(1, 3), [event(at, NOW + at) for at in range(3)])
    assert stretches(path, 3) == [Stretch(0, 3)]
    times.note(Position(1, 3), Position(1, 5), [event(at, NOW - at) for at in (3, 4)])
    assert stretches(path, None) == [Stretch(0, 5, NOW - 4, NOW + 2), Stretch(5, None)]
    times.note(Position(1, 5), Position(1, 6), [event(5, NOW)])
    times.note(Position(2, 0), Position(2, 1), [event(0, NOW)])
    assert stretches(path, 6) == [Stretch(0, 5, NOW - 4, NOW + 2), Stretch(5, 6, NOW, NOW)]


def test_a_line_that_cannot_be_read_keeps_its_stretch_unknown(folder: EventFolder) -> None:
    """It may have any time: whoever searches has to come upon it, and tell."""
    path, times = has_lines(folder), AheadTimes(folder)
    times.note(Position(1, 0), Position(1, 6), [event(at, NOW) for at in (0, 1, 2, 4, 5)])
    times.note(Position(1, 6), Position(1, 10), [event(at, NOW) for at in range(6, 10)])
    assert stretches(path, 10) == [Stretch(0, 6), Stretch(6, 10, NOW, NOW)]


def test_a_half_written_or_altered_note_is_none(folder: EventFolder) -> None:
    path, times = has_lines(folder), AheadTimes(folder)
    for first in (0, 4):
        times.note(Position(1, first), Position(1, first + 4), [event(at, NOW) for at in range(4)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert stretches(path, 8) == [Stretch(0, 4, NOW, NOW), Stretch(4, 8)]
    for at in range(len(whole) // 2):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        assert stretches(path, 8) == [Stretch(0, 4), Stretch(4, 8, NOW, NOW)]
    path.write_bytes(whole + b"half")
    keep_upto(path, 8)
    assert path.read_bytes() == whole, "what is noted next is read again"


def test_what_is_noted_of_lines_that_are_not_there_is_let_go_of(folder: EventFolder) -> None:
    """An older copy of the file may have been put back: other events come to stand in these lines."""
    path, times = has_lines(folder), AheadTimes(folder)
    for first in (0, 4):
        times.note(Position(1, first), Position(1, first + 4), [event(at, NOW) for at in range(4)])
    keep_upto(path, 7)
    assert stretches(path, 8) == [Stretch(0, 4, NOW, NOW), Stretch(4, 8)]
    keep_upto(path, 0)
    assert not path.exists()


def test_closing_a_segment_takes_its_notes_away(folder: EventFolder) -> None:
    path, times = has_lines(folder), AheadTimes(folder)
    times.note(Position(1, 0), Position(1, 4), [event(at, NOW) for at in range(4)])
    assert path.exists()
    close_segment(folder, 1)
    assert not path.exists()
    times.note(Position(1, 4), Position(1, 8), [event(at, NOW) for at in range(4)])
    assert not path.exists(), "one that comes late finds the file gone"
    path.write_bytes(b"x")
    folder.tidy()
    assert not path.exists()


@pytest.mark.parametrize("keys", [NO_KEYS, Keys([KEY])], ids=["plain", "sealed"])
@given(st.lists(st.integers(0, 90_000), max_size=30), st.lists(st.integers(0, 31), max_size=8))
@settings(max_examples=20, deadline=None)
def test_a_reader_goes_to_any_line_forward_and_back(
    tmp_path_factory: pytest.TempPathFactory, keys: Keys, sizes: list[int], visits: list[int]
) -> None:
    path = tmp_path_factory.mktemp("wal") / "00000001.ndjson"
    lines = [compose(1, at, 5, b'"s"', b'{"t":"%b"}' % (b"x" * size)) for at, size in enumerate(sizes)]
    wal = WriteAhead(path, keys)
    for start in range(0, len(lines), 3):
        wal.append(b"".join(lines[start : start + 3]), len(lines[start : start + 3]))
    wal.close()
    reader = WriteAheadReader(path, keys=keys)
    for place in visits:
        if place <= len(lines):
            reader.go_to(place)
            assert reader.line == place
            assert reader.read(size=100_000)[:1] == lines[place : place + 1]
    reader.close()
