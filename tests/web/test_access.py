"""Every route there is, asked by nobody: the routes are listed by the program, so none is forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from web_site import Site, make_site

from istmo.clock import ManualClock
from istmo.policy.principals import Person, Role
from istmo.web.routes import RouteEntry, routes_of

PUBLIC = {
    "GET /api/v1/openapi.json",
    "GET /api/v1/openapi.json/openapi.json",
    "GET /api/v1/openapi.json/{path:str}",
    "GET /api/v1/glossary",
    "GET /federation/v1/hello",
    "GET /glossary",
    "GET /sign-in",
    "GET /static/{name:str}",
    "POST /api/v1/session",
    "POST /federation/v1/join",
    "POST /preferences",
    "POST /sign-in",
    "POST /sign-out",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    from datetime import UTC, datetime

    site = make_site(
        tmp_path_factory.mktemp("node"), ManualClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC)), rooms=None
    )
    yield site
    site.node.store.close()


def filled(entry: RouteEntry) -> str:
    return re.sub(r"\{\w+:int\}", "1", re.sub(r"\{\w+:(str|path|uuid)\}", "x", entry.path))


def test_only_these_routes_are_open_to_everyone(whole: Site) -> None:
    assert {f"{one.method} {one.path}" for one in routes_of(whole.app) if one.access == "public"} == PUBLIC


def test_nobody_gets_past_the_door_of_any_other_route(whole: Site) -> None:
    asked = 0
    with whole.client() as client:
        for entry in routes_of(whole.app):
            if entry.access == "public":
                continue
            answer = client.request(entry.method, filled(entry), follow_redirects=False)
            asked += 1
            sent_to_sign_in = answer.headers.get("location", "").startswith("/sign-in?next=")
            assert answer.status_code == 401 or sent_to_sign_in, f"{entry.method} {entry.path}"
    assert asked > 60


def test_a_token_that_may_only_read_changes_nothing_through_any_route(whole: Site) -> None:
    account = Person("", "", Role.ADMINISTRATOR)
    with whole.client() as client:
        whole.sign_in(client, "rosa")
        account = whole.node.identity.session(client.cookies[whole.cookie("session")]).account.person
    _, secret = whole.node.identity.create_token(
        account, "solo lectura", ["read"], whole.node.clock.now() + timedelta(days=1)
    )
    with whole.node.store.read() as connection:
        before = whole.node.ledger.last_sequence(connection)
    with whole.client(Authorization=f"Bearer {secret}") as client:
        for entry in routes_of(whole.app):
            if entry.method in ("GET", "HEAD") or entry.access == "public":
                continue
            if entry.path == "/api/v1/session":
                continue  # signing out: a token has no session to end
            questions = ("/api/v1/events/hunt", "/api/v1/events/sql", "/api/v1/objects/past")
            if entry.path in questions or entry.path.startswith("/hunt/rules"):
                continue  # questions that are too long for an address
            answer = client.request(entry.method, filled(entry), json={})
            assert answer.status_code in (400, 401, 403, 404, 415, 422), (
                f"{entry.method} {entry.path}: {answer}"
            )
    with whole.node.store.read() as connection:
        assert whole.node.ledger.last_sequence(connection) == before


def test_every_json_route_is_in_the_open_api_document(whole: Site) -> None:
    with whole.client() as client:
        document = client.get("/api/v1/openapi.json").json()
    described = {(path, method.upper()) for path, item in document["paths"].items() for method in item}
    for entry in routes_of(whole.app):
        if entry.path.startswith("/api/v1/") and not entry.path.startswith("/api/v1/openapi"):
            plain = re.sub(r"\{(\w+):\w+\}", r"{\1}", entry.path)
            assert (plain, entry.method) in described, f"{entry.method} {entry.path}"
