"""Every form that others see, sent by whoever may only read: nothing changes, and each is turned away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reading import SeenForm, paths_of, peer_of, read
from scenes import Scene, fill
from sqlalchemy import text
from web_site import PASSWORD, Site, csrf_in, make_site

from istmo.clock import ManualClock
from istmo.policy.principals import Operator, Role

OWN = ("/account", "/preferences", "/notices", "/sign-out", "/administration/tokens")
"""What is everybody's own to change: a token is never more than who made it."""
UNTOLD = ("sessions", "audit", "sign_in_failures")
"""Tables in which a visit leaves traces, and nothing of the node's is."""
CHANGING = 15
"""Forms that change something when somebody sends them who may, at the least: the values are good enough."""


@pytest.fixture
def whole(tmp_path: Path, clock: ManualClock) -> Iterator[tuple[Site, Scene]]:
    site = make_site(tmp_path, clock, rooms=None)
    site.node.identity.create_account(Operator(), "olga", Role.OBSERVER, PASSWORD)
    scene = fill(site.node)
    yield site, scene
    site.node.store.close()


def held(site: Site) -> dict[str, Any]:
    """What stands in each table."""
    with site.node.store.read() as connection:
        names = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars()
        kept = [name for name in names if name not in UNTOLD]
        return {name: connection.execute(text(f'SELECT * FROM "{name}"')).all() for name in kept}


def values_of(form: SeenForm) -> dict[str, str]:
    """What somebody might send: what stands there already, and words where it is empty."""
    values: dict[str, str] = {}
    for name, kind, value in form.fields:
        if kind in ("radio", "checkbox", "button", "select"):
            values.setdefault(name, value or ("on" if kind == "checkbox" else ""))
        elif kind != "file":
            values[name] = value or "texto de prueba"
    return values


def forms_of(site: Site, scene: Scene) -> list[SeenForm]:
    """Every form that posts, on any page, of whoever sees the most."""
    found: dict[tuple[str, tuple[str, ...]], SeenForm] = {}
    for name in ("ana", "rosa", "raiz"):
        with site.client() as client:
            site.sign_in(client, name)
            for path in paths_of(site.app, scene, peer_of(site.node)):
                for form in read(client.get(path).text).forms:
                    form.action = form.action or path
                    if form.method == "post" and not form.action.startswith(OWN):
                        found.setdefault((form.action, tuple(sorted(one for one, _, _ in form.fields))), form)
    return list(found.values())


def test_whoever_may_only_read_changes_nothing_through_any_form(whole: tuple[Site, Scene]) -> None:
    site, scene = whole
    forms = forms_of(site, scene)
    assert len(forms) > 30

    def sent(name: str) -> dict[str, int]:
        """What each form was answered."""
        with site.client() as client:
            site.sign_in(client, name)
            token = {"csrf": csrf_in(client.get("/account").text)}
            return {
                form.action: client.post(
                    form.action, data=values_of(form) | token, follow_redirects=False
                ).status_code
                for form in forms
            }

    with site.client() as client:
        site.sign_in(client, "olga")  # that she did is written down
    before = held(site)
    told = sent("olga")
    # 422: what was written is looked at first where it says nothing of what the node holds.
    assert {path: status for path, status in told.items() if status not in (403, 404, 422)} == {}
    assert list(told.values()).count(422) < 4
    after = held(site)
    assert [name for name in before if before[name] != after[name]] == []
    taken = [*sent("rosa").values(), *sent("raiz").values()].count(303)
    assert taken >= CHANGING, "what is sent is good enough to change something where somebody may"
