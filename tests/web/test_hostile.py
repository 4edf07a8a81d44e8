"""A hostile peer's strings in every field, a hostile person's in every form: they stay text on every page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reading import SeenForm, paths_of, peer_of, read
from scenes import HOSTILE, Scene, fill
from web_site import Site, csrf_in, make_site, neighbour

from istmo.clock import ManualClock

ELSEWHERE = "//evil.example/undo"
ENDING = ("/sign-out", "/account/sessions/end", "/account/password")
"""What would end the visit, and with it the walk."""
QUERIES = ("q", "name", "value", "host", "from", "sort", "with", "cursor", "next")
SHOWN = 20
"""Pages of the walk that show the hostile text itself, at the least: it did get there."""


def filled(form: SeenForm) -> dict[str, Any]:
    """What a hostile person sends: each field that is written in is hostile, each way back leads away."""
    values: dict[str, Any] = {}
    for name, kind, value in form.fields:
        if name in ("next", "back"):
            values[name] = ELSEWHERE
        elif kind in ("hidden", "radio", "checkbox", "button"):
            values.setdefault(name, value or "on")
        elif kind != "file":
            values[name] = HOSTILE
    return values


@pytest.fixture
def whole(tmp_path: Path, clock: ManualClock) -> Iterator[tuple[Site, Scene]]:
    """A node in which everything that others may write is hostile, the name of a neighbour too."""
    site = make_site(tmp_path, clock, rooms=None)
    scene = fill(site.node, text=HOSTILE)
    with site.node.store.write() as tx:
        hostile = replace(neighbour(tmp_path / "hostile", clock), name=HOSTILE, url="https://sv.example")
        site.node.federation.region.add(tx, replace(hostile, country="SV"))
    yield site, scene
    site.node.store.close()


def test_hostile_strings_in_every_field_and_form_stay_text_on_every_page(whole: tuple[Site, Scene]) -> None:
    site, scene = whole
    forms: dict[tuple[str, tuple[str, ...]], SeenForm] = {}
    paths = paths_of(site.app, scene, peer_of(site.node))
    with site.client() as rosa, site.client() as raiz:
        site.sign_in(rosa, "rosa")
        site.sign_in(raiz, "raiz")

        def ask(method: str, path: str, **how: Any) -> Any:
            """As a coordinator, and as an administrator where that one may not."""
            answer = rosa.request(method, path, **how)
            return raiz.request(method, path, **how) if answer.status_code == 403 else answer

        def walk(query: str = "") -> int:
            shown = 0
            for path in paths:
                answer = ask("GET", path.partition("?")[0] + query if query else path)
                assert answer.status_code < 500 or answer.status_code == 503, path
                if "html" not in answer.headers["content-type"]:
                    assert answer.headers["x-content-type-options"] == "nosniff"
                    continue
                page = read(answer.text)
                assert page.found == [], path + query
                shown += "&lt;script&gt;" in answer.text
                for form in page.forms:
                    if form.method == "post":
                        form.action = form.action or path
                        names = tuple(sorted({name for name, _, _ in form.fields}))
                        forms.setdefault((form.action, names), form)
            return shown

        assert walk() >= SHOWN
        walk("?" + "&".join(f"{name}={HOSTILE}" for name in QUERIES))
        tokens = [csrf_in(one.get("/account").text) for one in (rosa, raiz)]
        for form in list(forms.values()):
            if form.action in ENDING:
                continue
            for client, token in zip((rosa, raiz), tokens, strict=True):
                values = filled(form) | {"csrf": token}
                answer = client.post(form.action, data=values, follow_redirects=False)
                if answer.status_code != 403:
                    break
            assert answer.status_code < 500 or answer.status_code == 503, form.action
            where = answer.headers.get("location", "/")
            assert where.startswith("/") and not where.startswith("//"), f"{form.action} leads to {where}"
            assert read(answer.text).found == [], form.action
        assert len(forms) > 40
        assert walk() >= SHOWN
