"""Every page as it looks: both languages, both widths; empty, normal and overfull; to be looked at.

The pictures are made anew into ``docs/gallery/`` (not kept with the source), with a page that shows them all.
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import pytest
from scenes import Scene, fill
from serving import LANGUAGES, WIDTHS, serving, sign_in
from web_site import make_site

from istmo.clock import SystemClock
from istmo.web.routes import routes_of

pytestmark = [pytest.mark.chromium, pytest.mark.long]

GALLERY = Path(__file__).resolve().parents[2] / "docs" / "gallery"
WORDS = "Superintendencia General de Telecomunicaciones y Ciberseguridad del Istmo «Ñandú» "
FULL = (WORDS * 2 + "sinningunespaciodondecortarla" * 5)[:300]
SCENES = ("empty", "normal", "overfull")
ONE_OF = {
    "/alerts/": "alert",
    "/objects/": "indicator",
    "/cases/": "case",
    "/rules/": "rule",
    "/sources/": "source",
    "/hunts/": "hunt",
    "/administration/people/": "person",
    "/administration/notices/": "way",
}
"""What stands for the id in a page's path. A page that is not here fails the test."""
NO_PAGES = ("/api/", "/static/", "/federation/")


def paths_of(app: Any, scene: Scene | None, peer: str) -> list[str]:
    """Every page that is read, with the ids of the scene; pages of one thing only where there is one."""
    found = {"/nothing-here"}
    for route in routes_of(app):
        path = route.path
        if route.method != "GET" or path.startswith(NO_PAGES) or "." in path.rsplit("/", 1)[-1]:
            continue
        if "{" not in path:
            found.add(path)
        elif path.startswith("/peers/"):
            found.add(_with(path, peer))
        elif scene is not None:
            kind = next(name for start, name in ONE_OF.items() if path.startswith(start))
            found.add(_with(path, getattr(scene, kind)))
    return sorted(found)


def _with(path: str, id: str) -> str:
    before, _, rest = path.partition("{")
    return before + id + rest.partition("}")[2]


@pytest.mark.parametrize("name", SCENES)
def test_every_page_is_pictured(name: str, tmp_path: Path, chromium: Any) -> None:
    site = make_site(tmp_path, SystemClock(), rooms=None)  # type: ignore[arg-type]
    scene = None
    if name != "empty":
        scene = fill(
            site.node, text=FULL if name == "overfull" else "", alerts=12 if name == "normal" else 400
        )
    peer = next(iter(site.node.federation.members() - {site.node.ledger.member_id}))
    paths = paths_of(site.app, scene, peer)
    made = []
    with serving(site) as url:
        for language, locale in LANGUAGES.items():
            for width in WIDTHS:
                context = chromium.new_context(
                    base_url=url, viewport={"width": width, "height": 800}, locale=locale
                )
                analyst = context.new_page()
                sign_in(analyst)
                others = chromium.new_context(
                    base_url=url, viewport={"width": width, "height": 800}, locale=locale
                )
                administrator = others.new_page()
                sign_in(administrator, "raiz")
                for path in paths:
                    page = administrator if path.startswith("/administration") else analyst
                    page.goto(path)
                    file = f"{name}-{language}-{width}-{path.strip('/').replace('/', '_') or 'situation'}"[
                        :120
                    ]
                    page.screenshot(path=GALLERY / f"{file}.png", full_page=True)
                    made.append((path, f"{file}.png"))
                    assert "⟦" not in page.inner_text("body"), f"a text is missing on {path}"
                    wide = page.evaluate(
                        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                    )
                    assert wide <= 0, f"{path} is wider than {width} px"
                context.close()
                others.close()
    rows = "".join(f'<h2>{html.escape(path)}</h2><img src="{file}" loading="lazy">' for path, file in made)
    (GALLERY / f"{name}.html").write_text(f"<!doctype html><title>{name}</title>{rows}", "utf-8")
    assert len(made) == len(paths) * len(LANGUAGES) * len(WIDTHS)
