"""The region's pages: looking for a member, taking back an invitation, removing, carrying a file by hand."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from web_site import Site, csrf_in, make_site, neighbour

from istmo.clock import ManualClock
from istmo.errors import Unavailable
from istmo.federation import records
from istmo.federation.objects import Member
from istmo.policy.principals import Operator


@pytest.fixture
def whole(tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    site = make_site(tmp_path, clock, rooms=None)
    yield site
    site.node.store.close()


def guatemala(site: Site) -> str:
    return next(iter(site.node.federation.members() - {site.node.ledger.member_id}))


def wait(site: Site, name: str) -> Member:
    """Somebody used the code of an invitation and waits to be let in."""
    federation = site.node.federation
    found = [one for one in federation.invitations(Operator()) if one.name == name]
    invitation = found[0] if found else federation.invite(Operator(), name)[0]
    member = replace(neighbour(site.node.settings.data / invitation.id, site.clock), name=name)
    with site.node.store.write() as tx:
        records.set_invitation(tx.connection, invitation.id, "pending", member)
    return member


def act(client: Any, page: str, path: str, files: Any = None, **data: str) -> Any:
    token = csrf_in(client.get(page).text)
    return client.post(path, data={"csrf": token, **data}, files=files, follow_redirects=True)


@pytest.mark.parametrize(
    ("query", "is_there"),
    [("q=guate", True), ("q=GT", True), ("state=away", True), ("q=panam", False), ("q=<b>", False)],
)
def test_a_member_is_found_by_name_country_and_state(real_site: Site, query: str, is_there: bool) -> None:
    with real_site.client() as client:
        real_site.sign_in(client)
        text = client.get(f"/peers?{query}").text
    assert (f'href="/peers/{guatemala(real_site)}"' in text) is is_there
    assert ("Ningún miembro responde" in text) is not is_there


def test_an_invitation_is_taken_back(whole: Site) -> None:
    invitation, _ = whole.node.federation.invite(Operator(), "CSIRT Panamá")
    with whole.client() as client:
        whole.sign_in(client, "raiz")
        answer = act(client, "/peers", f"/peers/invitations/{invitation.id}/withdraw")
        assert "su código ya no sirve" in answer.text and "Anulada" in answer.text
        assert f"{invitation.id}/withdraw" not in answer.text


def test_an_invitation_that_is_sent_twice_is_made_once(whole: Site) -> None:
    with whole.client(**{"Accept-Language": "es"}) as client:
        whole.sign_in(client, "raiz")
        assert "Cópielo ahora" in act(client, "/peers", "/peers/invite", name="CSIRT Panamá").text
        again = act(client, "/peers", "/peers/invite", name="CSIRT Panamá")
        assert "CSIRT Panamá ya tiene una invitación abierta" in again.text
        assert 'value="CSIRT Panamá"' in again.text and "Cópielo ahora" not in again.text
    assert len(whole.node.federation.invitations(Operator())) == 1


def test_the_page_follows_what_happens_also_where_it_answers_a_form(whole: Site) -> None:
    with whole.client() as client:
        whole.sign_in(client, "raiz")
        text = act(client, "/peers", "/peers/invite", name="CSIRT Panamá").text
        code = text.index("tabindex")
        for place in ("peers", "asking", "invitations"):
            found = re.search(rf'<section id="{place}" data-live="peer" hx-get="([^"]+)"', text)
            assert found and found[1] == "/peers", place
            assert found.start() > code, "what is fetched anew does not take the code away"
        wait(whole, "CSIRT Panamá")
        assert "CSIRT Panamá pide entrar" in client.get("/peers").text
        assert (
            'hx-get="/peers?q=guate&amp;state=away"' in client.get("/peers?q=guate&state=away&cursor=9").text
        )


def test_a_fingerprint_that_is_not_the_one_stays_in_its_field(whole: Site) -> None:
    member = wait(whole, "CSIRT Panamá")
    other = wait(whole, "CSIRT Belice")
    with whole.client(**{"Accept-Language": "es"}) as client:
        whole.sign_in(client, "raiz")
        typed = "AAAA-BBBB-CCCC-DDDD-EEEE-FFFF"
        answer = act(client, "/peers", f"/peers/{member.id}/confirm", confirm_fingerprint=typed)
        assert f"La huella escrita, {typed}, no es la del nodo que pide entrar" in answer.text
        kept = re.findall(r'name="confirm_fingerprint" value="([^"]*)"', answer.text)
        assert sorted(kept) == ["", typed], "in the field of whom it was typed for"
        assert member.id not in whole.node.federation.members()
        answer = act(client, "/peers", f"/peers/{member.id}/confirm", confirm_fingerprint=member.fingerprint)
    assert whole.node.federation.members() > {member.id} and other.id not in whole.node.federation.members()


def test_whoever_asks_to_enter_is_told_on_the_situation_to_those_who_may_let_them_in(whole: Site) -> None:
    wait(whole, "CSIRT Panamá")
    for name, is_told in (("raiz", True), ("rosa", True), ("ana", False)):
        with whole.client(**{"Accept-Language": "es"}) as client:
            whole.sign_in(client, name)
            assert ("Pide entrar a la región: CSIRT Panamá" in client.get("/").text) is is_told


def test_of_a_member_that_is_away_nothing_is_said_to_be_missing(whole: Site) -> None:
    member = guatemala(whole)
    federation = whole.node.federation
    federation.links.set_problem(member, Unavailable("federation.unreachable", url="https://gt.example"))
    report = federation.reconciliation(Operator(), member)
    assert report.sent > report.acknowledged and report.standing == "incomplete", (
        "the charter has not arrived"
    )
    known = replace(report, acknowledged=report.sent, is_ours_equal=True)
    assert (known.standing, known.is_complete) == ("unknown", False)
    assert replace(known, refused_here=1).standing == "incomplete"
    assert replace(known, stated=known.received + 1).standing == "incomplete"
    heard = replace(
        known, stated=known.received, is_theirs_equal=True, link=replace(known.link, problem=None)
    )
    assert heard.standing == "complete"
    with whole.client(**{"Accept-Language": "es"}) as client:
        whole.sign_in(client)
        assert "No hay respuesta en https://gt.example." in client.get("/peers").text


def test_nobody_removes_a_nation_by_a_slip(whole: Site) -> None:
    member = guatemala(whole)
    with whole.client() as client:
        whole.sign_in(client, "raiz")
        answer = act(client, f"/peers/{member}", f"/peers/{member}/remove", name="CSIRT Honduras")
        assert "No se dio de baja a nadie" in answer.text and 'value="CSIRT Honduras"' in answer.text
        assert member in whole.node.federation.members()
        answer = act(client, f"/peers/{member}", f"/peers/{member}/remove", name="csirt guatemala")
        assert "CSIRT Guatemala ya no es miembro" in answer.text
        assert member not in whole.node.federation.members()
        assert "nada nuevo le llega" in client.get(f"/peers/{member}").text


@pytest.mark.parametrize(
    ("name", "step"), [("raiz", "Cree abajo una invitación"), ("ana", "La invita quien")]
)
def test_a_region_of_one_says_who_comes_next_and_how(whole: Site, name: str, step: str) -> None:
    whole.node.federation.remove(Operator(), guatemala(whole))
    with whole.client() as client:
        whole.sign_in(client, name)
        page = client.get("/peers").text
        assert "el único miembro de la región" in page and step in page


def test_an_analyst_neither_removes_nor_carries(whole: Site) -> None:
    member = guatemala(whole)
    with whole.client() as client:
        whole.sign_in(client)
        text = client.get(f"/peers/{member}").text
        assert "/remove" not in text and "/frames" not in text
        assert act(client, "/peers", f"/peers/{member}/remove", name="CSIRT Guatemala").status_code == 403
        file = {"file": ("frames.txt", b"x")}
        assert act(client, "/peers", "/peers/frames", files=file).status_code == 403
    assert member in whole.node.federation.members()


@pytest.mark.parametrize("content", [b"", b"not a frame\n", b"\xff\xfe" * 100])
def test_a_file_that_is_none_is_refused_in_words(real_site: Site, content: bytes) -> None:
    with real_site.client() as client:
        real_site.sign_in(client, "raiz")
        answer = act(client, "/peers", "/peers/frames", files={"file": ("f.txt", content)})
    assert answer.status_code == 422
    assert 'id="file-wrong"' in answer.text and "⟦" not in html.unescape(answer.text)


def test_what_is_due_is_downloaded_to_be_carried(whole: Site) -> None:
    with whole.client() as client:
        whole.sign_in(client, "raiz")
        assert f"/api/v1/peers/{guatemala(whole)}/frames" in client.get(f"/peers/{guatemala(whole)}").text
        answer = client.get(f"/api/v1/peers/{guatemala(whole)}/frames")
    assert answer.status_code == 200 and "attachment" in answer.headers["content-disposition"]
