"""A real Chromium against the real application on a real port."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from istmo.clock import SystemClock

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "web"))
sys.path.insert(0, str(ROOT))

from scenes import Scene, fill  # noqa: E402
from serving import LANGUAGES, serving, sign_in  # noqa: E402
from web_site import Site, make_site  # noqa: E402

from machine import missing  # noqa: E402


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One browser for a module's tests.

    Not for the whole session: while Playwright is open its event loop counts as the running one of this
    thread, and every later ``asyncio.run`` of another module in the same process would be refused.
    """
    program = next(
        (found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None
    )
    if program is None:
        missing("needs Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


class Served:
    """The application on a loopback port."""

    def __init__(self, site: Site, scene: Scene, url: str) -> None:
        self.site, self.scene, self.url = site, scene, url


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A node's application with every room, on a free port."""
    site = make_site(tmp_path_factory.mktemp("node"), SystemClock(), rooms=None, intake_port=0)  # type: ignore[arg-type]
    scene = fill(site.node, alerts=12)
    with serving(site) as url:
        yield Served(site, scene, url)


PATIENCE = 20_000
"""Milliseconds: a machine may be busy with other things. What comes is not waited for longer."""
Opener = Callable[..., Any]


@pytest.fixture
def open_page(chromium: Any, served: Served) -> Iterator[Opener]:
    """Opens a page: ``open_page("/objects", language="es", width=360, scripts=True, signed_in=True)``.

    Every page fails its test when the browser reports a violated security policy or a script error, and
    when it asks anybody but this node for anything.
    """
    contexts: list[Any] = []
    complaints: list[str] = []

    def open_(
        path: str,
        *,
        language: str = "es",
        width: int = 1440,
        scripts: bool = True,
        signed_in: bool = True,
        scheme: str = "light",
        refused: str = "",
    ) -> Any:
        context = chromium.new_context(
            base_url=served.url,
            viewport={"width": width, "height": 900},
            locale=LANGUAGES[language],
            java_script_enabled=scripts,
            color_scheme=scheme,
            accept_downloads=False,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: complaints.append(f"{path}: {error}"))
        page.on("console", lambda said: _complain(said, path, complaints, refused))
        page.on("request", lambda asked: _stay(asked.url, served.url, complaints))
        if signed_in:
            sign_in(page)
        page.goto(path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def _complain(said: Any, path: str, complaints: list[str], refused: str) -> None:
    """``refused``: the one path to which the test sends what fails; htmx writes that down."""
    text = said.text
    is_expected = refused and (f" from {refused}," in text or text.startswith(("htmx:sendE", "htmx:afterR")))
    if said.type == "error" and "Failed to load resource" not in text and not is_expected:
        complaints.append(f"{path}: {text}")


def _stay(url: str, own: str, complaints: list[str]) -> None:
    if not url.startswith(f"{own}/"):
        complaints.append(f"asked for {url}")
