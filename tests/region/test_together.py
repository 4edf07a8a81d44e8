"""What several nations do with one another: away for a while, at once on one case, without the right to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from istmo.cli.demo.region import RunningNode, make_node, running
from istmo.kit.client import NodeAnswered, NodeClient
from istmo.kit.signed import SignedAuth
from istmo.ledger import keys as node_keys
from istmo.model import instants

from .asking import (
    Json,
    alerts,
    bundle,
    connection,
    detection,
    indicator,
    is_idle,
    publish,
    report,
    settle,
    side_by_side,
    sightings,
    until,
    worker,
)

Region = Callable[..., list[RunningNode]]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node without a region, for those who ask one for what it refuses."""
    made = make_node(tmp_path_factory.mktemp("alone") / "gt", "CSIRT Guatemala", "GT")
    with running([made]):
        yield made


# --- away for a while --------------------------------------------------------------------------


def test_what_was_published_and_retracted_while_a_peer_was_away_never_raises_an_alert_there(
    region: Region,
) -> None:
    gt, hn = region(2)
    hn.stop()
    passing, lasting = indicator("203.0.113.20", "Taken back"), indicator("203.0.113.21", "Stands")
    publish(gt, passing, lasting)
    gt.operator.post(f"/api/v1/objects/{passing['id']}/retract", {"reason": "error"})
    until(lambda: report(gt, hn)["problem"], "the outage shows")
    assert not report(gt, hn)["complete"], "invariant 4"

    hn.start()
    hn.source("sensor").send([connection("203.0.113.20"), connection("203.0.113.21")])
    until(lambda: detection(hn, lasting["id"]) == "live", "the one that stands")
    until(lambda: alerts(hn, lasting["id"]), "and its hit, by hunt or live")
    hn.source("later").send([connection("203.0.113.20"), connection("203.0.113.21")])
    until(lambda: alerts(hn, lasting["id"])[0]["count"] == 2, "both")
    until(lambda: is_idle(hn), "looked at")
    assert detection(hn, passing["id"]) == "off"
    assert alerts(hn, passing["id"]) == []
    settle([gt, hn])


@pytest.mark.long
def test_what_is_seen_while_the_origin_is_away_is_told_on_its_return(region: Region) -> None:
    gt, hn = region(2)
    watched = indicator("203.0.113.30")
    publish(gt, watched)
    until(lambda: detection(hn, watched["id"]) == "live", "live")
    gt.stop()
    source = hn.source("sensor")
    source.send([connection("203.0.113.30", host=f"PC-{number}") for number in range(3)])
    until(lambda: sum(one["count"] for one in alerts(hn, watched["id"])) == 3, "seen")

    gt.start()
    until(lambda: sightings(gt, watched["id"]).get("CSIRT Honduras") == 3, "told")
    settle([gt, hn])


# --- one case, two desks -----------------------------------------------------------------------


def test_two_analysts_at_once_on_one_case_see_the_same_dispute_and_one_resolves_it(region: Region) -> None:
    gt, hn = region(2)
    desks = [node.person("ana", "coordinator") for node in (gt, hn)]
    case = desks[0].post("/api/v1/cases", {"title": "Correo con factura falsa", "severity": "high"})["id"]
    desks[0].post(f"/api/v1/cases/{case}/share", {"member": hn.settings.member})

    def seen(desk: NodeClient) -> Json | None:
        try:
            told: Json = desk.get(f"/api/v1/cases/{case}")
            return told
        except NodeAnswered:
            return None

    until(lambda: seen(desks[1]), "the case arrives")
    desks[1].post(f"/api/v1/cases/{case}/entries", {"kind": "note", "text": "Lo tomamos."})
    until(lambda: "Lo tomamos." in str(seen(desks[0])), "and the answer")

    # The link is cut, so that neither can know of the other's decision.
    statuses = ("contained", "closed")
    hn.stop()
    entry = {"kind": "status", "value": statuses[0]}
    desks[0].post(f"/api/v1/cases/{case}/entries", entry)
    gt.stop()
    hn.start()
    desks[1].post(f"/api/v1/cases/{case}/entries", {"kind": "status", "value": statuses[1]})
    gt.start()
    for desk in desks:
        until(lambda d=desk: (seen(d) or {}).get("is_disputed"), "the dispute shows on both", 90)
    shown = [{head["value"] for head in (seen(desk) or {})["status"]["heads"]} for desk in desks]
    assert shown == [set(statuses), set(statuses)]

    desks[1].post(f"/api/v1/cases/{case}/entries", {"kind": "status", "value": "contained"})
    for desk in desks:
        until(lambda d=desk: (seen(d) or {"is_disputed": True})["is_disputed"] is False, "resolved")
        assert (seen(desk) or {})["status"]["value"] == "contained"
    first, second = ([(one["id"], one["kind"]) for one in (seen(desk) or {})["timeline"]] for desk in desks)
    assert first == second, "both read the same timeline"
    settle([gt, hn])


