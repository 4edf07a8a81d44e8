"""Whoever is turned away at the door leaves a line in the audit trail, and no secret with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from web_site import Site, csrf_in

from istmo.identity import audit
from istmo.identity.objects import AuditLine
from istmo.identity.strangers import LINES_AN_ADDRESS
from istmo.kit.signed import SignedAuth
from istmo.ledger import keys as node_keys

SECRET = "istmo_" + "s3cr3t" * 7


def denials(site: Site) -> list[AuditLine]:
    with site.node.store.read() as connection:
        return audit.lines(connection, outcome=audit.DENIED)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "web.sign_in_first"),
        ({"Authorization": f"Bearer {SECRET}"}, "web.token_unknown"),
        ({"Authorization": f"Basic {SECRET}"}, "web.token_unknown"),
    ],
    ids=["missing", "wrong", "of another kind"],
)
def test_a_bad_or_missing_token_leaves_a_line_without_the_token(
    site: Site, headers: dict[str, str], code: str
) -> None:
    with site.client() as client:
        assert client.get("/api/v1/who?x=" + SECRET, headers=headers).status_code == 401
    (line,) = denials(site)
    assert (line.principal, line.action, line.subject) == ("anonymous", "web.request", "GET /api/v1/who")
    assert [one["code"] for one in line.reasons] == [code]
    assert line.address
    assert SECRET not in repr(line)


def test_an_unsigned_or_unknown_request_to_what_is_for_peers_leaves_a_line(
    site: Site, tmp_path: Path
) -> None:
    with site.client() as client:
        assert client.get("/api/v1/for-peers").status_code == 401
        client.auth = SignedAuth(node_keys.create(tmp_path / "stranger"), site.clock)
        assert client.get("/api/v1/for-peers").status_code == 401
    codes = [one.reasons[0]["code"] for one in denials(site)]
    assert codes == ["signed.unknown_key", "web.sign_in_first"]


def test_the_challenge_of_a_signed_request_is_no_denial(site: Site) -> None:
    with site.client() as client:
        client.auth = SignedAuth(site.node.keys, site.clock)
        assert client.get("/api/v1/for-operator").status_code == 200
    assert denials(site) == []


def test_being_sent_to_sign_in_is_no_denial_and_a_failed_sign_in_is_told_once(site: Site) -> None:
    with site.client() as client:
        client.get("/", follow_redirects=False)
        assert denials(site) == []
        token = csrf_in(client.get("/sign-in").text)
        client.post("/sign-in", data={"name": "ana", "password": "no es esta 1234", "csrf": token})
    assert [one.action for one in denials(site)] == ["session.create"]


def test_a_flood_leaves_a_few_lines_and_then_one_that_counts(site: Site) -> None:
    with site.client() as client:
        for _ in range(LINES_AN_ADDRESS + 25):
            client.get("/api/v1/who", headers={"Authorization": f"Bearer {SECRET}"})
        assert len(denials(site)) == LINES_AN_ADDRESS
    told, *others = denials(site)  # the application has ended: nothing is left untold
    assert len(others) == LINES_AN_ADDRESS
    assert told.reasons == ({"code": "more_denied", "params": {"addresses": "1", "count": "25"}},)
