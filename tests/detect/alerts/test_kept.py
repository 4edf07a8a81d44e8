"""How long events are kept: said by an administrator, heard by the worker, told by it when they go."""

from __future__ import annotations

from typing import Any

import pytest
from litestar.testing import TestClient

from istmo.detect import api_kept
from istmo.detect.commands_kept import read_size
from istmo.detect.objects_kept import SourceKeep
from istmo.detect.records import positions
from istmo.detect.wire import (
    INDICATORS,
    SIGMA,
    AskKeeping,
    AskStats,
    Keeping,
    LetGo,
    Position,
    Sealing,
    Stats,
    WireState,
)
from istmo.errors import InvalidInput, NotAllowed, NotFound
from istmo.identity import audit
from istmo.kit.access import ACCESS
from istmo.kit.i18n import Catalogue
from istmo.settings import Retention, Settings, load_settings, save_settings

from .room import ADMINISTRATOR, ANALYST, OBSERVER, T0, Peer, Room, until
from .test_api import client
from .test_link import _in_thread

DAY = 86_400_000_000


def ask(peer: Peer) -> Keeping:
    peer.send(AskKeeping())
    found = peer.expect(Keeping)
    assert isinstance(found, Keeping)
    return found


def test_the_worker_hears_what_is_wanted_and_how_far_all_have_read(linked: Room) -> None:
    source, _ = linked.detect.create_source(ADMINISTRATOR, "Cortafuegos")
    peer = Peer(linked)
    assert ask(peer) == Keeping(Position(), {}), "a stage that has stored nothing has read nothing"
    linked.detect.keep_source(ADMINISTRATOR, source.id, 90, 20_000_000_000)
    linked.tell(INDICATORS, [], Position(7, 3))
    assert ask(peer).read == Position()
    linked.tell(SIGMA, [], Position(9, 0))
    assert ask(peer) == Keeping(Position(7, 3), {source.id: (90, 20_000_000_000)})
    with linked.store.write() as tx:
        state = WireState("digest", b"what correlations remember")
        positions.put_state(tx.connection, SIGMA, Position(4, 1), state, linked.clock.now())
    assert ask(peer).read == Position(4, 1), "a correlation feeds itself from there when the worker starts"
    linked.detect.keep_source(ADMINISTRATOR, source.id, 0, 0)
    assert ask(peer).sources == {}


def test_what_goes_is_on_the_audit_trail_with_its_source_and_its_time(linked: Room) -> None:
    def lines() -> list[Any]:
        with linked.store.read() as connection:
            return list(audit.lines(connection, action="event.let_go"))

    peer = Peer(linked)
    peer.send(LetGo("age", {"x-istmo-source--1": 5, "x-istmo-source--2": 70}, T0, T0 + DAY))
    until(lines)
    (line,) = lines()
    assert (line.principal, line.outcome) == ("system:detect", "done")
    assert [one["code"] for one in line.reasons] == ["let_go_age", "let_go_of_source", "let_go_of_source"]
    assert line.reasons[0]["params"] == {
        "events": "75", "first": "2026-03-02T09:00:00.000000Z", "last": "2026-03-03T09:00:00.000000Z",
    }  # fmt: skip
    assert line.reasons[1]["params"] == {"source": "x-istmo-source--2", "events": "70"}
    for language in ("es", "en"):
        for why in ("age", "budget", "source_budget"):
            params = line.reasons[0]["params"]
            assert "75" in Catalogue(strict=True).text(language, f"policy.let_go_{why}", **params)


def test_only_who_manages_sources_says_how_long_their_events_are_kept(room: Room) -> None:
    source, _ = room.detect.create_source(ADMINISTRATOR, "Cortafuegos")
    for who in (ANALYST, OBSERVER):
        with pytest.raises(NotAllowed):
            room.detect.keep_source(who, source.id, 1, 0)
    with pytest.raises(NotAllowed):
        room.detect.kept(OBSERVER)
    room.detect.keep_source(ADMINISTRATOR, source.id, 30, 5)
    assert [one.keep for one in room.detect.kept(ANALYST).sources] == [SourceKeep(30, 5)]
    room.detect.revoke_source(ADMINISTRATOR, source.id)
    room.detect.keep_source(ADMINISTRATOR, source.id, 7, 0)
    assert [one.keep for one in room.detect.kept(ANALYST).sources] == [SourceKeep(7, 0)], "its events stay"
    with room.store.read() as connection:
        done = [line for line in audit.lines(connection, action="source.manage") if line.outcome == "done"]
    assert f"{source.id} keep 7 days 0 bytes" in [line.subject for line in done]


