"""A real worker with sealed events: all of it works, and nothing of an event is on the disk in clear."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from istmo.detect import wire
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.sealing import Keys, make_key_file, read_keys
from istmo.detect.wire import Position, WireIndicator
from istmo.settings import Retention, save_settings

from .conftest import Rig
from .test_correlations import RULE, event

EVERYTHING = Position(1 << 40)


def seal(rig: Rig, key_file: Path, *, is_sealing: bool = True) -> None:
    rig.settings = dataclasses.replace(
        rig.settings, retention=Retention(key_file=str(key_file), seal=is_sealing)
    )
    save_settings(rig.settings)


def start(rig: Rig, *, tend_seconds: float = 3600) -> None:
    rig.start(segment_bytes=1_000, tend_seconds=tend_seconds)
    rig.accept(sync=False)
    rig.say(wire.PutRules(2, [wire.WireRule("rule", RULE)], True, {}))
    rig.say(wire.PutIndicators(3, [], True))
    rig.say(wire.Synced())
    rig.hear(wire.Live, lambda live: live.what == "sigma")


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)  # the pace of polling


def fill(rig: Rig, number: int) -> None:
    rig.send(*(event(f"canario-{number}", line) | {"x": "y" * 200} for line in range(8)))
    until(lambda: len(EventFolder(rig.settings.events).wal_segments()) == 1)


def is_in_clear(rig: Rig) -> bool:
    signs = (b"canario", b"PAR1", b"\x28\xb5\x2f\xfd")
    files = [path for path in rig.settings.events.rglob("*") if path.is_file()]
    return any(sign in path.read_bytes() for path in files for sign in signs)


def test_sealed_events_are_taken_in_detected_searched_hunted_and_survive(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    key_file = tmp_path / "keys"
    key = make_key_file(key_file)
    rig = make_rig()
    seal(rig, key_file)
    start(rig)
    key_file.rename(tmp_path / "taken away")  # whoever has begun goes on without it
    for number in range(3):
        fill(rig, number)
    assert len(rig.hits("sigma", 24)) == 24, "the process for rules opens them"
    before, problem = rig.search("User:canario-1")
    assert (len(before), problem) == (8, None)
    rig.settle_stored()
    rig.put(WireIndicator("indicator--1", [("ipv4", "192.0.2.7")]))
    rig.send({"DestinationIp": "192.0.2.7", "User": "canario"})
    assert len(rig.hits("indicators", 1)) == 1
    rig.kill()
    assert not is_in_clear(rig)
    rig.start(segment_bytes=1_000)
    assert rig.process is not None
    assert rig.process.wait(30) == 1, "without its key it takes nothing in"
    (tmp_path / "taken away").rename(key_file)
    start(rig)
    assert rig.search("User:canario-1") == (before, None)
    rig.settle_stored()
    rig.put(WireIndicator("indicator--2", [("ipv4", "192.0.2.7")]))
    assert len(rig.hunt("indicator--2")) == 1
    stats = rig.stats()
    assert stats.sealing is not None
    assert (stats.events, stats.sealing.key, stats.sealing.plain) == (25, key, 0)
    assert stats.sealing.sealed > 0
    assert not is_in_clear(rig)


@pytest.mark.long
def test_what_rests_is_sealed_anew_with_a_new_key_one_after_another(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    old, new, both = (tmp_path / name for name in ("old", "new", "both"))
    make_key_file(old)
    make_key_file(new)
    rig = make_rig()
    start(rig)
    fill(rig, 0)
    plain = rig.stats()
    assert plain.sealing is None
    assert is_in_clear(rig)
    rig.end()
    seal(rig, old)
    start(rig)
    fill(rig, 1)
    rig.end()
    both.write_bytes(new.read_bytes() + old.read_bytes())
    seal(rig, both)
    start(rig, tend_seconds=0.1)

    def is_done() -> bool:
        rig.hear(wire.AskKeeping)
        rig.say(wire.Keeping(EVERYTHING, {}))
        told = rig.stats().sealing
        return told is not None and told.sealed > 0 and not told.older + told.plain

    until(is_done)
    rig.end()
    seal(rig, new)
    start(rig)
    rows, problem = rig.search("User:canario*", limit=100)
    assert (len(rows), problem) == (16, None)
    assert not is_in_clear(rig), "what had been written anew is gone at the next start"


def test_segments_whose_key_is_not_there_are_told_and_keep_no_other_waiting(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for path in (one, other):
        make_key_file(path)
    lost = Keys(read_keys(one)).first.hex()
    rig = make_rig()
    seal(rig, one)
    start(rig)
    rig.send(event("canario", 1))
    rig.kill()
    seal(rig, other)
    start(rig)
    notice = rig.hear(wire.Notice, lambda told: told.code == wire.SEGMENT_SHUT)
    assert notice.params == {"segment": 1, "key": lost}
    rig.send(*(event("b", line) | {"x": "y" * 200} for line in range(8)))
    rig.send(event("c", 1))
    folder = EventFolder(rig.settings.events)
    until(lambda: folder.wal_segments() == [1, 3])
    rows, problem = rig.search("User:b", limit=100)
    assert len(rows) == 8
    assert problem is not None
    assert problem.code == "detect.segments_unreadable"
    sealing = rig.stats().sealing
    assert sealing is not None
    assert sealing.shut == 1
    rig.end()
    one.write_bytes(other.read_bytes() + one.read_bytes())
    seal(rig, one)
    start(rig)
    until(lambda: len(folder.wal_segments()) == 1)
    rows, problem = rig.search("User:canario", limit=100)
    assert (len(rows), problem) == (1, None), "it was there all the time"
