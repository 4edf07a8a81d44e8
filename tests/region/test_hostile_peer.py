"""A member with good keys and bad intent: the victim stays up, stays right and says what happened.

House invariants 1, 3 and 8 are named where they are proven. The attacker is one of three real nodes,
stopped, its port and keys taken over; the other two go on unaware.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from istmo.cli.demo.region import RunningNode, join_region, make_node, running
from istmo.kit.i18n import Catalogue
from istmo.model.ids import new_id

from .asking import (
    Json,
    alerts,
    connection,
    detection,
    indicator,
    is_idle,
    is_settled,
    publish,
    report,
    settle,
    sightings,
    signed_in,
    until,
)
from .attacker import Attacker

SCRIPT = '<script>alert("x")</script>'
OVERRIDE = "\u202e"
HOSTILE = f"{SCRIPT}<img src=x onerror=alert(1)>{OVERRIDE}gpj.exe\x00\x1b[31m'\"--{{{{7*7}}}}%s\ud7ff"


@dataclass
class Siege:
    """Honduras is besieged by Guatemala; El Salvador is its good neighbour."""

    victim: RunningNode
    neighbour: RunningNode
    attacker: Attacker
    own: Json
    """An indicator of the victim's that the attacker was never sent."""
    shared: Json
    """One of the victim's that the attacker was sent."""
    theirs: Json
    """One of the neighbour's, which everybody has."""
    old: Json
    """One that the attacker itself published, before it turned."""
    seen: int = 0
    expected: list[tuple[int, str]] = field(default_factory=list)

    def send(self, type: str, value: Any, **fields: Any) -> int:
        """One delivery of the attacker's to the victim; its sequence."""
        payload = value if isinstance(value, bytes) else orjson.dumps(value)
        return self.attacker.send(self.victim.settings.member, type, payload, **fields)

    def refused(self) -> dict[int, str]:
        """What the victim says it refused of the attacker's, and why."""
        told = self.victim.operator.get(f"/api/v1/peers/{self.attacker.member}/reconciliation")
        return {one["sequence"]: one["code"] for one in told["refusals_here"]}

    def taken(self) -> int:
        """How many of the attacker's deliveries the victim has dealt with."""
        told = self.victim.operator.get(f"/api/v1/peers/{self.attacker.member}/reconciliation")
        return int(told["received"])

    def problem(self) -> str:
        told = self.victim.operator.get(f"/api/v1/peers/{self.attacker.member}/reconciliation")
        return told["problem"]["code"] if told["problem"] else ""

    def digested(self) -> None:
        """Return once the victim has dealt with everything sent."""
        chain = self.attacker.chains[self.victim.settings.member]
        until(
            lambda: self.taken() == chain.count,
            f"taken {self.taken()} of {chain.count}: {self.problem()}",
            20,
        )

    def is_well(self) -> None:
        """The others go on: an indicator of the neighbour's is live in the victim, and the reverse."""
        for one, other in ((self.neighbour, self.victim), (self.victim, self.neighbour)):
            fresh = indicator("198.51.100.200", "Business as usual")
            publish(one, fresh, audience=other.settings.member)
            until(lambda o=other, id=fresh["id"]: detection(o, id) == "live", "others were affected", 10)
        until(lambda: is_settled([self.victim, self.neighbour]), "the good neighbours disagree")


