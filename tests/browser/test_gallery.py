"""Every page as it looks: languages, widths, dark, on paper; empty, normal and overfull; to be looked at.

The pictures are made anew into ``docs/gallery/`` (not kept with the source), with a page that shows them all.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from reading import OF_ADMINISTRATORS, paths_of
from scenes import fill
from serving import LANGUAGES, WIDTHS, serving, sign_in
from web_site import Site, make_site
from working import break_in, send, working

from istmo.clock import SystemClock

pytestmark = [pytest.mark.chromium, pytest.mark.long]

GALLERY = Path(__file__).resolve().parents[2] / "docs" / "gallery"
WORDS = "Superintendencia General de Telecomunicaciones y Ciberseguridad del Istmo «Ñandú» "
FULL = (WORDS * 2 + "sinningunespaciodondecortarla" * 5)[:300]
SCENES = ("empty", "normal", "overfull")
HUNTED = ("/hunt?q=EventID:3&from=24h", "/alerts?group=host", "/alerts?group=none")
"""Beside every page: what the hunting page is for, and the queue in its other orders."""
PAPER = 718
"""Pixels of what an A4 page holds between its margins."""


@dataclass(frozen=True)
class Look:
    """How a person looks at a page."""

    language: str
    width: int
    scheme: str = "light"
    media: str = "screen"

    @property
    def name(self) -> str:
        kind = "print" if self.media == "print" else self.scheme
        return f"{self.language}-{self.width}" + ("" if kind == "light" else f"-{kind}")


LIGHT = [Look(language, width) for language in LANGUAGES for width in WIDTHS]
LOOKS = {
    "empty": LIGHT,
    "normal": [*LIGHT, *(Look("es", width, "dark") for width in WIDTHS), Look("es", PAPER, media="print")],
    "overfull": [*LIGHT, Look("es", PAPER, media="print")],
}

ID = re.compile(r"--[0-9a-f-]{36}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def filled(name: str, node: Any) -> Any:
    """The scene of that name in a node that is empty."""
    if name == "empty":
        return None
    return fill(node, alerts=12) if name == "normal" else fill(node, text=FULL, alerts=400, many=120)


def picture_of(path: str) -> str:
    """A file name that stays the same when the ids change; one rule's is not that of the list."""
    return re.sub(r"[^\w.-]+", "_", ID.sub("-one", path)).strip("_")[:80] or "situation"


@contextmanager
def watched(site: Site, name: str) -> Iterator[None]:
    """The node as it is when it works: its detection runs and events come in. A new one has neither yet."""
    if name == "empty":
        yield
        return
    with working(site):
        send(site, break_in(site.clock.now()))
        yield


@pytest.mark.parametrize("name", SCENES)
def test_every_page_is_pictured(name: str, tmp_path: Path, chromium: Any) -> None:
    site = make_site(tmp_path, SystemClock(), rooms=None, intake_port=0)  # type: ignore[arg-type]
    scene = filled(name, site.node)
    peer = next(iter(site.node.federation.members() - {site.node.ledger.member_id}))
    paths = [*paths_of(site.app, scene, peer), *(HUNTED if scene else ())]
    made: list[tuple[str, str]] = []
    with serving(site) as url, watched(site, name):
        for look in LOOKS[name]:
            for person in ("ana", "raiz"):
                context = chromium.new_context(
                    base_url=url,
                    viewport={"width": look.width, "height": 800},
                    locale=LANGUAGES[look.language],
                    color_scheme=look.scheme,
                )
                page = context.new_page()
                sign_in(page, person)
                for path in paths:
                    if path.startswith(OF_ADMINISTRATORS) == (person == "raiz"):
                        file = f"{name}-{look.name}-{picture_of(path)}.png"
                        look_at(page, path, GALLERY / file, look.media)
                        made.append((path, file))
                context.close()
    rows = "".join(f'<h2>{html.escape(path)}</h2><img src="{file}" loading="lazy">' for path, file in made)
    (GALLERY / f"{name}.html").write_text(f"<!doctype html><title>{name}</title>{rows}", "utf-8")
    assert len({file for _, file in made}) == len(paths) * len(LOOKS[name])


def look_at(page: Any, path: str, file: Path, media: str = "screen") -> None:
    """Take the picture; nothing is missing in it, and nothing stands out of it."""
    page.emulate_media(media="screen")
    page.goto(path)
    if path == HUNTED[0]:
        page.wait_for_selector("[data-put=end] > *")
    page.emulate_media(media=media)
    page.screenshot(path=file, full_page=True)
    assert "⟦" not in page.inner_text("body"), f"a text is missing on {path}"
    if media == "print":
        assert page.locator("button:visible, .button:visible, .top:visible").count() == 0, file.name
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{file.name} is too wide"
