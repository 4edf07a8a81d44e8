"""What patterns over time remember survives the worker and the web process; each hit is told once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from istmo.clock import SystemClock
from istmo.detect.records import positions
from istmo.detect.wire import INDICATORS
from istmo.model.patterns import read_pattern

from .room import ADMINISTRATOR, ANALYST, RealWorker, Room, connection_event, open_room, until

ADDRESS = "203.0.113.77"
THRICE = f"[network-traffic:dst_ref.value = '{ADDRESS}'] REPEATS 3 TIMES WITHIN 86400 SECONDS"
TWICE = THRICE.replace("3 TIMES", "2 TIMES")


@pytest.fixture
def node(data: Path) -> Iterator[tuple[Room, RealWorker, str]]:
    """A room, its worker, running, and the secret of a source."""
    room = open_room(data, f"sqlite:///{data / 'node.db'}", SystemClock())
    _, secret = room.detect.create_source(ADMINISTRATOR, "hacienda")
    room.link.start()
    worker = RealWorker(room)
    worker.start()
    yield room, worker, secret
    worker.stop()
    room.link.stop()
    room.store.close()


def publish(room: Room, pattern: str) -> str:
    read = read_pattern(pattern)
    assert read.plan and read.not_detected is None
    watch = room.shelf.publish(*read.terms, plan=read.plan)
    assert room.link.wait_live(watch.id, 10)
    return watch.id


def count(room: Room, subject: str) -> int:
    return sum(one.count for one in room.alerts() if one.subject == subject)


def is_looked_at(room: Room, stored: int) -> bool:
    state = room.detect.worker(ANALYST)
    return state.stored == stored and state.indicator_lag == 0


def stored_memory(room: Room) -> Any:
    with room.store.read() as connection:
        return positions.state(connection, INDICATORS)


def test_a_sequence_under_way_is_found_though_the_worker_is_killed_again_and_again(
    node: tuple[Room, RealWorker, str],
) -> None:
    room, worker, secret = node
    thrice = publish(room, THRICE)
    sent = 0
    for round in range(3):
        with worker.sending(secret) as send:
            for number in range(2):
                sent += send([connection_event(ADDRESS, number=10 * round + number)])
        if round % 2:
            until(lambda sent=sent: is_looked_at(room, sent))
        worker.kill()
        worker.start()
    until(lambda: is_looked_at(room, sent))
    assert room.link.wait_settled(10)
    until(lambda: count(room, thrice) >= sent - 2)
    assert count(room, thrice) == sent - 2, "each event with two before it, once"

    twice = publish(room, TWICE)
    until(lambda: count(room, twice) == sent - 1)  # found by the hunt that begins with it
    with worker.sending(secret) as send:
        sent += send([connection_event(ADDRESS, number=100)])
        until(lambda: count(room, thrice) == sent - 2)
    worker.kill()
    worker.start()
    with worker.sending(secret) as send:
        sent += send([connection_event(ADDRESS, number=101)])
    until(lambda: count(room, thrice) == sent - 2)
    # What the hunt has read is remembered by the stage, over the worker's end too.
    until(lambda: count(room, twice) == sent - 1)
    assert room.detect.worker(ADMINISTRATOR).patterns["patterns"] == 2
    assert room.detect.worker(ANALYST).patterns == {}, "how many there are tells of those one may not read"


def test_a_sequence_under_way_survives_the_web_process_and_is_forgotten_with_its_indicator(
    node: tuple[Room, RealWorker, str],
) -> None:
    room, worker, secret = node
    thrice = publish(room, THRICE)
    with worker.sending(secret) as send:
        send([connection_event(ADDRESS, number=number) for number in range(2)])
    until(lambda: is_looked_at(room, 2))
    room.link.stop()
    again = open_room(room.settings.data, str(room.store.url), SystemClock())
    again.shelf.held = room.shelf.held
    again.link.start()
    try:
        assert again.link.wait_ready(20)
        with RealWorker(again).sending(secret) as send:
            send([connection_event(ADDRESS, number=2)])
        until(lambda: count(again, thrice) == 1)
        until(lambda: stored_memory(again) is not None)
        again.shelf.retract(thrice)
        until(lambda: stored_memory(again) is None)
    finally:
        again.link.stop()
        again.store.close()
