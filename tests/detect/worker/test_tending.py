"""A real worker keeps what rests within its room, and makes one of small neighbours."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from istmo.detect import wire
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.health import look_at
from istmo.detect.wire import Position, WireIndicator
from istmo.settings import Retention, save_settings

from .conftest import Rig, source

EVERYTHING = Position(1 << 40)


def begin(make_rig: Callable[..., Rig], retention: Retention | None = None) -> Rig:
    rig = make_rig()
    rig.settings = dataclasses.replace(rig.settings, retention=retention or Retention())
    save_settings(rig.settings)
    start(rig)
    return rig


def start(rig: Rig) -> None:
    rig.start(segment_bytes=1_000, tend_seconds=0.1)
    rig.accept()


def fill(rig: Rig, segments: int, first: int = 0) -> None:
    """As many segments, each of some events, and one that is open."""
    for number in range(first, first + segments):
        rig.send(
            *({"n": number, "line": line, "x": "y" * 200, "DestinationIp": "192.0.2.7"} for line in range(10))
        )
    folder = EventFolder(rig.settings.events)
    until(lambda: len(folder.wal_segments()) == 1)


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)  # the pace of polling


def keep(rig: Rig, read: Position = EVERYTHING, **sources: tuple[int, int]) -> None:
    """Answer the next question of what is to be kept."""
    rig.hear(wire.AskKeeping)
    rig.say(wire.Keeping(read, sources))


def numbers(rig: Rig, query: str = "") -> list[int]:
    rows, problem = rig.search(query, limit=10_000)
    assert problem is None
    return sorted({orjson.loads(row.raw)["n"] for row in rows})


@pytest.mark.long
def test_small_segments_become_one_and_all_is_found_as_before(make_rig: Callable[..., Rig]) -> None:
    rig = begin(make_rig)
    fill(rig, 12)
    folder = EventFolder(rig.settings.events)
    before, _ = rig.search("", limit=1000)
    assert len(before) == 120
    rig.settle_stored()
    until(lambda: (keep(rig), len(folder.closed()) < 5)[1])
    assert rig.search("", limit=1000) == (before, None)
    assert [row.event_id for row in rig.search("id:3-4")[0]] == ["3-4"]
    rig.put(WireIndicator("indicator--1", [("ipv4", "192.0.2.7")]))
    hits = rig.hunt("indicator--1")
    assert sorted(hit.event_id for hit in hits) == sorted(row.event_id for row in before)
    assert rig.stats().events == 120
    rig.kill()
    start(rig)
    assert rig.stats().events == 120
    assert rig.search("", limit=1000) == (before, None)
    assert not folder.superseded()
    health = look_at(folder.root, every_event=True)
    assert (health.lost, health.slow) == ([], [])


@pytest.mark.long
def test_what_the_budget_has_no_room_for_goes_oldest_first_and_is_told_before(
    make_rig: Callable[..., Rig],
) -> None:
    rig = begin(make_rig, Retention(budget_bytes=20_000))
    fill(rig, 12)
    whole = rig.stats()
    assert whole.bytes > 40_000
    assert (whole.sources.keys(), whole.room) == ({"s1"}, 0)
    keep(rig, Position(0))
    notice = rig.hear(wire.Notice, lambda one: one.code == "detect.budget_passed")
    assert notice.params["budget"] == 20_000
    assert numbers(rig) == list(range(12)), "what has not been read by all does not go"
    keep(rig)
    told = rig.hear(wire.LetGo)
    until(lambda: rig.stats().events == 120 - told.events["s1"])
    kept = numbers(rig)
    assert told.why == "budget"
    assert kept == list(range(12 - len(kept), 12))
    assert 0 < len(kept) < 12
    assert rig.stats().bytes <= 20_000
    assert whole.oldest <= told.first <= told.last < rig.stats().oldest


@pytest.mark.long
def test_one_sources_events_go_and_the_others_keep_their_ids(make_rig: Callable[..., Rig]) -> None:
    rig = begin(make_rig)
    other = "another-s3cret"
    sources = [source(), source(other, id="s2", name="other")]
    rig.say(wire.PutSources(5, sources))
    rig.hear(wire.Live, lambda live: live.what == "sources" and live.generation == 5)
    for number in range(4):
        rig.send(*({"n": number, "x": "y" * 50} for _ in range(3)))
        status, _ = rig.post(b'{"n":%d,"other":true,"x":"%b"}' % (number, b"z" * 1000), secret=other)
        assert status == 200
    until(lambda: len(EventFolder(rig.settings.events).wal_segments()) == 1)
    before, _ = rig.search("source:s1", limit=1000)
    last = EventFolder(rig.settings.events).wal_segments()[0]
    keep(rig, s2=(0, 1))
    assert rig.hear(wire.LetGo).events.keys() == {"s2"}
    until(lambda: (keep(rig, s2=(0, 1)), is_gone(rig, last))[1])
    assert rig.search("source:s1", limit=1000) == (before, None)
    reasons = {told.why for told in rig.aside if isinstance(told, wire.LetGo)}
    assert reasons <= {"source_budget"}


def is_gone(rig: Rig, last: int) -> bool:
    rows, _ = rig.search("source:s2", limit=1000)
    return all(row.event_id.startswith(f"{last}-") for row in rows)
