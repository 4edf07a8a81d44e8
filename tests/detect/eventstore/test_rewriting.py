"""Closed segments written anew: neighbours as one, and without what is kept no longer."""

from __future__ import annotations

import random
from pathlib import Path

import orjson
import pytest

from istmo.clock import SystemClock
from istmo.detect.eventstore.closing import close_segment
from istmo.detect.eventstore.folder import Closed, EventFolder
from istmo.detect.eventstore.follow import Follower, open_segment, read_lines
from istmo.detect.eventstore.frames import FrameReader
from istmo.detect.eventstore.health import look_at
from istmo.detect.eventstore.lines import compose
from istmo.detect.eventstore.log import EventLog
from istmo.detect.eventstore.resting import look
from istmo.detect.eventstore.rewriting import remove_superseded, rewrite, tidy
from istmo.detect.eventstore.sealing import NO_KEYS, Keys
from istmo.detect.eventstore.wal import WriteAhead
from istmo.detect.search.find import Finder
from istmo.detect.search.hunt import Hunter
from istmo.detect.search.query import parse_query
from istmo.detect.wire import Position, WireIndicator
from istmo.errors import Conflict

BEGINNING, END = Position(), Position(1 << 40, 0)
SOURCES = ("a", "b", "c")


def make(root: Path, segments: list[list[str]], keys: Keys = NO_KEYS) -> EventFolder:
    """A store of closed segments; each event is told by its source."""
    folder = EventFolder(root, keys)
    folder.create()
    for segment, sources in enumerate(segments, 1):
        lines = [
            compose(
                segment,
                line,
                segment * 1_000_000 + line,
                orjson.dumps(source),
                b'{"n":%d,"DestinationIp":"10.0.0.%d"}' % (segment * 1000 + line, line % 7),
            )
            for line, source in enumerate(sources)
        ]
        wal = WriteAhead(folder.wal_path(segment), keys)
        wal.append(b"".join(lines), len(lines))
        wal.close()
        close_segment(folder, segment)
    return folder


def found(folder: EventFolder, query: str = "") -> list[str]:
    finder = Finder(folder, parse_query(query), 100_000, END, 60)
    ids = [row.event_id for rows in finder.rows() for row in rows]
    assert not finder.unreadable
    return ids


def hunted(folder: EventFolder, upto: Position = END) -> list[str]:
    indicator = WireIndicator("indicator--1", [("ipv4", "10.0.0.3")])
    hunter = Hunter(folder, [indicator], {"indicator--1": upto}, 0, 60)
    return [hit.event_id for hit in hunter.hits()]


def followed(folder: EventFolder, start: Position = BEGINNING) -> list[str]:
    log = EventLog(folder.root, SystemClock(), folder.keys)
    follower = Follower(log, start)
    ids = []
    while follower.position < log.head.position:
        block = follower.next()
        ids += [event.id for event in block.events] if block else []
    follower.close()
    log.close()
    return ids


@pytest.fixture
def folder(tmp_path: Path, keys: Keys) -> EventFolder:
    chance = random.Random(3)
    return make(tmp_path / "events", [[chance.choice(SOURCES) for _ in range(30)] for _ in range(4)], keys)


def test_neighbours_become_one_and_every_event_keeps_its_id(folder: EventFolder) -> None:
    before, hits = found(folder), hunted(folder)
    assert len(before) == 120
    rewrite(folder, folder.closed()[1:3], {})
    assert folder.closed() == [Closed(1, 1), Closed(2, 3, 1), Closed(4, 4)]
    assert folder.superseded() == [Closed(2, 2), Closed(3, 3)]
    assert found(folder) == before
    assert hunted(folder) == hits
    remove_superseded(folder, folder.superseded())
    assert folder.superseded() == []
    assert found(folder) == before
    assert found(folder, "DestinationIp:10.0.0.3") == [id for id in before if id in set(hits)]
    for id in before[::9]:
        assert found(folder, f"id:{id}") == [id]
    assert hunted(folder, Position(3, 0)) == [id for id in hits if id < "3"]
    assert followed(folder) == sorted(before, key=lambda id: [int(part) for part in id.split("-")])
    assert followed(folder, Position(3, 7)) == [f"3-{n}" for n in range(7, 30)] + [
        f"4-{n}" for n in range(30)
    ]
    assert not look_at(folder.root, folder.keys, every_event=True).lost


