"""The region's pages: looking for a member, taking back an invitation, removing, carrying a file by hand."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web_site import Site, csrf_in, make_site

from istmo.clock import ManualClock
from istmo.policy.principals import Operator


@pytest.fixture
def whole(tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    site = make_site(tmp_path, clock, rooms=None)
    yield site
    site.node.store.close()


def guatemala(site: Site) -> str:
    return next(iter(site.node.federation.members() - {site.node.ledger.member_id}))


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
