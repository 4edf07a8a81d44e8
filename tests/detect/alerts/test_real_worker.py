"""With a real worker process, over the real socket and the real intake: nothing lost, nothing twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from istmo.clock import SystemClock
from istmo.detect.objects_source import Source
from istmo.detect.service.alerts import alert_filter

from .room import ADMINISTRATOR, ANALYST, RealWorker, Room, connection_event, open_room, until

ADDRESS = "203.0.113.77"


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


def story(room: Room, subject: str) -> Any:
    found = room.detect.list_alerts(ANALYST, alert_filter(subject=subject)).items
    return found[0] if found else None


def count(room: Room, subject: str) -> int:
    found = story(room, subject)
    return found.count if found else 0


def test_what_would_have_matched_is_told_before_anything_is_published(
    node: tuple[Room, RealWorker, str],
) -> None:
    room, worker, secret = node
    yesterday = f"{room.clock.now() - timedelta(days=1):%Y-%m-%d %H:%M:%S}.000"
    events = [{**connection_event(ADDRESS, number=n), "UtcTime": yesterday} for n in range(3)]
    with worker.sending(secret) as send:
        send([*events, connection_event(ADDRESS, number=9)])
    asked = {"this": ([("ipv4", ADDRESS)], None), "other": ([("domain", "evil.example")], None)}
    past = room.detect.past(ANALYST, asked)
    told = {id: (one.count, one.hosts, len(one.examples)) for id, one in past.found.items()}
    assert told == {"this": (3, 1, 3)}, "what happened longer ago does not count"
    assert (past.problem, past.asked, past.left_out) == (None, 2, 0)


def test_published_hunted_live_seen_and_retracted(node: tuple[Room, RealWorker, str]) -> None:
    room, worker, secret = node
    with worker.sending(secret) as send:
        assert (
            send([connection_event(ADDRESS, number=n) for n in range(3)] + [connection_event("192.0.2.1")])
            == 4
        )
        watch = room.shelf.publish(("ipv4", ADDRESS))
        until(lambda: count(room, watch.id) == 3)
        assert room.link.wait_settled(10)
        found = story(room, watch.id)
        assert (found.count, found.stored_count) == (3, 3)
        took = []
        for number in range(20):
            began = time.perf_counter()
            send([connection_event(ADDRESS, number=100 + number)])
            until(lambda number=number: count(room, watch.id) == 4 + number)
            took.append(time.perf_counter() - began)
        assert sorted(took)[10] < 1.0, took
        assert sum(number for _, number, _, _ in room.shelf.sightings) == 23
        state = room.detect.worker(ANALYST)
        assert (state.state, state.stored, state.indicator_lag) == ("ready", 24, 0)
        assert state.indicators is None, "an analyst may not know how many RED ones there are"
        assert room.detect.worker(ADMINISTRATOR).indicators == 1
        assert [one.event_id for one in room.detect.search(ANALYST, "192.0.2.1")]
        room.shelf.retract(watch.id)
        until(lambda: room.detect.detection(watch.id).state == "off")
        send([connection_event(ADDRESS, number=200)])
        until(lambda: room.detect.worker(ANALYST).indicator_lag == 0)
        assert room.link.wait_settled(10)
        assert count(room, watch.id) == 23


def test_an_indicator_ends_by_itself_when_its_time_is_over(node: tuple[Room, RealWorker, str]) -> None:
    room, worker, secret = node
    until_then = room.clock.now() + timedelta(seconds=1.5)
    watch = room.shelf.publish(("ipv4", ADDRESS), valid_until=until_then)
    assert room.link.wait_live(watch.id, 5)
    with worker.sending(secret) as send:
        until(lambda: room.clock.now() > until_then)
        send([connection_event(ADDRESS)])
        until(lambda: room.detect.worker(ANALYST).stored == 1)
        until(lambda: room.detect.worker(ANALYST).indicator_lag == 0)
    assert room.alerts() == []


def test_each_event_is_told_once_though_the_worker_is_killed_again_and_again(
    node: tuple[Room, RealWorker, str],
) -> None:
    """Invariant 5, seen from the alert: what was accepted is counted, once."""
    room, worker, secret = node
    watch = room.shelf.publish(("ipv4", ADDRESS))
    accepted = 0
    for round in range(3):
        with worker.sending(secret) as send:
            for number in range(15):
                batch = [connection_event(ADDRESS, number=1000 * round + 10 * number + n) for n in range(10)]
                accepted += send(batch)
        worker.kill()
        if round == 1:
            # Published while no worker is there: what came before must be hunted for.
            late = room.shelf.publish(("filename", "svchost.exe"))
        worker.start()
    until(lambda: count(room, watch.id) >= accepted, 20)
    until(lambda: count(room, late.id) >= accepted, 20)
    assert room.link.wait_settled(10)
    assert (count(room, watch.id), count(room, late.id)) == (accepted, accepted)
    assert sum(number for _, number, _, _ in room.shelf.sightings) == 2 * accepted


def test_the_web_process_comes_back_and_misses_nothing(node: tuple[Room, RealWorker, str]) -> None:
    room, worker, secret = node
    watch = room.shelf.publish(("ipv4", ADDRESS))
    assert room.link.wait_live(watch.id, 5)
    with worker.sending(secret) as send:
        send([connection_event(ADDRESS, number=1)])
        until(lambda: count(room, watch.id) == 1)
        ready = room.link.ready
        assert ready
        room.link.stop()
        port = ready.intake_port
        again = open_room(room.settings.data, str(room.store.url), SystemClock())
        again.shelf.held = room.shelf.held
        answer = httpx.post(
            f"http://127.0.0.1:{port}/api/v1/events",
            json=connection_event(ADDRESS, number=2),
            headers={"Authorization": f"Bearer {secret}"},
            trust_env=False,
        )
        assert answer.status_code == 200
        again.link.start()
        try:
            assert again.link.wait_ready(20)
            until(lambda: count(again, watch.id) == 2)
            assert again.link.wait_settled(10)
            assert count(again, watch.id) == 2
        finally:
            again.link.stop()
            again.store.close()


def test_a_source_is_told_what_it_sent_how_late_and_what_was_no_good(
    node: tuple[Room, RealWorker, str],
) -> None:
    room, _, secret = node
    happened = room.clock.now() - timedelta(hours=6)
    event = {"@timestamp": happened.isoformat(), "message": "tarde"}
    lines = [orjson.dumps(event)] * 50 + [b"no es JSON"] * 3 + [b"[1]"]
    until(lambda: room.link.wait_ready(1))
    ready = room.link.ready
    assert ready
    where = f"http://127.0.0.1:{ready.intake_port}/api/v1/events"
    told = {"Authorization": f"Bearer {secret}", "Idempotency-Key": "uno"}
    for _ in range(2):
        answer = httpx.post(where, content=b"\n".join(lines), headers=told, trust_env=False, timeout=30)
        assert answer.status_code == 200, answer.text

    def source() -> Source:
        (found,) = room.detect.sources(ANALYST)
        return found

    until(lambda: source().doubled and source().lag is not None and source().recent.accepted == 54)
    found = source()
    assert (found.accepted, found.doubled, found.unreadable, found.refused) == (54, 54, 4, 0)
    assert found.reasons == {"detect.line_not_json": 3, "detect.line_not_object": 1}
    assert found.lag is not None and abs(found.lag / 3_600_000_000 - 6) < 0.1
    assert found.recent.rate > 0
    assert found.first_event and found.last_event and found.last_event >= found.first_event
    unread = list(room.detect.search(ANALYST, "istmo.unreadable:*"))
    assert len(unread) == 4, "what the console says about finding them is true"
