"""The console in a browser that runs no scripts: every page is read, and the main forms do their work."""

from __future__ import annotations

from typing import Any

import pytest
from every_page import paths_of, peer_of
from serving import sign_in

pytestmark = pytest.mark.chromium

MACHINES = ("/hunt/counts", "/hunt/rows", "/hunt/sql/rows", "/hunt/export", "/hunt/sql/export")
"""What a script or a program reads, and no person."""


def enter(open_page: Any, name: str) -> Any:
    page = open_page("/sign-in", language="es", width=360, scripts=False, signed_in=False)
    sign_in(page, name)
    return page


def test_every_page_is_readable(open_page: Any, served: Any) -> None:
    site = served.site
    rosa, raiz = enter(open_page, "rosa"), enter(open_page, "raiz")
    for path in paths_of(site.app, served.scene, peer_of(site.node)):
        if path in MACHINES:
            continue
        page = raiz if path.startswith(("/administration", "/sources/new")) else rosa
        page.goto(path)
        assert page.locator("h1").first.is_visible(), path
        assert not page.locator("[data-script] >> visible=true").count(), f"{path}: no dead buttons"
        assert "⟦" not in page.inner_text("body"), path


def test_alerts_are_triaged_a_case_is_written_in_and_a_hunt_saved(open_page: Any, served: Any) -> None:
    page = enter(open_page, "rosa")
    page.goto("/alerts")
    row = page.locator("#alerts [data-row]", has_text="PowerShell").first
    row.locator("input[name=pick]").check()
    page.click("summary:has-text('Cerrar con motivo')")
    page.fill("#note", "Inventario nocturno")
    page.click("button[value='close:expected']")
    assert "cerrada" in page.inner_text("[role=status]")
    page.click("[role=status] button")
    assert "se deshizo" in page.inner_text("[role=status]")
    page.locator("#alerts [data-row]", has_text="PowerShell").first.locator("a").first.click()
    page.locator("#alerts [data-row] a").first.click()
    page.click("summary:has-text('Cerrar con motivo')")
    page.fill("#note", "Una sola")
    page.click("button[value='close:false-positive']")
    assert "Una sola" in page.inner_text("main")

    page.goto(f"/cases/{served.scene.case}")
    page.fill("#note", "Sin guiones también se escribe")
    page.click("form:has(#note) button")
    assert "Sin guiones también se escribe" in page.inner_text("#timeline")

    page.goto("/hunts")
    page.fill("#name", "Sin guiones")
    page.fill("#text", "Image:*whoami.exe")
    page.click("main button.main")
    assert "Sin guiones" in page.inner_text("h1")


def test_a_colleague_is_let_in_and_comes_in(open_page: Any) -> None:
    page = enter(open_page, "raiz")
    page.goto("/administration/people/new")
    page.fill("#name", "Carmen")
    page.check("input[value=analyst]")
    page.click("main button.main")
    password = page.inner_text("#password")
    page.click(".menu summary")
    page.click("text=Cerrar la sesión")
    page.fill("#name", "Carmen")
    page.fill("#password", password)
    page.click("main button.main")
    assert "Carmen" in page.inner_text(".menu summary")
