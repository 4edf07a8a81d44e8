"""Every page as it looks: both languages, both widths; empty, normal and overfull; to be looked at.

The pictures are made anew into ``docs/gallery/`` (not kept with the source), with a page that shows them all.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest
from reading import OF_ADMINISTRATORS, paths_of
from scenes import fill
from serving import LANGUAGES, WIDTHS, serving, sign_in
from web_site import make_site

from istmo.clock import SystemClock

pytestmark = [pytest.mark.chromium, pytest.mark.long]

GALLERY = Path(__file__).resolve().parents[2] / "docs" / "gallery"
WORDS = "Superintendencia General de Telecomunicaciones y Ciberseguridad del Istmo «Ñandú» "
FULL = (WORDS * 2 + "sinningunespaciodondecortarla" * 5)[:300]
SCENES = ("empty", "normal", "overfull")

ID = re.compile(r"--[0-9a-f-]{36}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def filled(name: str, node: Any) -> Any:
    """The scene of that name in a node that is empty."""
    if name == "empty":
        return None
    return fill(node, alerts=12) if name == "normal" else fill(node, text=FULL, alerts=400, many=120)


def picture_of(path: str) -> str:
    """A file name that stays the same when the ids change; one rule's is not that of the list."""
    return re.sub(r"[^\w.-]+", "_", ID.sub("-one", path)).strip("_")[:80] or "situation"


@pytest.mark.parametrize("name", SCENES)
def test_every_page_is_pictured(name: str, tmp_path: Path, chromium: Any) -> None:
    site = make_site(tmp_path, SystemClock(), rooms=None)  # type: ignore[arg-type]
    scene = filled(name, site.node)
    peer = next(iter(site.node.federation.members() - {site.node.ledger.member_id}))
    paths = paths_of(site.app, scene, peer)
    made: list[tuple[str, str]] = []
    with serving(site) as url:
        for language, locale in LANGUAGES.items():
            for width in WIDTHS:
                for person in ("ana", "raiz"):
                    context = chromium.new_context(
                        base_url=url, viewport={"width": width, "height": 800}, locale=locale
                    )
                    page = context.new_page()
                    sign_in(page, person)
                    for path in paths:
                        if path.startswith(OF_ADMINISTRATORS) == (person == "raiz"):
                            file = f"{name}-{language}-{width}-{picture_of(path)}.png"
                            look_at(page, path, GALLERY / file)
                            made.append((path, file))
                    context.close()
    rows = "".join(f'<h2>{html.escape(path)}</h2><img src="{file}" loading="lazy">' for path, file in made)
    (GALLERY / f"{name}.html").write_text(f"<!doctype html><title>{name}</title>{rows}", "utf-8")
    assert len({file for _, file in made}) == len(paths) * len(LANGUAGES) * len(WIDTHS)


def look_at(page: Any, path: str, file: Path) -> None:
    """Take the picture; nothing is missing in it, and nothing stands out of it."""
    page.goto(path)
    page.screenshot(path=file, full_page=True)
    assert "⟦" not in page.inner_text("body"), f"a text is missing on {path}"
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{file.name} is too wide"
