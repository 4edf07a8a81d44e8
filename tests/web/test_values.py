"""Values that nothing can have, in every place where a number or a name is asked for: refused, no defect."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from scenes import fill
from web_site import PASSWORD, Site, make_site

from istmo.clock import ManualClock
from machine import both_databases

HUGE = ("9223372036854775807", "9223372036854775808", "-9223372036854775809", "9" * 200, "9" * 5_000)

NUMBERS = (
    "/api/v1/audit?cursor={}",
    "/api/v1/audit?limit={}",
    "/api/v1/objects?cursor={}",
    "/api/v1/objects?limit={}",
    "/api/v1/alerts?cursor=1.{}",
    "/api/v1/alerts?cursor={}.1",
    "/api/v1/alerts?limit={}",
    "/api/v1/rules?cursor={}",
    "/api/v1/rules?limit={}",
    "/api/v1/cases?cursor={}",
    "/api/v1/cases?limit={}",
    "/api/v1/ledger/entries/x/{}",
    "/alerts?cursor=1.{}",
    "/alerts?cursor={}.1",
    "/objects?cursor={}",
    "/cases?cursor={}",
    "/rules?cursor={}",
    "/administration/audit?cursor={}",
    "/notices?cursor={}",
    "/hunts?copy={}",
    "/federation/v1/hello?nonce={}",
)

NUL = (
    "/api/v1/objects/%00",
    "/api/v1/objects?q=%00",
    "/api/v1/alerts/%00",
    "/api/v1/alerts?host=%00",
    "/api/v1/audit?subject=a%00b",
    "/api/v1/cases/%00",
    "/objects/%00",
    "/alerts?q=%00",
    "/alerts/%00",
)


@dataclass
class Whole:
    """A node with something in each room, and the id of its alert."""

    site: Site
    alert: str


@pytest.fixture
def whole(tmp_path: Path, clock: ManualClock, make_database: Callable[[str], str]) -> Iterator[Whole]:
    site = make_site(tmp_path, clock, rooms=None, database=make_database("node"))
    yield Whole(site, fill(site.node).alert)
    site.node.store.close()


@both_databases
def test_a_number_that_nothing_can_have_is_no_defect(whole: Whole) -> None:
    with whole.site.client() as client:
        whole.site.sign_in(client, "raiz")
        for path in NUMBERS:
            for number in HUGE:
                asked = path.format(number)
                # 404 is for what a path names; a number in a query is refused, or asked for in vain.
                refused = (400, 404) if "/{}" in path else (400, 422)
                assert client.get(asked).status_code in (200, *refused), asked
        headers = {"X-CSRF": client.get("/api/v1/me").json()["csrf"]}
        for number in HUGE[:-1]:
            content = f'{{"status":"acknowledged","version":{number}}}'
            path = f"/api/v1/alerts/{whole.alert}/status"
            answer = client.post(
                path, content=content, headers=headers | {"Content-Type": "application/json"}
            )
            assert 400 <= answer.status_code < 500, number
        for path in (f"/api/v1/jobs/{HUGE[1]}/retry", f"/api/v1/ledger/entries/x/{HUGE[1]}/erase"):
            answer = client.post(path, json={"reason": "x"}, headers=headers)
            assert 400 <= answer.status_code < 500, path


def test_the_first_and_the_last_year_are_times_like_any_other(whole: Whole) -> None:
    with whole.site.client() as client:
        whole.site.sign_in(client, "ana")
        for time in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
            for stretch in (time, f"{time}..", f"..{time}", f"{time}..{time}"):
                assert client.get("/hunt", params={"q": "a", "from": stretch}).status_code == 200, stretch


@both_databases
def test_nul_names_nothing(whole: Whole) -> None:
    with whole.site.client() as client:
        whole.site.sign_in(client, "raiz")
        for path in NUL:
            answer = client.get(path)
            assert answer.status_code == 400, path
        assert client.get("/api/v1/objects/%00").json()["error"]["code"] == "web.bad_request"
    with whole.site.client() as client:
        for name in ("\0", "a\0na", "\ud800"):
            content = f'{{"name":{json.dumps(name)},"password":"{PASSWORD}"}}'
            answer = client.post(
                "/api/v1/session", content=content, headers={"Content-Type": "application/json"}
            )
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "web.bad_request")