def test_what_is_kept_no_longer_is_gone_and_the_rest_keeps_its_id(folder: EventFolder) -> None:
    olds = folder.closed()
    by_source = {source: found(folder, f"source:{source}") for source in SOURCES}
    kept = [id for id in found(folder) if id not in by_source["b"]]
    rewrite(folder, olds, {old: frozenset({"b"}) for old in olds})
    assert found(folder) == kept
    assert found(folder, "source:b") == []
    assert [found(folder, f"id:{id}") for id in kept[::9]] == [[id] for id in kept[::9]]
    (one,) = (look(folder, closed) for closed in folder.closed())
    assert {source: part.lines for source, part in one.parts.items()} == {
        source: len(by_source[source]) for source in ("a", "c")
    }
    reader = open_segment(folder, 2, 0)
    ids = []
    while lines := reader.read():
        ids += [event.id for event in read_lines(lines)]
    reader.close()
    assert ids == sorted((id for id in kept if id.startswith("2-")), key=lambda id: int(id[2:]))


def test_a_later_writing_stands_for_an_earlier_one(folder: EventFolder) -> None:
    before = found(folder)
    for _ in range(3):
        rewrite(folder, folder.closed()[:1], {})
    rewrite(folder, folder.closed()[:2], {})
    rewrite(folder, folder.closed(), {})
    assert folder.closed() == [Closed(1, 4, 5)]
    assert found(folder) == before
    tidy(folder)
    assert len(list(folder.segments.iterdir())) == 2
    assert found(folder) == before


def test_what_cannot_be_read_whole_is_not_written_anew(folder: EventFolder) -> None:
    path = folder.raw_path(Closed(2, 2))
    raw = bytearray(path.read_bytes())
    raw[40] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(ValueError, match="frame"):
        rewrite(folder, folder.closed(), {})
    assert len(folder.closed()) == 4
    assert not list(folder.segments.glob("*.half"))


def test_nothing_is_written_over_what_rests_between(folder: EventFolder) -> None:
    first, second, third, _ = folder.closed()
    with pytest.raises(Conflict):
        rewrite(folder, [first, third], {})
    folder.wal_path(2).write_bytes(b"")
    with pytest.raises(Conflict):
        rewrite(folder, [first, second, third], {})


def test_a_segment_let_go_of_while_a_search_runs_is_no_damage(folder: EventFolder) -> None:
    finder = Finder(folder, parse_query(""), 40, END, 60)
    rows = finder.rows()
    next(rows)
    folder.remove(folder.closed()[:2])
    list(rows)
    assert not finder.unreadable
    assert len(found(folder)) == 60


def test_a_damaged_line_stays_where_it_is(tmp_path: Path) -> None:
    folder = EventFolder(tmp_path / "events")
    folder.create()
    lines = [compose(1, line, 5, b'"a"' if line % 2 else b'"b"', b"{}") for line in range(6)]
    lines[2] = b"\x00" * 20 + b"\n"
    folder.wal_path(1).write_bytes(b"".join(lines))
    close_segment(folder, 1)
    rewrite(folder, folder.closed(), {folder.closed()[0]: frozenset({"a"})})
    with FrameReader(folder.raw_path(folder.closed()[0])) as reader:
        assert [(place.line, line) for place, line in reader.placed(0)] == [
            (0, lines[0]),
            (1, lines[2]),
            (4, lines[4]),
        ]