@pytest.mark.parametrize(
    ("days", "budget", "code"),
    [(-1, 0, "detect.keep_days"), (36_501, 0, "detect.keep_days"), (0, -1, "detect.keep_budget")],
)
def test_what_makes_no_sense_is_refused(room: Room, days: int, budget: int, code: str) -> None:
    source, _ = room.detect.create_source(ADMINISTRATOR, "Cortafuegos")
    with pytest.raises(InvalidInput) as found:
        room.detect.keep_source(ADMINISTRATOR, source.id, days, budget)
    assert found.value.code == code
    with pytest.raises(NotFound):
        room.detect.keep_source(ADMINISTRATOR, "x-istmo-source--9", 1, 1)


def test_programs_see_what_is_kept_and_for_how_long_there_is_room(linked: Room) -> None:
    source, _ = linked.detect.create_source(ADMINISTRATOR, "Cortafuegos")
    peer = Peer(linked)

    def answer() -> None:
        asked = peer.expect(AskStats)
        peer.send(
            Stats(
                asked.request, 9, 2, 1_000, Position(3), {}, 0, 0, {}, "open",
                oldest=T0, sources={source.id: 600, "gone": 300}, daily=100, room=4_050,
                sealing=Sealing("0123456789abcdef", 500, 300, 100, 1),
            )
        )  # fmt: skip

    with _in_thread(answer), speak(linked, ADMINISTRATOR) as asking:
        changed = asking.put(f"/api/v1/sources/{source.id}/kept", json={"keep_days": 90})
    assert changed.status_code == 200
    assert changed.json() == {
        "oldest": "2026-03-02T09:00:00.000000Z",
        "bytes": 1_000,
        "daily_bytes": 100,
        "days_left": 40,
        "keep_days": 0,
        "budget_bytes": 0,
        "sources": [
            {"id": source.id, "name": "Cortafuegos", "keep_days": 90, "budget_bytes": 0, "bytes": 600},
            {"id": "gone", "name": "", "keep_days": 0, "budget_bytes": 0, "bytes": 300},
        ],
        "sealed": {
            "key": "0123456789abcdef",
            "sealed_bytes": 500,
            "older_key_bytes": 300,
            "plain_bytes": 100,
            "shut": 1,
        },
    }
    peer.close()
    with speak(linked, ANALYST) as asking:
        assert asking.get("/api/v1/events/kept").json()["oldest"] is None
        assert asking.put(f"/api/v1/sources/{source.id}/kept", json={}).status_code == 403


def speak(room: Room, who: Any) -> TestClient[Any]:
    return client(room, who, routes=api_kept.routes)


def test_every_route_says_who_may_come() -> None:
    assert all(handler.opt.get(ACCESS) == "people" for handler in api_kept.routes)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("20GB", 20 * 10**9),
        ("500 mb", 5 * 10**8),
        ("1.5T", 15 * 10**11),
        ("0", 0),
        ("7", 7),
        ("2GiB", 2 * 10**9),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert read_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1", "1e9", "5 PB", "GB", "9" * 40])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        read_size(text)


def test_the_settings_say_what_holds_for_the_whole_store(room: Room) -> None:
    save_settings(Settings(room.settings.data, "Prueba", "HN", retention=Retention(90, 5_000)))
    assert load_settings(room.settings.data).retention == Retention(90, 5_000)
    path = room.settings.data / "istmo.toml"
    path.write_text(path.read_text().replace("keep_days = 90", 'keep_days = "90"'))
    with pytest.raises(InvalidInput):
        load_settings(room.settings.data)
    path.write_text('name = "P"\ncountry = "HN"\nretention = 1\n')
    with pytest.raises(InvalidInput):
        load_settings(room.settings.data)
