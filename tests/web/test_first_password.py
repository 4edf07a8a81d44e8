"""Whoever was given a password that the node made sets one of their own before anything else."""

from __future__ import annotations

from typing import Any

import pytest
from test_forged import path_of
from web_site import PASSWORD, Site, csrf_in

from istmo.policy.principals import Operator, Role
from istmo.web.routes import routes_of

OWN = "tres tucanes verdes 58"
OPEN = {
    "GET /account",
    "POST /account/password",
    "GET /api/v1/me",
    "POST /api/v1/me/password",
    "DELETE /api/v1/session",
}
"""Besides what is open to everyone."""


def sign_in(client: Any, name: str, password: str) -> None:
    form = {"name": name, "password": password, "csrf": csrf_in(client.get("/sign-in").text), "next": "/"}
    client.post("/sign-in", data=form, follow_redirects=False)


def given(site: Site, name: str) -> str:
    return site.node.identity.create_account(Operator(), name, Role.ADMINISTRATOR)[1]


@pytest.mark.parametrize(
    ("language", "says"), [("es", "Cambie la contraseña"), ("en", "Change the password")]
)
def test_they_are_led_to_the_one_page_that_is_open_and_then_all_is(
    real_site: Site, language: str, says: str
) -> None:
    name = f"olga-{language}"
    password = given(real_site, name)
    with real_site.client(**{"Accept-Language": language}) as client:
        sign_in(client, name, password)
        answer = client.get("/alerts", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/account")
        page = client.get("/account").text
        assert says in page and "/account/sessions/end" not in page, "nothing else to do there"
        token = csrf_in(page)
        short = client.post("/account/password", data={"old": password, "new": "x", "csrf": token})
        assert short.status_code == 400 and says in short.text
        assert client.get("/alerts", follow_redirects=False).status_code == 303
        form = {"old": password, "new": OWN, "csrf": token}
        done = client.post("/account/password", data=form, follow_redirects=False)
        assert (done.status_code, done.headers["location"]) == (303, "/")
        assert client.get("/alerts", follow_redirects=False).status_code == 200
    assert not real_site.node.identity.accounts(Operator())[-1].must_change


def test_that_page_listens_to_nothing_and_offers_no_way_that_only_leads_back(real_site: Site) -> None:
    password = given(real_site, "ines")
    with real_site.client() as client:
        sign_in(client, "ines", password)
        page = client.get("/account").text
        assert "/live." not in page and "data-live" not in page
        for path in ("/alerts", "/search", "/notices", "/administration"):
            assert f'"{path}' not in page
        assert 'action="/sign-out"' in page and 'action="/preferences"' in page
        assert '<button class="main">' in page
        form = {"old": password, "new": OWN, "csrf": csrf_in(page)}
        client.post("/account/password", data=form, follow_redirects=False)
        page = client.get("/account").text
    assert "/live." in page and 'href="/alerts"' in page and '"/search"' in page


def test_no_other_route_is_open_before(real_site: Site) -> None:
    """All routes there are, so that none is forgotten."""
    password, asked = given(real_site, "oscar"), 0
    with real_site.client() as client:
        sign_in(client, "oscar", password)
        token = csrf_in(client.get("/account").text)
        for route in routes_of(real_site.app):
            named = f"{route.method} {route.path}"
            if route.access != "people" or named in OPEN:
                continue
            answer = client.request(
                route.method, path_of(route), headers={"X-CSRF-Token": token}, follow_redirects=False
            )
            led = answer.status_code == 303 and answer.headers["location"] == "/account"
            assert led or answer.status_code == 403, named
            asked += 1
        assert client.get("/api/v1/me").status_code == 200
        told = client.get("/api/v1/alerts").json()["error"]
        assert told["code"] == "web.password_first"
    assert asked > 100


def test_a_new_password_that_the_node_makes_is_to_be_changed_again_one_that_is_told_to_it_is_not(
    real_site: Site,
) -> None:
    identity = real_site.node.identity

    def must_change(name: str) -> bool:
        return next(one.must_change for one in identity.accounts(Operator()) if one.name == name)

    identity.create_account(Operator(), "marta", Role.ANALYST, PASSWORD)
    assert not must_change("marta")
    identity.reset_password(Operator(), "marta")
    assert must_change("marta")
    identity.reset_password(Operator(), "marta", OWN)
    assert not must_change("marta")


def test_who_administers_sees_who_has_not_changed_it_yet(real_site: Site) -> None:
    given(real_site, "pedro")
    with real_site.client(**{"Accept-Language": "es"}) as client:
        real_site.sign_in(client, "raiz")
        assert "Debe cambiar su contraseña" in client.get("/administration/people").text
        listed = client.get("/api/v1/accounts").json()["items"]
    assert {one["name"] for one in listed if one["must_change"]} >= {"pedro"}
