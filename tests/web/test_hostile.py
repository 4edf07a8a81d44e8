"""A hostile peer's strings in every field: they stay text on every page, and break none."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from scenes import HOSTILE, fill
from web_site import Site, make_site

from istmo.clock import ManualClock


class Reader(HTMLParser):
    """What a browser would run: scripts, handlers, styles, images and addresses that are code."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("img", "iframe", "object", "embed", "style") or (tag == "script" and "src" not in given):
            self.found.append(tag)
        for name, value in given.items():
            if name.startswith("on") or name == "style" or (value or "").strip().startswith("javascript:"):
                self.found.append(f"{tag} {name}={value}")


@pytest.fixture
def whole(tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    site = make_site(tmp_path, clock, rooms=None)
    yield site
    site.node.store.close()


def test_hostile_strings_in_every_field_stay_text_on_every_page(whole: Site) -> None:
    scene = fill(whole.node, text=HOSTILE)
    with whole.client() as client:
        whole.sign_in(client, "rosa")
        for path in (
            "/",
            "/alerts",
            f"/alerts/{scene.alert}",
            "/objects",
            f"/objects/{scene.indicator}",
            "/cases",
            f"/cases/{scene.case}",
            "/rules",
            f"/rules/{scene.rule}",
            f"/rules?q={HOSTILE}",
            "/hunts",
            f"/hunts/{scene.hunt}",
            f"/value-lists?name={HOSTILE}",
            f"/objects?q={HOSTILE}",
            f"/alerts?q={HOSTILE}&host={HOSTILE}",
            f"/cases?q={HOSTILE}",
        ):
            answer = client.get(path)
            assert answer.status_code == 200, path
            html = answer.text
            reader = Reader()
            reader.feed(html)
            assert reader.found == [], path
            if "?" not in path:
                assert "&lt;script&gt;" in html, f"{path} shows the text itself"


def test_pages_later_than_the_first_are_small(whole: Site) -> None:
    scene = fill(whole.node, alerts=40)
    with whole.client() as client:
        whole.sign_in(client, "rosa")
        for path in (
            "/",
            "/alerts",
            f"/alerts/{scene.alert}",
            "/objects",
            f"/objects/{scene.indicator}",
            "/publish",
            "/cases",
            f"/cases/{scene.case}",
            "/rules",
            f"/rules/{scene.rule}",
            "/value-lists",
            "/hunts",
            f"/hunts/{scene.hunt}",
            "/peers",
        ):
            with client.stream("GET", path) as answer:
                sent = sum(len(chunk) for chunk in answer.iter_raw())
            assert sent <= 30_000, f"{path}: {sent} bytes on the wire"
