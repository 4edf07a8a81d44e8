"""Two analysts in two browsers on the same thing: both versions are shown, and nothing typed is lost."""

from __future__ import annotations

from typing import Any

import pytest
from serving import sign_in

from istmo.policy.principals import Operator

pytestmark = pytest.mark.chromium


@pytest.fixture
def two(open_page: Any) -> tuple[Any, Any]:
    """The browsers of ana and of rosa."""
    rosa = open_page("/sign-in", language="es", signed_in=False, refused="/alerts/work")
    sign_in(rosa, "rosa")
    rosa.wait_for_load_state()
    return open_page("/alerts", language="es"), rosa


def test_on_one_alert_and_on_its_line_in_the_queue(two: tuple[Any, Any], served: Any) -> None:
    ana, rosa = two
    detect = served.site.node.detect
    at = f"/alerts/{served.scene.alert}"
    ana.goto(at)
    rosa.goto(at)
    rosa.click("summary:has-text('Cerrar con motivo')")
    rosa.fill("#note", "Bloqueado en el cortafuegos de la sede.")
    ana.click("summary:has-text('Cerrar con motivo')")
    ana.fill("#note", "Ya está en otro caso.")
    ana.click("button[value='close:duplicate']")
    ana.get_by_text("Ya está en otro caso.").first.wait_for()
    rosa.click("button[value='close:resolved']")
    told = rosa.locator("main [role=alert]")
    told.get_by_text("Ya está en otro caso.").wait_for()
    assert "Resuelta" in told.inner_text() and "Repetida" in told.inner_text() and "ana" in told.inner_text()
    assert rosa.input_value("#note") == "Bloqueado en el cortafuegos de la sede."
    assert detect.read_alert(Operator(), served.scene.alert).alert.note == "Ya está en otro caso."
    rosa.click("button[value='close:resolved']")
    rosa.get_by_text("quedó cerrada").wait_for()
    now = detect.read_alert(Operator(), served.scene.alert).alert
    assert (str(now.reason), now.note) == ("resolved", "Bloqueado en el cortafuegos de la sede."), "knowingly"
    rosa.keyboard.press("u")
    rosa.get_by_text("se deshizo").wait_for()

    # the queue: a line that somebody else has closed meanwhile leaves it, and takes no words with it
    ana.goto("/alerts")
    rosa.goto("/alerts")
    line = rosa.locator("#alerts [data-row]", has_text="PowerShell").first
    name = line.locator("a").first.inner_text()
    line.locator("input[name=pick]").check()
    rosa.click("summary:has-text('Cerrar con motivo')")
    rosa.fill("#note", "Escrito mientras otra la cerraba.")
    ana.locator("#alerts [data-row]", has_text=name).locator("a").first.focus()
    ana.keyboard.press("c")
    ana.keyboard.press("3")
    ana.get_by_text("cerrada").first.wait_for()
    rosa.locator("#alerts [data-row]", has_text=name).wait_for(state="detached")
    assert rosa.input_value("#note") == "Escrito mientras otra la cerraba."
    rosa.click("button[value='close:resolved']")
    rosa.locator("main [role=alert]").wait_for()
    assert rosa.input_value("#note") == "Escrito mientras otra la cerraba."


def test_on_one_saved_hunt(open_page: Any, served: Any) -> None:
    first = open_page("/hunts", language="es")
    first.fill("#name", "Dos a la vez")
    first.fill("#text", "Image:*whoami.exe")
    first.click("main button.main")
    second = open_page(first.url.removeprefix(served.url), language="es")
    for page, words in ((first, "Lo mira el turno de noche."), (second, "Lo mira el turno de día.")):
        page.fill("#description", words)
        page.click("#change + form button.main")
    told = second.locator("main [role=alert]")
    told.get_by_text("Lo mira el turno de noche.").wait_for()
    assert "Lo mira el turno de día." in told.inner_text()
    assert second.input_value("#description") == "Lo mira el turno de día."
    second.click("#change + form button.main")
    first.reload()
    assert first.input_value("#description") == "Lo mira el turno de día.", "sent again, knowingly"
