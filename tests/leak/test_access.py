"""Who may come to a route at all: every route that the program lists says it, and keeps to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from istmo.clock import ManualClock
from istmo.identity.service import TOKEN_SCOPES
from istmo.kit.access import KINDS
from istmo.ledger import keys as node_keys
from istmo.node import Node
from istmo.policy.principals import Scope
from istmo.settings import load_settings
from istmo.web.app import create_app
from istmo.web.routes import RouteEntry, routes_of

from .asking import VISIT, Answer, Asker, Question, ask, by_key
from .questions import SIGNS_OUT, every_question
from .worlds import Ids, Region, found_region, person, served

PUBLIC = {
    "/api/v1/glossary",
    "/api/v1/openapi.json",
    "/api/v1/openapi.json/openapi.json",
    "/api/v1/openapi.json/{path:str}",
    "/api/v1/session",
    "/federation/v1/hello",
    "/federation/v1/join",
    "/glossary",
    "/preferences",
    "/sign-in",
    "/sign-out",
    "/static/{name:str}",
}
"""All that a stranger may reach: one more is one more to think about."""


@dataclass
class Site:
    """A served node, its routes, and a client of any kind."""

    region: Region
    routes: list[RouteEntry]
    cookie: Callable[[str], str]
    node: Node
    clock: ManualClock

    def ask(self, asker: Asker) -> list[tuple[RouteEntry, Question, Answer]]:
        """One question for each route."""
        asked = sorted(self.routes, key=lambda one: (one.method, one.path) in SIGNS_OUT)
        shown = self.region.publisher.ids.few()
        questions = [next(every_question([route], Ids(), shown, asker)) for route in asked]
        return list(
            zip(asked, questions, ask(asker, self.url, self.cookie, questions, self.clock), strict=True)
        )

    @property
    def url(self) -> str:
        return load_settings(self.region.publisher.folder).url


@pytest.fixture(scope="module")
def site(memory: Path) -> Iterator[Site]:
    region = found_region(memory / "access")
    node, clock = region.publisher.open()
    app = create_app(node)
    node.federation.acks.start()
    with served(node, region.listener):
        yield Site(region, routes_of(app), app.state.faces.cookie, node, clock)
    node.federation.acks.stop()
    node.store.close()
    region.listener.close()


def test_every_route_says_who_may_come_to_it(site: Site) -> None:
    assert len(site.routes) > 60
    assert {one.access for one in site.routes} <= KINDS
    assert {one.path for one in site.routes if one.access == "public"} == PUBLIC | {"/api/v1/session"}


def test_nobody_in_particular_is_sent_to_sign_in_everywhere_else(site: Site) -> None:
    for route, question, answer in site.ask(Asker("nobody", cookies={"visit": VISIT})):
        if route.access == "public":
            continue
        is_page = not question.path.startswith(("/api/", "/federation/"))
        if is_page and question.method == "GET":
            location = dict(answer.headers).get("location", "")
            assert answer.status == 303 and location.startswith("/sign-in?next="), question
        else:
            assert answer.status == 401, f"{question}: {answer}"


def test_a_peer_reaches_what_is_for_peers_and_nothing_of_the_people_s(site: Site) -> None:
    peer = by_key("the member", node_keys.load(load_settings(site.region.peer).keys))
    for route, question, answer in site.ask(peer):
        if route.access == "peer":
            assert answer.status not in (401, 403), f"{question}: {answer}"
        elif route.access != "public":
            assert answer.status == 403, f"{question}: {answer}"


@pytest.mark.parametrize("name", ["olga", "ana", "rosa"])
def test_people_do_not_reach_what_is_for_peers_or_the_operator(site: Site, name: str) -> None:
    secrets = site.region.publisher.secrets
    person_ = Asker(name, cookies={"session": secrets[name]}, secret=secrets[name])
    for route, question, answer in site.ask(replace(person_, opens=frozenset({"people"}))):
        if route.access in ("peer", "operator"):
            assert answer.status == 403, f"{question}: {answer}"


@pytest.mark.parametrize("scope", TOKEN_SCOPES)
def test_a_token_without_the_scope_is_denied(site: Site, scope: str) -> None:
    """What each scope opens, on one route of each kind; everything else is refused with the reason."""
    opens = {
        ("GET", "/api/v1/objects", None): {Scope.READ},
        ("GET", "/api/v1/cases", None): {Scope.READ},
        ("POST", "/api/v1/objects/preview?audience=region&tlp=TLP:AMBER", b"{}"): {Scope.PUBLISH},
        ("POST", "/api/v1/cases", b'{"title": "x"}'): {Scope.WORK},
        ("POST", "/api/v1/rules/import", b"title: ["): {Scope.WORK},
        ("GET", "/api/v1/accounts", None): {Scope.ADMIN},
        ("GET", "/api/v1/audit", None): {Scope.ADMIN},
        ("POST", "/api/v1/peers/invitations", b'{"name": ""}'): {Scope.ADMIN},
        ("GET", "/api/v1/tokens", None): {Scope.ADMIN},
        ("POST", "/api/v1/ledger/entries/CSIRT/9999/erase", b'{"reason": "x"}'): {Scope.ADMIN},
    }
    node = site.node
    until = site.clock.now() + timedelta(days=1)
    for owner in ("rosa", "raiz"):
        account = person(node, owner)
        _, secret = node.identity.create_token(account, f"{scope}", [scope], until)
        token = Asker(f"{owner} {scope}", headers={"Authorization": f"Bearer {secret}"})
        for (method, path, body), scopes in opens.items():
            question = Question(method, path, "application/json" if body else "", body or b"")
            (answer,) = ask(token, site.url, str, [question], site.clock)
            if scope not in scopes:
                assert answer.status == 403, f"{token.name} {question}: {answer.status} {answer.body!r}"


@pytest.mark.parametrize("language", ["es", "en"])
@pytest.mark.parametrize("kind", ["wrong", "expired", "revoked"])
def test_a_token_that_is_not_good_is_told_so_in_words(site: Site, language: str, kind: str) -> None:
    """Bad input: an expired or wrong token."""
    node, clock = site.node, site.clock
    secret = "istmo_" + "x" * 43
    if kind != "wrong":
        until = clock.now() + timedelta(seconds=60)
        rosa = person(node, "rosa")
        token, secret = node.identity.create_token(rosa, f"{kind} {language}", ["read"], until)
        if kind == "revoked":
            node.identity.revoke_token(rosa, token.id)
        else:
            clock.advance(61)
    asker = Asker(kind, headers={"Authorization": f"Bearer {secret}", "Accept-Language": language})
    (answer,) = ask(asker, site.url, str, [Question("GET", "/api/v1/objects")], clock)
    words = node.catalogue.text(language, "error.web.token_unknown")
    assert answer.status == 401 and words in answer.body.decode()
    assert ("www-authenticate", "Bearer") in answer.headers
