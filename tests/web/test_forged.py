"""What another site may try with a signed-in browser: every form of the console, every page in a frame."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from reading import page_routes
from web_site import PASSWORD, Site, csrf_in

from istmo.web.routes import RouteEntry


@pytest.fixture(scope="module")
def raiz(real_site: Site) -> Iterator[Any]:
    with real_site.client(**{"Accept-Language": "es"}) as client:
        real_site.sign_in(client, "raiz")
        yield client


def path_of(route: RouteEntry) -> str:
    return re.sub(r"\{\w+:int\}", "1", re.sub(r"\{\w+:str\}", "x", route.path))


def test_no_form_is_taken_from_another_site_or_another_visit(real_site: Site, raiz: Any) -> None:
    with real_site.client() as mallory:
        real_site.sign_in(mallory)
        hers = csrf_in(mallory.get("/account").text)
    own = csrf_in(raiz.get("/account").text)
    forged: tuple[tuple[dict[str, str], dict[str, str]], ...] = (
        ({}, {}),
        ({"csrf": hers}, {}),
        ({"csrf": own}, {"Origin": "https://evil.example"}),
        ({"csrf": own}, {"Sec-Fetch-Site": "cross-site"}),
    )
    before = [one.name for one in real_site.node.identity.known_people()]
    routes = page_routes(real_site.app, "POST")
    assert len(routes) > 55
    for route in routes:
        for fields, headers in forged:
            data = {"name": "evil", "role": "administrator", "password": PASSWORD, **fields}
            answer = raiz.post(path_of(route), data=data, headers=headers, follow_redirects=False)
            assert answer.status_code == 403, f"{route.path} {fields} {headers}"
    assert [one.name for one in real_site.node.identity.known_people()] == before
    assert "raiz" in raiz.get("/account").text, "nobody was signed out either"


def test_no_page_lets_itself_be_framed_or_takes_code_from_elsewhere(real_site: Site, raiz: Any) -> None:
    for route in page_routes(real_site.app, "GET"):
        answer = raiz.get(path_of(route), follow_redirects=False)
        assert answer.headers["x-frame-options"] == "DENY", route.path
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy and "script-src 'self';" in policy, route.path
        assert "unsafe" not in policy and "http" not in policy, route.path