# --- without the right to ----------------------------------------------------------------------


def refused(act: Callable[[], Any]) -> tuple[int, str]:
    """Status and code with which something is refused."""
    with pytest.raises(NodeAnswered) as told:
        act()
    assert told.value.params["message"]
    return told.value.params["status"], told.value.params["code"]


def test_who_may_not_is_refused_and_the_refusal_is_on_record(alone: RunningNode) -> None:
    operator = alone.operator
    observer = alone.person("mira", "observer")
    body = bundle(indicator("203.0.113.40"))
    meant = {"tlp": "amber", "audience": alone.settings.member}
    assert refused(lambda: observer.post("/api/v1/objects/publish", body, **meant))[0] == 403
    assert refused(lambda: observer.post("/api/v1/accounts", {"name": "x", "role": "analyst"}))[0] == 403
    assert refused(lambda: observer.post("/api/v1/peers/region", {"name": "Mine"}))[0] == 403

    accounts = {one["name"]: one["id"] for one in operator.get("/api/v1/accounts")["items"]}
    reading = operator.post(
        "/api/v1/tokens", {"name": "reads", "account": accounts["admin"], "scopes": ["read"]}
    )
    reader = NodeClient.by_token(alone.url, reading["secret"])
    assert reader.get("/api/v1/objects")["items"] == []
    assert refused(lambda: reader.post("/api/v1/objects/publish", body, **meant))[0] == 403
    more = {"name": "more", "account": "admin", "scopes": ["admin"]}
    assert refused(lambda: reader.post("/api/v1/tokens", more))[0] == 403

    soon = instants.format(datetime.now(UTC) + timedelta(seconds=2))
    ending = operator.post(
        "/api/v1/tokens",
        {"name": "ends", "account": accounts["admin"], "scopes": ["read"], "expires": soon},
    )
    passing = NodeClient.by_token(alone.url, ending["secret"])
    assert passing.get("/api/v1/me")

    def is_over() -> bool:
        try:
            passing.get("/api/v1/me")
        except NodeAnswered as error:
            return bool(error.params["status"] == 401)
        return False

    until(is_over, "an expired token is nobody's", 10)
    operator.delete(f"/api/v1/tokens/{reading['id']}")
    assert refused(lambda: reader.get("/api/v1/me"))[0] == 401

    lines = operator.get("/api/v1/audit", limit=200)["items"]
    denied = {(one["action"]) for one in lines if one["outcome"] == "denied"}
    assert {"object.publish", "account.manage", "peer.manage"} <= denied, denied


def test_a_forms_change_without_its_token_is_refused(alone: RunningNode) -> None:
    with httpx.Client(base_url=alone.url, trust_env=False) as browser:
        signed = browser.post("/api/v1/session", json={"name": "admin", "password": alone.password})
        csrf = signed.json()["csrf"]
        account = {"name": "nuevo", "role": "analyst"}
        assert browser.post("/api/v1/accounts", json=account).status_code == 403
        forged = {"X-CSRF": csrf[:-2] + ("AA" if not csrf.endswith("AA") else "BB")}
        assert browser.post("/api/v1/accounts", json=account, headers=forged).status_code == 403
        crossed = browser.post(
            "/api/v1/accounts",
            json=account,
            headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        )
        assert crossed.status_code == 403
        assert browser.post("/api/v1/accounts", json=account, headers={"X-CSRF": csrf}).status_code == 201
        form = browser.post("/publish", data={"text": "x"}, headers={"Origin": "null"})
        assert form.status_code == 403


