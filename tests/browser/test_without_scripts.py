"""The console in a browser that runs no scripts: the main forms do their work."""

from __future__ import annotations

from typing import Any

import pytest
from serving import sign_in

pytestmark = pytest.mark.chromium


def enter(open_page: Any, name: str) -> Any:
    page = open_page("/sign-in", language="es", width=360, scripts=False, signed_in=False)
    sign_in(page, name)
    return page


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