@pytest.fixture(scope="module")
def siege(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    folder: Path = tmp_path_factory.mktemp("siege")
    nations = (("CSIRT Guatemala", "GT"), ("CSIRT Honduras", "HN"), ("CSIRT El Salvador", "SV"))
    gt, hn, sv = nodes = [make_node(folder / country, name, country) for name, country in nations]
    with running(nodes):
        join_region([hn, gt, sv], "Centroamérica")
        own, shared, theirs, old = (
            indicator(address) for address in ("203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4")
        )
        publish(hn, own, audience=sv.settings.member)
        publish(hn, shared)
        publish(sv, theirs)
        publish(gt, old)
        settle(nodes)
        gt.stop()
        attacker = Attacker(gt, [hn, sv])
        try:
            until(lambda: attacker.opened.get(hn.settings.member), "the victim never dialled", 90)
            yield Siege(hn, sv, attacker, own, shared, theirs, old)
        finally:
            attacker.close()


def case_entry(siege: Siege, author: str) -> Json:
    """A case opened in ``author``'s name."""
    return {
        "v": 1,
        "case": new_id("x-istmo-case"),
        "entry": {
            "kind": "note",
            "author": {"node": author, "name": "Somebody else"},
            "created": "2026-03-02T08:00:00.000000Z",
            "nonce": "00" * 16,
            "text": "I agree with everything.",
        },
        "follows": [],
    }


def sighting_of(id: str, count: int = 1) -> Json:
    return {
        "type": "sighting",
        "spec_version": "2.1",
        "id": new_id("sighting"),
        "created": "2026-03-02T08:00:00.000Z",
        "modified": "2026-03-02T08:00:00.000Z",
        "sighting_of_ref": id,
        "count": count,
    }


def deep(levels: int) -> bytes:
    start = orjson.dumps(indicator("203.0.113.66"))[:-1]
    return start + b',"x_deep":' + b"[" * levels + b"]" * levels + b"}"


LIES: dict[str, Callable[[Siege], tuple[str, Any, dict[str, Any]]]] = {
    "federation.wrong_origin": lambda s: (
        "stix",
        indicator("203.0.113.50"),
        {"origin": s.neighbour.settings.member},
    ),
    "ledger.not_for_us": lambda s: (
        "stix",
        indicator("203.0.113.51"),
        {"audience": tuple(sorted((s.attacker.member, s.neighbour.settings.member)))},
    ),
    "intel.retraction_not_origin": lambda s: (
        "retraction",
        {
            "retracts": {
                "origin": s.neighbour.settings.member,
                "sequence": 1,
                "object": s.theirs["id"],
            },
            "reason": "false-positive",
            "note": "",
        },
        {"lane": "fast"},
    ),
    "intel.sighting_unentitled": lambda s: ("sighting", sighting_of(s.own["id"]), {}),
    "respond.not_its_author": lambda s: ("case", case_entry(s, s.victim.settings.member), {}),
}


@pytest.mark.parametrize("code", LIES)
def test_a_lie_is_refused_by_name_and_the_rest_goes_on(siege: Siege, code: str) -> None:
    """House invariants 1, 3 and 8."""
    type, value, fields = LIES[code](siege)
    sequence = siege.send(type, value, **fields)
    honest = indicator("203.0.113.99", "An honest one, right behind it")
    siege.send("stix", honest)
    siege.digested()

    assert siege.refused().get(sequence) == code
    until(lambda: detection(siege.victim, honest["id"]) == "live", "the honest one")
    assert detection(siege.victim, siege.theirs["id"]) == "live", "another's object is not its to retract"
    assert "CSIRT Guatemala" not in sightings(siege.victim, siege.own["id"])


@pytest.mark.parametrize("language", ["es", "en"])
def test_people_read_on_the_peers_page_what_was_refused_and_why(siege: Siege, language: str) -> None:
    for lie in LIES.values():
        type, value, fields = lie(siege)
        siege.send(type, value, **fields)
    siege.digested()
    with signed_in(siege.victim, language) as people:
        page = people.get(f"/peers/{siege.attacker.member}")
        told = siege.victim.operator.get(f"/api/v1/peers/{siege.attacker.member}/reconciliation")
    assert page.status_code == 200
    assert told["refused_here"] >= len(LIES)
    assert not told["complete"], "invariant 4"
    why = Catalogue().outline(language, "error.intel.retraction_not_origin")
    assert why in html.unescape(page.text)
    assert "⟦" not in page.text
    assert "{origin}" not in page.text
    assert all("{" not in one["message"] for one in told["refusals_here"])


@pytest.mark.parametrize(
    "payload",
    [
        deep(200),
        deep(100_000),
        b'{"type":"indicator"' + b',"a":1,"a":2' * 5 + b"}",
        b"\xff\xfe\x00nonsense",
        b"",
        b"null",
        b'{"type":"indicator","id":"indicator--\\u0000"}',
        orjson.dumps(indicator("203.0.113.9") | {"id": "indicator--../../etc/passwd"}),
        orjson.dumps(indicator("203.0.113.9") | {"created": "9999999-01-01T00:00:00Z"}),
        orjson.dumps(indicator("203.0.113.9") | {"confidence": 2**63 - 1}),
    ],
    ids=["deep", "deeper", "twice", "no-utf8", "empty", "null", "nul-id", "path-id", "far-year", "number"],
)
def test_what_is_no_object_is_refused_and_the_rest_goes_on(siege: Siege, payload: bytes) -> None:
    sequence = siege.send("stix", payload)
    siege.digested()
    assert sequence in siege.refused()


def test_hostile_text_in_every_field_harms_neither_page_nor_list_nor_terminal(siege: Siege) -> None:
    hostile = indicator("203.0.113.130", HOSTILE)
    for name in ("description", "lang", "x_anything"):
        hostile[name] = HOSTILE
    for name in ("labels", "indicator_types", "aliases"):
        hostile[name] = [HOSTILE, "a" * 500]
    hostile["external_references"] = [{"source_name": HOSTILE, "url": "javascript:alert(1)"}]
    hostile["kill_chain_phases"] = [{"kill_chain_name": HOSTILE, "phase_name": HOSTILE}]
    sequence = siege.send("stix", hostile)
    siege.digested()
    if sequence in siege.refused():
        pytest.fail(f"refused: {siege.refused()[sequence]}")
    siege.victim.source("sensor").send([connection("203.0.113.130", host=HOSTILE)])
    alert = until(lambda: alerts(siege.victim, hostile["id"]), "an alert")[0]

    with signed_in(siege.victim) as people:
        for path in (
            f"/objects/{hostile['id']}",
            "/objects",
            "/objects?q=script",
            "/alerts",
            f"/alerts/{alert['id']}",
            "/",
        ):
            page = people.get(path)
            assert page.status_code == 200, path
            assert "<script>alert" not in page.text, path
            assert "<img src=x" not in page.text, path
            assert 'href="javascript:' not in page.text, path
            assert "\x00" not in page.text, path
            assert OVERRIDE not in page.text, "nothing may be made to read backwards"
            assert "{{7*7}}" in html.unescape(page.text) or "49" not in page.text.partition(SCRIPT)[2], path
            assert "default-src" in page.headers["content-security-policy"]
    raw = siege.victim.operator.raw(f"/api/v1/objects/{hostile['id']}/raw")
    assert orjson.loads(raw)["name"] == HOSTILE, "invariant 3: the bytes as they came"


def test_an_id_that_is_anothers_changes_nothing_about_the_others_object(siege: Siege) -> None:
    """House invariant 3: a collision neither replaces bytes nor what is detected."""
    for victimised in (siege.own, siege.theirs):
        before = siege.victim.operator.raw(f"/api/v1/objects/{victimised['id']}/raw")
        siege.send(
            "stix",
            victimised
            | {
                "pattern": "[ipv4-addr:value = '10.10.10.10']",
                "modified": "2027-01-01T00:00:00.000000Z",
                "revoked": False,
            },
        )
        siege.send("stix", victimised | {"revoked": True, "modified": "2027-02-01T00:00:00.000000Z"})
        siege.digested()
        assert siege.victim.operator.raw(f"/api/v1/objects/{victimised['id']}/raw") == before
        assert detection(siege.victim, victimised["id"]) == "live"
    siege.victim.source("other sensor").send([connection("10.10.10.10"), connection("203.0.113.3", "PC-9")])
    until(lambda: is_idle(siege.victim), "looked at")
    (alert,) = until(lambda: alerts(siege.victim, siege.theirs["id"]), "the neighbour's own value")
    assert alert["count"] == 1, "the attacker's value raised nothing in the neighbour's name"


def test_its_own_old_object_it_may_take_back(siege: Siege) -> None:
    assert detection(siege.victim, siege.old["id"]) == "live"
    told = siege.victim.operator.get(f"/api/v1/objects/{siege.old['id']}")
    siege.send(
        "retraction",
        {
            "retracts": {
                "origin": siege.attacker.member,
                "sequence": sequence_in(told),
                "object": siege.old["id"],
            },
            "reason": "error",
            "note": SCRIPT,
        },
        lane="fast",
    )
    until(lambda: detection(siege.victim, siege.old["id"]) == "off", "taken back")


def sequence_in(told: Json) -> int:
    """The sequence of an object's entry, wherever the answer keeps it."""
    found = told.get("sequence") or told.get("provenance", {}).get("sequence")
    assert isinstance(found, int), sorted(told)
    return found


def test_a_count_beyond_all_measure_is_refused(siege: Siege) -> None:
    sequence = siege.send("sighting", sighting_of(siege.shared["id"], 10**15))
    siege.send("sighting", sighting_of(siege.shared["id"], 3))
    siege.digested()
    assert sequence in siege.refused()
    until(lambda: sightings(siege.victim, siege.shared["id"]).get("CSIRT Guatemala") == 3, "the true one")


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (lambda s, session: [b"x" * (100 << 20)], "federation.statement_too_large"),
        (lambda s, session: [b"A" * 88 + b" {}"], "federation.forged"),
        (lambda s, session: [b"A" * 88 + b" " + b"[" * 100_000], "federation.bad_statement"),
    ],
    ids=["100-MB", "forged", "deep"],
)
def test_a_frame_that_is_none_is_a_problem_in_words_and_no_more(siege: Siege, lines: Any, code: str) -> None:
    opened = siege.attacker.opened[siege.victim.settings.member]
    member = siege.victim.settings.member
    siege.attacker.tell(member, lambda session: lines(siege, session))
    until(lambda: siege.problem() == code, f"told as {code}, not {siege.problem()}")
    until(lambda: siege.attacker.opened[member] > opened, "dialled again", 90)
    honest = indicator("203.0.113.98")
    siege.send("stix", honest)
    siege.digested()
    until(lambda: siege.problem() == "", "all is well again")
    siege.is_well()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/v1/objects", None),
        ("GET", "/api/v1/alerts", None),
        ("GET", "/api/v1/peers", None),
        ("GET", "/api/v1/audit", None),
        ("GET", "/api/v1/accounts", None),
        ("GET", "/api/v1/events/search?q=*", None),
        ("GET", "/objects", None),
        ("POST", "/api/v1/objects/publish?audience=region&tlp=amber", b'{"type":"bundle","objects":[]}'),
        ("POST", "/api/v1/peers/invitations", b'{"name":"Friend"}'),
        ("POST", "/api/v1/tokens", b'{"name":"x","scopes":["admin"]}'),
    ],
)
def test_a_peers_signature_opens_no_door_for_people(
    siege: Siege, method: str, path: str, body: bytes | None
) -> None:
    answer = siege.attacker.ask(siege.victim.url, method, path, body)
    assert answer.status_code in (303, 401, 403, 404), answer.text
    assert siege.own["id"] not in answer.text


def test_posted_frames_that_are_huge_or_endless_are_turned_away(siege: Siege) -> None:
    huge = siege.attacker.ask(siege.victim.url, "POST", "/federation/v1/frames", b"y" * (17 << 20))
    assert huge.status_code == 413
    statuses = {
        siege.attacker.ask(siege.victim.url, "POST", "/federation/v1/frames", b"x").status_code
        for _ in range(30)
    }
    assert statuses <= {200, 400, 429}
    siege.is_well()


def test_a_flood_is_cut_off_and_touches_nobody_else(siege: Siege) -> None:
    """House invariant 8. Last, since the victim then lets the flooder wait."""
    member = siege.victim.settings.member

    def flood(session: str) -> list[bytes]:
        return [siege.attacker.heartbeat(member, session)] * 5000

    siege.attacker.tell(member, flood)
    until(lambda: siege.problem() == "federation.flooding", f"told, not {siege.problem()!r}")
    siege.is_well()
    told = report(siege.victim, siege.neighbour)
    assert told["problem"] is None
    assert told["state"] == "connected"