def test_a_removed_member_is_nobody_here(region: Region) -> None:
    gt, hn, sv = region(3)
    watched = indicator("203.0.113.60")
    publish(gt, watched)
    until(lambda: detection(sv, watched["id"]) == "live", "live everywhere")
    gt.operator.delete(f"/api/v1/peers/{sv.settings.member}")
    until(lambda: len(hn.operator.get("/api/v1/peers")["region"]["members"]) == 2, "heard in Honduras")

    keys = node_keys.load(sv.settings.keys)
    with httpx.Client(auth=SignedAuth(keys), trust_env=False, timeout=20) as former:
        for node in (gt, hn):
            for method, path in (
                ("GET", "/api/v1/objects"),
                ("GET", "/federation/v1/charters?after=0"),
                ("POST", "/federation/v1/frames"),
            ):
                answer = former.request(method, node.url + path, content=b"x" if method == "POST" else None)
                assert answer.status_code in (401, 403, 404), (path, answer.status_code)
                assert watched["id"] not in answer.text
    after = indicator("203.0.113.61")
    publish(gt, after)
    until(lambda: detection(hn, after["id"]) == "live", "the rest goes on")
    gt.operator.post(f"/api/v1/objects/{watched['id']}/retract", {"reason": "error"})
    until(lambda: detection(sv, watched["id"]) == "off", "a former member still gets the retraction")
    assert detection(sv, after["id"]) == "absent", "invariant 1"
    settle([gt, hn])


# --- at the same moment ------------------------------------------------------------------------


@pytest.mark.long
def test_two_administrators_inviting_at_once_both_succeed(region: Region) -> None:
    (gt,) = region(1, joined=False)
    gt.operator.post("/api/v1/peers/region", {"name": "Centroamérica"})
    admins = [gt.person(name, "administrator") for name in ("ana", "luis")]
    tokens = [
        gt.operator.post("/api/v1/tokens", {"name": name, "account": name, "scopes": ["admin", "read"]})
        for name in ("ana", "luis")
    ]
    assert admins
    desks = [NodeClient.by_token(gt.url, one["secret"]) for one in tokens]
    made = side_by_side(
        *(
            lambda desk=desk, name=name: desk.post("/api/v1/peers/invitations", {"name": name})
            for desk, name in zip(desks, ("CSIRT Honduras", "CSIRT El Salvador"), strict=True)
        )
    )
    assert all(isinstance(one, dict) and one["code"] for one in made), made
    assert made[0]["code"] != made[1]["code"]


@pytest.mark.long
def test_one_invitation_used_twice_at_the_same_moment_lets_one_in(tmp_path: Any) -> None:
    names = (("CSIRT Guatemala", "GT"), ("CSIRT Honduras", "HN"), ("CSIRT El Salvador", "SV"))
    gt, hn, sv = nodes = [make_node(tmp_path / country, name, country) for name, country in names]
    with running(nodes):
        gt.operator.post("/api/v1/peers/region", {"name": "Centroamérica"})
        invited = gt.operator.post("/api/v1/peers/invitations", {"name": "CSIRT Honduras"})
        told = side_by_side(
            *(
                lambda node=node: node.operator.post("/api/v1/peers/accept", {"code": invited["code"]})
                for node in (hn, sv)
            )
        )
        good = [one for one in told if isinstance(one, dict)]
        bad = [one for one in told if isinstance(one, NodeAnswered)]
        assert (len(good), len(bad)) == (1, 1), told
        assert bad[0].params["message"] and bad[0].params["remedy"]
        waiting = gt.operator.get("/api/v1/peers/invitations")["items"]
        assert [one["state"] for one in waiting] == ["pending"]
        assert len(gt.operator.get("/api/v1/peers")["region"]["members"]) == 1
        (winner,) = [node for node in (hn, sv) if node.settings.member == waiting[0]["member"]]
        fingerprint = winner.operator.get("/api/v1/node")["fingerprint"]
        wrong = "AAAA-" + fingerprint[5:]
        assert refused(
            lambda: gt.operator.post(
                f"/api/v1/peers/{winner.settings.member}/confirm", {"fingerprint": wrong}
            )
        )
        gt.operator.post(f"/api/v1/peers/{winner.settings.member}/confirm", {"fingerprint": fingerprint})
        until(lambda: len(winner.operator.get("/api/v1/peers")["items"]) == 1, "in")


def test_a_query_of_evil_shape_over_http_is_refused_in_time(alone: RunningNode) -> None:
    for query in ("(" * 5000, "a:" + "*?" * 3000, "NOT " * 5000 + "x", "\x00", "from:never", "x:\ud7ff"):
        try:
            list(alone.operator.stream("/api/v1/events/search", q=query, limit=5))
        except NodeAnswered as error:
            assert error.params["status"] == 400
    assert worker(alone)["state"] == "ready"
