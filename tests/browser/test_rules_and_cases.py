"""Rules tuned, sources connected and a case worked on by two at once, as people do it in a browser."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from web_site import PASSWORD

from istmo.detect.objects_source import Sent
from istmo.detect.records import sources
from istmo.policy.principals import Operator

pytestmark = pytest.mark.chromium


def enter(open_page: Any, name: str, path: str, **how: Any) -> Any:
    page = open_page("/sign-in", signed_in=False, **how)
    page.fill("#name", name)
    page.fill("#password", PASSWORD)
    page.click("main button.main")
    page.goto(path)
    return page


def test_two_people_at_one_case_lose_nothing(open_page: Any, served: Any) -> None:
    at = f"/cases/{served.scene.case}"
    ana, rosa = open_page(at, language="es"), enter(open_page, "rosa", at, language="es")
    ana.keyboard.press("n")
    ana.keyboard.type("Empecé a llamar a los tres equipos")
    rosa.keyboard.press("t")
    rosa.keyboard.type("Pedir los registros del correo")
    rosa.keyboard.press("Enter")
    rosa.select_option("#status", "working")
    rosa.click("form[action$='/state'] button")
    ana.locator("#timeline").get_by_text("Pedir los registros del correo").wait_for()
    assert ana.input_value("#note").startswith("Empecé a llamar"), "what came live left what is being written"
    ana.click("form:has(#note) button")
    assert "Empecé a llamar" in ana.inner_text("#timeline")
    seen = rosa.locator("form[action$='/state'] input[name=version]").get_attribute("value")
    ana.select_option("#severity", "critical")
    ana.click("form[action$='/state'] button")
    rosa.select_option("#status", "closed")
    assert rosa.locator("form[action$='/state'] input[name=version]").get_attribute("value") == seen
    rosa.click("form[action$='/state'] button")
    told = rosa.locator("main [role=alert]").inner_text()
    assert "ana" in told and "Crítico" in told
    assert rosa.input_value("#status") == "closed", "what she chose is kept"
    rosa.select_option("#severity", "critical")
    rosa.click("form[action$='/state'] button")
    found = served.site.node.respond.read(Operator(), served.scene.case)
    assert (found.status.value, found.severity.value) == ("closed", "critical")
    rosa.wait_for_load_state()
    rosa.keyboard.press("u")
    rosa.get_by_text("El caso volvió a como estaba").wait_for()
    assert served.site.node.respond.read(Operator(), served.scene.case).status.value == "working"


@pytest.mark.parametrize("scripts", [True, pytest.param(False, marks=pytest.mark.long)])
def test_a_noisy_rule_is_tuned_from_one_of_its_matches(open_page: Any, served: Any, scripts: bool) -> None:
    page = open_page("/rules?hits=yes", language="es", width=360 if scripts else 1440, scripts=scripts)
    page.click("tbody th a")
    page.wait_for_load_state()
    if scripts:
        page.keyboard.press("x")
        page.wait_for_url("**/exception")
    else:
        page.click("text=Hacer una excepción")
    page.click("aside a:has-text('Image')")
    assert page.input_value("#field") == "Image"
    page.fill("#name", f"Servicio conocido {scripts}")
    page.fill("#reason", "Lo instaló el proveedor")
    page.click("button[value=try]")
    assert page.locator("#wrong").is_visible(), "no worker is there to try it, which is said"
    page.click("button[value=keep]")
    assert f"Servicio conocido {scripts}" in page.inner_text("ul.tight")
    page.click("[role=status] button")
    assert page.locator(f"ul.tight:has-text('Servicio conocido {scripts}')").count() == 0


def test_a_source_is_connected_and_its_first_event_is_seen_to_come(open_page: Any, served: Any) -> None:
    page = enter(open_page, "raiz", "/sources", language="es")
    page.keyboard.press("n")
    page.wait_for_url("**/sources/new")
    page.fill("#name", "Proxy de la sede")
    page.click("main button.main")
    assert "Esperando el primer evento" in page.inner_text("#first")
    node = served.site.node
    source = next(one for one in node.detect.sources(Operator()) if one.name == "Proxy de la sede")
    with node.store.write() as tx:
        now = node.clock.now() - timedelta(seconds=1)
        sources.count_events(tx.connection, [Sent(source.id, 1, 0, now)])
    page.locator("#first").get_by_text("Llegó el primer evento").wait_for()


WHOLE = """() => [...document.querySelectorAll(".filters select")]
  .filter((one) => one.offsetWidth).every((one) => {
  const alone = one.cloneNode(true);
  alone.style.cssText = "position: absolute; width: auto; min-width: 0; max-width: none";
  one.after(alone);
  const wanted = alone.offsetWidth;
  alone.remove();
  return one.offsetWidth >= Math.min(wanted, 288);
})"""


@pytest.mark.parametrize(
    "path", ["/alerts?group=none&detector=sigma", "/objects?tlp=amber", "/rules?level=critical"]
)
def test_what_a_filter_is_set_to_is_read_whole_and_its_two_buttons_stand_together(
    open_page: Any, served: Any, path: str
) -> None:
    page = open_page(path)
    assert page.evaluate(WHOLE)
    go, clear = page.locator(".filters > button"), page.locator(".filters > a.button")
    assert go.bounding_box()["y"] == clear.bounding_box()["y"]
