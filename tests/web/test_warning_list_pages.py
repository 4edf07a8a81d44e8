"""Warning lists in the console: brought in, looked in, switched off and on, deleted."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from web_site import PASSWORD, Site, csrf_in, make_site

from istmo.clock import ManualClock, SystemClock
from istmo.policy.principals import Operator, Role

LIST = {
    "name": "Nombres <comunes>",
    "type": "hostname",
    "version": 3,
    "description": "Servicios de todos",
    "matching_attributes": ["domain", "hostname"],
    "list": ["resolver.example", "cdn.example"],
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = make_site(tmp_path_factory.mktemp("lists"), ManualClock(SystemClock().now()), rooms=None)
    made.node.identity.create_account(Operator(), "olga", Role.OBSERVER, PASSWORD)
    yield made
    made.node.store.close()


def enter(site: Site, name: str = "ana", language: str = "es") -> TestClient[Litestar]:
    client = site.client(**{"Accept-Language": language})
    site.sign_in(client, name)
    return client


def send(client: TestClient[Litestar], path: str, **values: str):  # type: ignore[no-untyped-def]
    csrf = csrf_in(client.get("/warning-lists").text)
    return client.post(path, data={**values, "csrf": csrf}, follow_redirects=False)


def bring(client: TestClient[Litestar], text: str):  # type: ignore[no-untyped-def]
    csrf = csrf_in(client.get("/warning-lists").text)
    data = {"csrf": csrf, "text": text}
    return client.post("/warning-lists", data=data, files={"file": ("", b"")}, follow_redirects=False)


def press_undo(client: TestClient[Litestar]):  # type: ignore[no-untyped-def]
    """What the button of the notice does."""
    shown = client.get("/warning-lists").text
    form = re.search(r'action="/warning-lists/undo">(.*?)</form>', shown, re.DOTALL)
    assert form, shown
    fields = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', form[1]))
    told = {name: html.unescape(value) for name, value in fields.items()}
    return client.post("/warning-lists/undo", data=told, follow_redirects=False)


@pytest.mark.parametrize("language", ["es", "en"])
def test_a_list_is_brought_in_and_a_defanged_value_is_found_on_it(site: Site, language: str) -> None:
    client = enter(site, language=language)
    assert bring(client, json.dumps(LIST)).status_code == 303
    page = client.get("/warning-lists?value=cdn%5B.%5Dexample").text
    assert "Nombres &lt;comunes&gt;" in page and 'class="notice warn"' in page and "cdn.example" in page
    assert 'class="notice good"' in client.get("/warning-lists?value=192.0.2.77").text
    told = client.get("/api/v1/warning-lists/find?value=resolver.example").json()
    assert told == {"kind": "domain", "value": "resolver.example", "lists": [LIST["name"]]}


def test_a_list_that_is_off_does_not_count_until_it_is_on_again(site: Site) -> None:
    client, name = enter(site), str(LIST["name"])
    bring(client, json.dumps(LIST))
    send(client, "/warning-lists/switch", name=name, enabled="off")
    assert site.node.detect.lists_with(Operator(), "cdn.example")[2] == ()
    bring(client, json.dumps({**LIST, "version": 4}))
    assert site.node.detect.lists_with(Operator(), "cdn.example")[2] == (), "a new version stays off"
    send(client, "/warning-lists/switch", name=name, enabled="off")
    assert press_undo(client).status_code == 303
    assert site.node.detect.lists_with(Operator(), "cdn.example")[2] == (name,)


def test_a_switch_is_not_taken_back_once_somebody_else_has_decided(site: Site) -> None:
    client, name = enter(site), str(LIST["name"])
    bring(client, json.dumps(LIST))
    send(client, "/warning-lists/switch", name=name, enabled="off")
    for is_enabled in (True, False):
        site.node.detect.switch_warning_list(Operator(), name, is_enabled)
    refused = press_undo(client)
    assert refused.status_code == 409 and "no se deshizo nada" in refused.text
    assert site.node.detect.lists_with(Operator(), "cdn.example")[2] == ()
    site.node.detect.switch_warning_list(Operator(), name, True)


def test_a_list_that_cannot_be_read_is_refused_in_words_and_stays_in_the_form(site: Site) -> None:
    refused = bring(enter(site), '{"name": "x", "type": "nube"}')
    assert refused.status_code == 422 and "nube" in refused.text and 'id="wrong"' in refused.text


def test_the_lists_that_come_with_the_program_are_one_button_away_and_any_list_can_go(site: Site) -> None:
    client = enter(site)
    assert send(client, "/warning-lists/reserved").status_code == 303
    assert site.node.detect.lists_with(Operator(), "192.168.1.1")[2] == ("Reserved IPv4 and IPv6 ranges",)
    send(client, "/warning-lists/delete", name="Reserved IPv4 and IPv6 ranges")
    assert site.node.detect.lists_with(Operator(), "192.168.1.1")[2] == ()


def test_who_may_only_look_changes_nothing(site: Site) -> None:
    client = enter(site, "olga")
    page = client.get("/warning-lists").text
    assert "/warning-lists/switch" not in page and 'type="file"' not in page
    before = site.node.detect.warning_lists(Operator())
    for path in ("/warning-lists/switch", "/warning-lists/delete", "/warning-lists/reserved"):
        assert send(client, path, name=str(LIST["name"]), enabled="off").status_code == 403
    assert bring(client, json.dumps(LIST)).status_code == 403
    assert site.node.detect.warning_lists(Operator()) == before
