"""Value lists in the console: kept, put back, and never written over unseen."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from web_site import Site, csrf_in, make_site

from istmo.clock import ManualClock, SystemClock
from istmo.policy.principals import Operator


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = make_site(tmp_path_factory.mktemp("lists"), ManualClock(SystemClock().now()), rooms=None)
    yield made
    made.node.store.close()


def enter(site: Site) -> TestClient[Litestar]:
    client = site.client(**{"Accept-Language": "es"})
    site.sign_in(client, "ana")
    return client


def send(client: TestClient[Litestar], path: str, **values: str):  # type: ignore[no-untyped-def]
    csrf = csrf_in(client.get("/value-lists").text)
    return client.post(path, data={**values, "csrf": csrf}, follow_redirects=False)


def version_in(html: str) -> str:
    found = re.search(r'name="version" value="([^"]*)"', html)
    assert found
    return found[1]


def values_of(site: Site, name: str) -> tuple[str, ...]:
    return site.node.detect.read_value_list(Operator(), name).values


def test_two_at_once_are_both_shown_and_the_first_is_not_written_over(site: Site) -> None:
    site.node.detect.put_value_list(Operator(), "servidores", ["dc-1", "dc-2"])
    one, other = enter(site), enter(site)
    seen = version_in(one.get("/value-lists?name=servidores").text)
    typed = {"name": "servidores", "version": seen}
    assert send(one, "/value-lists", values="dc-1\ndc-2\ndc-3", **typed).status_code == 303
    late = send(other, "/value-lists", values="dc-1\ndc-9", **typed)
    assert late.status_code == 409 and values_of(site, "servidores") == ("dc-1", "dc-2", "dc-3")
    both = late.text.split('class="notice warn" role="alert"')[1].split("</table>")[0]
    assert "dc-3" in both and "dc-9" in both and "dc-1" not in both, "only what differs"
    assert "dc-1\ndc-9" in late.text, "what was typed is still there"
    typed["version"] = version_in(late.text)
    assert send(other, "/value-lists", values="dc-1\ndc-9", **typed).status_code == 303
    assert values_of(site, "servidores") == ("dc-1", "dc-9"), "knowing both, they decide"


def test_a_new_list_does_not_write_over_one_of_that_name(site: Site) -> None:
    site.node.detect.put_value_list(Operator(), "cajeros", ["c-1"])
    client = enter(site)
    assert version_in(client.get("/value-lists").text) == ""
    refused = send(client, "/value-lists", name="cajeros", values="c-9", version="")
    assert refused.status_code == 409 and values_of(site, "cajeros") == ("c-1",)


def test_the_same_again_is_no_conflict(site: Site) -> None:
    """A form that was sent twice."""
    client = enter(site)
    for _ in range(2):
        assert send(client, "/value-lists", name="dos", values="a\nb", version="").status_code == 303
    assert values_of(site, "dos") == ("a", "b")


def test_a_short_list_can_be_put_back_unless_there_is_another_by_now(site: Site) -> None:
    client = enter(site)
    site.node.detect.put_value_list(Operator(), "admins", ["ana", "eva"])
    send(client, "/value-lists/delete", name="admins")
    assert 'action="/value-lists/undo"' in client.get("/value-lists").text
    send(client, "/value-lists/undo", name="admins", values="ana\neva")
    assert values_of(site, "admins") == ("ana", "eva")
    site.node.detect.put_value_list(Operator(), "admins", ["otra"])
    refused = send(client, "/value-lists/undo", name="admins", values="ana\neva")
    assert refused.status_code == 409 and values_of(site, "admins") == ("otra",)


RULES = """title: Disco ajeno
id: 7d1f0b8a-5a41-4f39-8d1e-1f5b6b9c0a21
logsource: {product: windows}
detection: {s: {Device|expand: '%known_discs%'}, condition: s}
---
title: Otro disco ajeno
id: 7d1f0b8a-5a41-4f39-8d1e-1f5b6b9c0a22
logsource: {product: windows}
detection: {s: {Device|expand: '%known_discs%', User|expand: '%admins_of_discs%'}, condition: s}
"""


def test_lists_that_rules_in_force_wait_for_are_named_until_they_are_there(site: Site) -> None:
    detect, client = site.node.detect, enter(site)
    detect.import_rules(Operator(), RULES.encode())
    page = client.get("/value-lists").text
    assert "Hay reglas que esperan una lista" in page
    assert (
        ">known_discs</a> · la piden 2 reglas" in page and ">admins_of_discs</a> · la pide una regla" in page
    )
    form = client.get("/value-lists?name=known_discs").text
    assert 'name="name" type="text" value="known_discs"' in form, "the name need not be typed"
    send(client, "/value-lists", name="known_discs", values="d-1", version="")
    detect.enable_rule(Operator(), "7d1f0b8a-5a41-4f39-8d1e-1f5b6b9c0a22", False)
    assert "Hay reglas que esperan una lista" not in client.get("/value-lists").text
