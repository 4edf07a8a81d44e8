"""The web process's end of the conversation, spoken with over the real socket."""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from istmo.clock import SystemClock
from istmo.detect import wire
from istmo.detect.records import positions
from istmo.detect.unix_socket import SOCKET
from istmo.detect.wire import (
    INDICATORS,
    SIGMA,
    DropIndicators,
    DropRules,
    Hits,
    Hunt,
    HuntHits,
    Live,
    Position,
    Problem,
    PutIndicators,
    PutRules,
    PutSources,
    Ready,
    Rows,
    Search,
    Synced,
    Welcome,
    WireRow,
)
from istmo.errors import InvalidInput, Unavailable
from istmo.identity import audit
from istmo.identity.objects import AuditLine
from istmo.settings import Limits
from istmo.store.engine import Transaction

from .room import ADMINISTRATOR, ANALYST, COORDINATOR, HERE, T0, THERE, Peer, Room, hit, open_room, until

RULE = b"""
title: Una regla
id: 0f06a3a5-6a09-413f-8743-e6cf35561297
level: high
logsource: {product: windows, category: network_connection}
detection:
  selection:
    DestinationIp: 203.0.113.77
  condition: selection
"""
RULE_ID = "0f06a3a5-6a09-413f-8743-e6cf35561297"


def test_only_this_user_can_open_the_socket(linked: Room) -> None:
    path = linked.settings.run / SOCKET
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(linked.settings.run.stat().st_mode) == 0o700


def test_a_worker_is_told_everything_before_it_starts(linked: Room) -> None:
    watch = linked.shelf.publish(("ipv4", "203.0.113.77"))
    linked.detect.import_rules(ANALYST, RULE)
    source, _ = linked.detect.create_source(ADMINISTRATOR, "hacienda")
    linked.tell(INDICATORS, [], Position(3, 4))
    peer = Peer(linked)
    peer.expect(Synced)
    welcome, put, rules, sources, _ = peer.told
    assert welcome == Welcome({INDICATORS: Position(3, 4)}, HERE, [HERE, THERE])
    assert isinstance(put, PutIndicators)
    assert put.reset
    assert [one.id for one in put.items] == [watch.id]
    assert isinstance(rules, PutRules)
    assert rules.reset
    assert [one.id for one in rules.rules] == [RULE_ID]
    assert isinstance(sources, PutSources)
    assert [(one.id, one.name, one.scopes) for one in sources.sources] == [
        (source.id, "hacienda", ["submit"])
    ]
    assert linked.link.wait_ready(5)


def test_an_empty_node_forgets_what_the_worker_had(linked: Room) -> None:
    peer = Peer(linked)
    peer.expect(Synced)
    assert [one.reset for one in peer.told if isinstance(one, (PutIndicators, PutRules))] == [True, True]


def test_live_means_that_the_worker_has_acknowledged(linked: Room) -> None:
    peer = Peer(linked, answers=False)
    peer.expect(Synced)
    assert linked.link.state == "starting"
    for message in peer.told:
        peer.acknowledge(message)
    assert linked.link.wait_ready(5)
    watch = linked.shelf.publish(("ipv4", "203.0.113.77"))
    put = peer.expect(PutIndicators)
    assert [one.id for one in put.items] == [watch.id]
    assert not put.reset
    assert linked.detect.detection(watch.id).state == "waiting"
    peer.acknowledge(put)
    assert linked.link.wait_live(watch.id, 5)
    assert linked.detect.detection(watch.id).state == "live"
    linked.shelf.retract(watch.id)
    drop = peer.expect(DropIndicators)
    assert drop.ids == [watch.id]
    assert linked.detect.detection(watch.id).state == "stopping"
    peer.acknowledge(drop)
    until(lambda: linked.detect.detection(watch.id).state == "off")
    assert linked.detect.detection("no id at all").state == "off"


