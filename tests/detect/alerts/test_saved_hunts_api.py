"""Saved hunts over the machine interface: kept, changed, run and told in the asker's language."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from istmo.detect.wire import (
    Cancel,
    HuntRules,
    Problem,
    Rows,
    RuleFound,
    RuleHits,
    RuleMatch,
    Search,
    Synced,
    WireRow,
)

from .room import ADMINISTRATOR, OBSERVER, OPERATOR
from .test_api import T0, Peer, Room, _in_thread, client
from .test_saved_hunts import OTHER
from .test_scheduled_hunts import RULE

HUNT = {
    "name": "Quién soy",
    "text": "Image:*whoami.exe",
    "description": "Tras un acceso",
    "window": "7d",
    "every": "15m",
    "alert": True,
    "level": "high",
    "shared": True,
}


def save(room: Room, **changes: Any) -> Any:
    made = client(room).post("/api/v1/hunts", json={**HUNT, **changes})
    assert made.status_code == 201, made.text
    return made.json()


def test_a_hunt_is_kept_read_changed_switched_and_deleted(linked: Room) -> None:
    made = save(linked)
    speak = client(linked)
    assert {key: made[key] for key in HUNT} == HUNT
    assert (made["kind"], made["on"], made["own"], made["owner_name"], made["last"]) == (
        "query",
        True,
        True,
        "Ana",
        None,
    )
    path = f"/api/v1/hunts/{made['id']}"
    assert speak.get("/api/v1/hunts").json() == {"items": [made], "next": None, "total": 1}
    changed = speak.put(path, json={**HUNT, "text": "whoami", "version": made["version"]}).json()
    assert (changed["text"], changed["version"]) == ("whoami", 2)
    assert client(linked, OTHER).get("/api/v1/hunts").json()["items"][0]["own"] is False
    off = client(linked, ADMINISTRATOR).post(f"{path}/switch", json={"on": False}).json()
    assert (off["on"], off["due"]) == (False, None)
    speak = client(linked)
    assert speak.get(f"{path}/runs").json() == {"items": [], "next": None, "total": 0}
    assert speak.delete(path).status_code == 204
    assert client(linked).get("/api/v1/hunts").json()["items"] == []


UNUSABLE = (
    ({"window": "ayer"}, 400, "detect.hunt_length"),
    ({"window": "0m"}, 400, "detect.hunt_length"),
    ({"every": "1s"}, 400, "detect.hunt_every"),
    ({"kind": "spl"}, 400, "detect.hunt_kind"),
    ({"kind": "pattern", "text": "[x-a:b = 'c']"}, 400, "detect.pattern_not_served"),
    ({"level": "worst"}, 400, "detect.unknown_filter"),
    ({"text": "Image:("}, 400, "detect.query_wrong"),
    ({"kind": "rules", "text": "no-such-rule"}, 404, "detect.no_rule"),
    ({"name": ""}, 400, "detect.hunt_name"),
)


@pytest.mark.parametrize("language", ["es", "en"])
def test_what_cannot_be_kept_is_refused_in_words(linked: Room, language: str) -> None:
    speak = client(linked, language=language)
    for body, status, code in UNUSABLE:
        refused = speak.post("/api/v1/hunts", json={**HUNT, **body})
        assert (refused.status_code, refused.json()["code"]) == (status, code)
        assert refused.json()["message"] and refused.json()["remedy"]


def test_two_at_once_and_a_change_that_names_no_version_are_refused(linked: Room) -> None:
    made, speak = save(linked), client(linked)
    path = f"/api/v1/hunts/{made['id']}"
    assert speak.put(path, json=HUNT).json()["code"] == "detect.hunt_version"
    assert speak.put(path, json={**HUNT, "version": 1}).status_code == 200
    late = speak.put(path, json={**HUNT, "version": 1})
    assert (late.status_code, late.json()["code"]) == (409, "detect.hunt_changed")
    assert client(linked, OTHER).put(path, json={**HUNT, "version": 2}).status_code == 403
    assert client(linked, OPERATOR).put(path, json={**HUNT, "version": 2}).status_code == 403
    assert client(linked, OBSERVER).get("/api/v1/hunts").status_code == 403


def test_a_run_streams_as_a_search_does_and_is_kept(linked: Room) -> None:
    made = save(linked, shared=False, every="")
    peer = Peer(linked)
    peer.expect(Synced)

    def answer() -> None:
        asked = peer.expect(Search)
        assert (asked.query, asked.stretch, asked.scheduled) == (HUNT["text"], None, False)
        assert asked.start is not None and asked.end is None
        row = WireRow("1-7", T0, T0, "s", "CAJA-1", b'{"n":1}')
        cut = Problem("", "detect.search_cut_short", {"seconds": 30})
        peer.send(Rows(asked.request, [row], True, cut))

    with _in_thread(answer):
        found = client(linked).post(f"/api/v1/hunts/{made['id']}/run", json={"limit": 5})
    assert found.headers["content-type"].startswith("application/x-ndjson")
    first, last = (orjson.loads(line) for line in found.content.splitlines())
    assert (first["id"], first["event"], last["count"]) == ("1-7", {"n": 1}, 1)
    (run,) = client(linked).get(f"/api/v1/hunts/{made['id']}/runs").json()["items"]
    assert (run["found"], run["whole"], run["name"]) == (1, False, "Ana")
    assert run["problem"]["code"] == "detect.search_cut_short" and "30" in run["problem"]["text"]
    assert client(linked, OTHER).post(f"/api/v1/hunts/{made['id']}/run", json={}).status_code == 404
    assert client(linked, ADMINISTRATOR).post(f"/api/v1/hunts/{made['id']}/run", json={}).status_code == 403
    peer.close()


def test_a_run_of_a_hunt_by_rules_streams_as_such_a_hunt_does(linked: Room) -> None:
    made = save(linked, kind="rules", text=RULE)
    peer = Peer(linked)
    peer.expect(Synced)

    def answer() -> None:
        asked = peer.expect(HuntRules)
        assert ([one.text for one in asked.rules], asked.scheduled) == ([RULE.strip()], False)
        match = RuleMatch("r1", "Who", "high", "1-7", T0, "CAJA-1")
        peer.send(RuleHits(asked.request, False, [match], looked=9))
        peer.send(RuleHits(asked.request, False, found=[RuleFound("r1", "Who", "high", 12, ["1-7"])]))
        peer.send(RuleHits(asked.request, True))

    with _in_thread(answer):
        found = client(linked).post(f"/api/v1/hunts/{made['id']}/run", json={})
    first, last = (orjson.loads(line) for line in found.content.splitlines() if line)
    assert (first["event"], last["rules"][0]["count"]) == ("1-7", 12)
    (run,) = client(linked).get(f"/api/v1/hunts/{made['id']}/runs").json()["items"]
    assert (run["found"], run["whole"], run["problem"]) == (12, True, None)
    peer.close()


def test_whoever_leaves_calls_the_run_off_and_it_counts_for_nothing(linked: Room) -> None:
    made = save(linked)
    peer = Peer(linked)
    peer.expect(Synced)
    hunt = linked.detect.read_hunt(OPERATOR, made["id"])
    asked: list[Search] = []

    def answer() -> None:
        asked.append(peer.expect(Search))
        row = WireRow("1-7", T0, T0, "s", "CAJA-1", b"{}")
        peer.send(Rows(asked[0].request, [row], False))

    with _in_thread(answer):
        rows = linked.detect.run_query(OTHER, hunt)
        assert next(rows)
    rows.close()
    assert peer.expect(Cancel).request == asked[0].request
    assert linked.detect.hunt_runs(OPERATOR, made["id"]) == []
    peer.close()


def test_without_a_worker_a_run_is_refused_in_words(linked: Room) -> None:
    made = save(linked)
    refused = client(linked).post(f"/api/v1/hunts/{made['id']}/run", json={})
    assert (refused.status_code, refused.json()["code"]) == (503, "detect.worker_away")