def test_what_is_published_reaches_the_worker_within_milliseconds(linked: Room) -> None:
    peer = Peer(linked)
    peer.expect(Synced)
    assert linked.link.wait_ready(5)
    took = []
    for number in range(30):
        began = time.perf_counter()
        linked.shelf.publish(("ipv4", f"203.0.113.{number}"))
        peer.expect(PutIndicators)
        took.append(time.perf_counter() - began)
    assert sorted(took)[len(took) // 2] < 0.2, took


def test_a_source_is_handed_out_once_the_intake_opens_to_it_and_closed_once_it_is_shut(linked: Room) -> None:
    peer = Peer(linked)
    peer.expect(Synced)
    assert linked.link.wait_ready(5)
    peer.answers = False
    made: list[str] = []

    def make() -> None:
        source, _ = linked.detect.create_source(ADMINISTRATOR, "aduana")
        made.append(source.id)

    for action in (make, lambda: linked.detect.revoke_source(ADMINISTRATOR, made[0])):
        doing = threading.Thread(target=action)
        doing.start()
        told = peer.expect(PutSources)
        assert doing.is_alive(), "the worker has not said that it goes by them"
        peer.acknowledge(told)
        doing.join(1.5)
        assert not doing.is_alive()


def test_every_newly_live_indicator_is_hunted_for_once(linked: Room) -> None:
    before = linked.shelf.publish(("ipv4", "203.0.113.1"))
    peer = Peer(linked)
    hunt = peer.expect(Hunt)
    assert hunt.indicator_ids == [before.id]
    found = [hit(before.id, line, stored=True) for line in range(3)]
    peer.send(HuntHits(hunt.request, found[:2], False))
    peer.send(HuntHits(hunt.request, found[2:], True))
    assert linked.link.wait_settled(5)
    assert [(one.count, one.stored_count) for one in linked.alerts()] == [(3, 3)]
    peer.close()
    until(lambda: linked.link.state == "away")

    again = Peer(linked)
    again.expect(Synced)
    assert linked.link.wait_ready(5)
    # The same terms need no second hunt, other terms do.
    linked.shelf.publish(("ipv4", "203.0.113.1"), id=before.id, name="otro nombre")
    linked.shelf.publish(("ipv4", "203.0.113.2"), id=before.id)
    hunt = again.expect(Hunt)
    assert hunt.indicator_ids == [before.id]
    assert [one for one in again.told if isinstance(one, Hunt)] == [hunt]
    again.send(HuntHits(hunt.request, [hit(before.id, 2, stored=True), hit(before.id, 9, stored=True)], True))
    assert linked.link.wait_settled(5)
    assert [one.count for one in linked.alerts()] == [4]


def test_a_hunt_that_was_cut_off_is_asked_for_again(linked: Room) -> None:
    watch = linked.shelf.publish(("ipv4", "203.0.113.1"))
    peer = Peer(linked)
    hunt = peer.expect(Hunt)
    peer.send(HuntHits(hunt.request, [hit(watch.id, 1, stored=True)], False))
    until(linked.alerts)
    peer.close()
    peer = Peer(linked)
    hunt = peer.expect(Hunt)
    failed = Problem("", "detect.aside_failed", {})
    peer.send(HuntHits(hunt.request, [], True, failed))
    hunt = peer.expect(Hunt)
    assert hunt.indicator_ids == [watch.id]
    cut = Problem("", "detect.hunt_cut_short", {})
    peer.send(HuntHits(hunt.request, [hit(watch.id, line, stored=True) for line in (1, 2)], True, cut))
    assert linked.link.wait_settled(5)
    assert [one.count for one in linked.alerts()] == [2]
    assert linked.detect.detection(watch.id).hunt_problem == "detect.hunt_cut_short"


def test_a_hunt_that_could_not_read_everything_says_so_and_is_not_repeated(linked: Room) -> None:
    watch = linked.shelf.publish(("ipv4", "203.0.113.1"))
    damaged = Problem("", "detect.hunt_unreadable", {"n": 1, "segments": "4"})
    peer = Peer(linked)
    hunt = peer.expect(Hunt)
    peer.send(HuntHits(hunt.request, [hit(watch.id, 1, stored=True)], False))
    peer.send(HuntHits(hunt.request, [], True, damaged))
    assert linked.link.wait_settled(5)
    assert [one.count for one in linked.alerts()] == [1], "what it did see counts"
    assert [one.code for one in linked.link.notices] == ["detect.events_unreadable"]
    assert linked.detect.detection(watch.id).hunt_problem == "detect.hunt_unreadable"
    peer.close()
    until(lambda: linked.link.state == "away")

    again = Peer(linked)
    again.expect(Synced)
    assert linked.link.wait_settled(5)
    assert [one for one in again.told if isinstance(one, Hunt)] == [], "the damage would still be there"
    assert linked.detect.detection(watch.id).hunt_problem == "detect.hunt_unreadable"
    linked.shelf.retract(watch.id)
    until(lambda: linked.detect.detection(watch.id).hunt_problem is None)


def test_damage_does_not_use_up_the_attempts_of_a_hunt_that_fails(linked: Room) -> None:
    damaged = Problem("", "detect.hunt_unreadable", {"n": 1, "segments": "4"})
    failed = Problem("", "detect.aside_failed", {})
    peer = Peer(linked)
    for number in range(4):
        linked.shelf.publish(("ipv4", f"203.0.113.{number}"))
        peer.send(HuntHits(peer.expect(Hunt).request, [], True, damaged))
        assert linked.link.wait_settled(5)
    watch = linked.shelf.publish(("ipv4", "203.0.113.77"))
    for _ in range(4):
        peer.send(HuntHits(peer.expect(Hunt).request, [], True, failed))
    assert linked.link.wait_settled(5)
    assert linked.detect.detection(watch.id).hunt_problem == "detect.hunt_failed"


def test_hits_and_position_survive_any_end_of_the_conversation(linked: Room) -> None:
    watch = linked.shelf.publish(("ipv4", "203.0.113.1"))
    position = 0
    for _ in range(5):
        peer = Peer(linked)
        welcome = peer.expect(Welcome)
        told = welcome.positions.get(INDICATORS, Position())
        assert told == Position(1, position) or not position
        peer.expect(Synced)
        # Told again what may not have been stored, and something new; then gone without a word.
        again = max(0, position - 3)
        peer.send(
            Hits(
                INDICATORS, Position(1, position + 4), [hit(watch.id, n) for n in range(again, position + 4)]
            )
        )
        position += 4
        until(lambda position=position: _stored(linked) == Position(1, position))
        peer.close()
    assert [one.count for one in linked.alerts()] == [20]


def _stored(room: Room) -> Position | None:
    with room.store.read() as connection:
        return positions.positions(connection).get(INDICATORS)


def test_half_frames_noise_and_oversized_frames_end_one_conversation_alone(linked: Room) -> None:
    for rubbish in (
        b"",
        b"\x00",
        b"\x00\x00\x00\x08half",
        b"\xff\xff\xff\xff" + b"x" * 100,
        b"\x00\x00\x00\x03\xc1\xc1\xc1",
        wire.encode(Live(INDICATORS, 1)),
    ):
        peer = Peer(linked, ready=False)
        peer.connection.sendall(rubbish)
        peer.close()
        peer = Peer(linked)
        peer.expect(Synced)
        peer.connection.sendall(rubbish)
        peer.close()
    peer = Peer(linked)
    peer.expect(Synced)
    assert linked.link.wait_ready(5)


def test_a_new_worker_takes_the_place_of_the_one_before(linked: Room) -> None:
    old = Peer(linked)
    old.expect(Synced)
    new = Peer(linked)
    new.expect(Synced)
    assert linked.link.wait_ready(5)
    # Reset rather than ended where the last word of the old one had not been read yet.
    with pytest.raises((EOFError, ConnectionResetError)):
        old.receive()
    linked.shelf.publish(("ipv4", "203.0.113.1"))
    new.expect(PutIndicators)
    assert linked.link.state == "ready"


def test_who_asked_the_worker_before_is_told_that_it_has_gone(linked: Room) -> None:
    first = Peer(linked)
    first.expect(Synced)
    refused: list[str] = []

    def ask() -> None:
        with pytest.raises(Unavailable) as away:
            linked.link.ask.search("x", None, None, 9)
        refused.append(away.value.code)

    asking = threading.Thread(target=ask)
    asking.start()
    first.expect(Search)
    second = Peer(linked)  # the first one is still there, and says nothing
    second.expect(Synced)
    asking.join(5)
    assert refused == ["detect.worker_away"]
    second.close()
    first.close()


def test_the_web_process_comes_back_and_goes_on_from_what_it_stored(data: Path) -> None:
    url = f"sqlite:///{data / 'node.db'}"
    room = open_room(data, url, SystemClock())
    room.link.start()
    watch = room.shelf.publish(("ipv4", "203.0.113.1"))
    peer = Peer(room)
    peer.expect(Synced)
    peer.send(Hits(INDICATORS, Position(1, 2), [hit(watch.id, 1)]))
    until(room.alerts)
    room.link.stop()
    room.store.close()
    assert not (room.settings.run / SOCKET).exists()
    (room.settings.run / SOCKET).touch()  # what a process that was killed leaves behind
    room = open_room(data, url, SystemClock())
    room.shelf.held[watch.id] = watch
    room.link.start()
    try:
        peer = Peer(room)
        assert peer.expect(Welcome).positions == {INDICATORS: Position(1, 2)}
        assert [one.count for one in room.alerts()] == [1]
    finally:
        room.link.stop()
        room.store.close()


def test_while_the_database_cannot_be_written_hits_wait(
    linked: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = linked.shelf.publish(("ipv4", "203.0.113.1"))
    peer = Peer(linked)
    peer.expect(Synced)
    failures = iter([Unavailable("store.disk_full"), Unavailable("store.disk_full")])
    store = linked.stories.store

    def sometimes(*what: Any) -> int:
        if failure := next(failures, None):
            raise failure
        return store(*what)

    monkeypatch.setattr(linked.stories, "store", sometimes)
    peer.send(Hits(INDICATORS, Position(1, 2), [hit(watch.id, 1)]))
    until(linked.alerts)
    assert next(failures, None) is None


def test_one_message_that_cannot_be_stored_does_not_stop_the_others(
    linked: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invariant 8."""
    watch = linked.shelf.publish(("ipv4", "203.0.113.1"))
    peer = Peer(linked)
    peer.expect(Synced)
    store = linked.stories.store

    def poisoned(tx: Transaction, detector: str, hits: list[wire.WireHit], *more: Any) -> int:
        if any(one.event_id == "1-2" for one in hits):
            raise ZeroDivisionError
        return store(tx, detector, hits, *more)

    monkeypatch.setattr(linked.stories, "store", poisoned)
    for line in range(1, 5):
        peer.send(Hits(INDICATORS, Position(1, line + 1), [hit(watch.id, line)]))
    until(lambda: [one.count for one in linked.alerts()] == [3])


def test_rules_and_sources_reach_the_worker_as_they_change(linked: Room) -> None:
    peer = Peer(linked)
    peer.expect(Synced)
    linked.detect.import_rules(ANALYST, RULE)
    assert [one.id for one in peer.expect(PutRules).rules] == [RULE_ID]
    problem = Problem(RULE_ID, "detect.rule_unusable", {"reason": "x", "line": 3})
    peer.send(Live(SIGMA, peer.told[-1].generation, [problem]))
    until(lambda: linked.detect.read_rule(ANALYST, RULE_ID).problem)
    linked.detect.enable_rule(ANALYST, RULE_ID, False)
    assert peer.expect(DropRules).ids == [RULE_ID]
    linked.detect.enable_rule(ANALYST, RULE_ID, True)
    assert [one.id for one in peer.expect(PutRules).rules] == [RULE_ID]
    source, secret = linked.detect.create_source(ADMINISTRATOR, "correo")
    (told,) = peer.expect(PutSources).sources
    assert secret.encode() not in wire.encode(peer.told[-1])
    assert (told.id, len(told.digest)) == (source.id, 32)
    peer.send(wire.Counted([wire.SourceCount(source.id, 7, 2, T0)]))
    until(lambda: linked.detect.sources(ANALYST)[0].accepted == 7)
    linked.detect.revoke_source(ADMINISTRATOR, source.id)
    assert peer.expect(PutSources).sources == []


def test_a_search_gives_rows_as_they_come(linked: Room) -> None:
    peer = Peer(linked)
    peer.expect(Synced)
    row = WireRow("1-1", T0, T0, "s", "CAJA-1", b"{}")

    def answer(*messages: tuple[list[WireRow], bool, Problem | None]) -> None:
        asked = peer.expect(Search)
        for rows, done, problem in messages:
            peer.send(Rows(asked.request, rows, done, problem))

    with _in_thread(lambda: answer(([row], False, None), ([row, row], True, None))):
        assert list(linked.detect.search(ANALYST, "x")) == [row] * 3
    with _in_thread(lambda: answer(([], True, None))):
        assert list(linked.detect.search(ANALYST, "x")) == []
    wrong = Problem("", "detect.query_unclosed", {"column": 3})
    with _in_thread(lambda: answer(([], True, wrong))), pytest.raises(InvalidInput) as refused:
        linked.detect.search(ANALYST, '"x')
    assert refused.value.code == "detect.query_unclosed"
    cut = Problem("", "detect.search_cut_short", {"seconds": 30})
    with _in_thread(lambda: answer(([row], False, None), ([], True, cut))):
        assert list(linked.detect.search(ANALYST, "x")) == [row, cut]
    damaged = Problem("", "detect.segments_unreadable", {"n": 1, "segments": "4"})
    with _in_thread(lambda: answer(([], True, damaged))):
        assert list(linked.detect.search(ANALYST, "x")) == [damaged], "nothing found is an answer too"
    with _in_thread(lambda: answer(([row] * 10, False, None))):
        rows = linked.detect.search(ANALYST, "x")
        next(rows)
        rows.close()
        assert isinstance(peer.expect(wire.Cancel), wire.Cancel)
    with _in_thread(lambda: (answer(([row], False, None)), peer.close())):
        *found, last = linked.detect.search(ANALYST, "x")
    assert found == [row]
    assert isinstance(last, Problem)
    assert last.code == "detect.worker_away"


def test_who_asks_for_more_rows_than_a_search_tells_hears_of_it(linked: Room) -> None:
    peer = Peer(linked)
    peer.expect(Synced)
    most = Limits().search_rows
    row = WireRow("1-1", T0, T0, "s", "CAJA-1", b"{}")

    def answer(rows: int, problem: Problem | None = None) -> None:
        asked = peer.expect(Search)
        assert asked.limit == most
        peer.send(Rows(asked.request, [row] * rows, True, problem))

    with _in_thread(lambda: answer(most)):
        *found, last = linked.detect.search(ANALYST, "x", limit=most * 10)
    assert len(found) == most
    assert last == Problem("", "detect.search_cut_at", {"limit": most})
    with _in_thread(lambda: answer(most - 1)):
        assert list(linked.detect.search(ANALYST, "x", limit=most + 1)) == [row] * (most - 1), "that was all"
    with _in_thread(lambda: answer(most)):
        assert list(linked.detect.search(ANALYST, "x", limit=most)) == [row] * most, "as were asked for"
    cut = Problem("", "detect.search_cut_short", {"seconds": 30})
    with _in_thread(lambda: answer(most, cut)):
        assert list(linked.detect.search(ANALYST, "x", limit=most + 1))[most:] == [cut], "one reason will do"


def test_without_a_worker_a_search_says_so(linked: Room) -> None:
    with pytest.raises(Unavailable) as refused:
        linked.detect.search(ANALYST, "x")
    assert refused.value.code == "detect.worker_away"
    assert linked.detect.worker(ANALYST).state == "away"
    assert linked.link.ask.stats() is None


def test_what_the_worker_wants_known_is_known(linked: Room) -> None:
    heard: list[str] = []
    linked.store.changes.subscribe(lambda change: heard.append(change.subject), "worker")
    peer = Peer(linked)
    peer.send(wire.Notice("detect.disk_full", {"folder": "events"}))
    peer.expect(Synced)
    until(lambda: linked.link.notices)
    assert [one.code for one in linked.link.notices] == ["detect.disk_full"]
    for code in ("detect.disk_has_room", "detect.disk_full"):
        peer.send(wire.Notice(code, {"folder": "events"}))
    until(lambda: len(linked.link.notices) == 2 and linked.link.notices[0].code == "detect.disk_full")
    assert [one.code for one in linked.link.notices] == ["detect.disk_full", "detect.disk_has_room"]
    until(lambda: {"state", "notice"} <= set(heard))


def test_senders_that_were_turned_away_are_known_once_and_stand_in_the_audit_trail(linked: Room) -> None:
    def lines() -> list[AuditLine]:
        with linked.store.read() as connection:
            return audit.lines(connection, action="event.submit")

    peer = Peer(linked)
    for number in (1, 4_000):
        told: dict[str, str | int] = {
            "n": number, "addresses": 3, "address": "192.0.2.9", "problem": "detect.token_unknown",
        }  # fmt: skip
        peer.send(wire.Notice(wire.INTAKE_DENIED, told))
    until(lambda: len(lines()) == 2)
    last = lines()[0]
    assert (last.principal, last.outcome, last.address) == ("anonymous", "denied", "192.0.2.9")
    assert [one["code"] for one in last.reasons] == ["detect.token_unknown", "turned_away"]
    assert last.reasons[1]["params"] == {"count": "4000", "addresses": "3"}
    assert [one.params["n"] for one in linked.link.notices] == [4_000]


def test_a_peer_that_only_listens_does_not_stop_the_node(linked: Room) -> None:
    peer = Peer(linked, answers=False)
    for number in range(50):
        linked.shelf.publish(("ipv4", f"198.51.100.{number}"))
    until(lambda: linked.link.state == "starting")
    peer.close()
    until(lambda: linked.link.state == "away")


def test_a_deep_data_folder_has_a_socket_too(data: Path) -> None:
    deep = data / ("carpeta-" * 14) / "nodo"
    deep.mkdir(parents=True)
    room = open_room(deep, f"sqlite:///{deep / 'node.db'}", SystemClock())
    room.link.start()
    try:
        peer = Peer(room)
        peer.send(Ready(os.getpid(), "127.0.0.1", 1, Position()))
        peer.expect(Synced)
        assert room.alerts(COORDINATOR) == []
    finally:
        room.link.stop()
        room.store.close()


class _in_thread:  # noqa: N801 - reads as a phrase
    """Run something beside the block, and wait for it at its end."""

    def __init__(self, action) -> None:  # type: ignore[no-untyped-def]
        import threading

        self._thread = threading.Thread(target=action)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
