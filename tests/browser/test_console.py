"""The console as people meet it: both languages, narrow and wide, with and without scripts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from reading import paths_of, reader_of
from serving import sign_in
from web_site import PASSWORD

from istmo.policy.principals import Operator
from line import Proxy

pytestmark = pytest.mark.chromium

AXE = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = """tags => axe.run({runOnly: tags, resultTypes: ["violations"]}).then(found => found.violations)"""
"""To describe all that is well, and to hand it over, takes five times as long as to look."""


def find_barriers(page: Any) -> list[str]:
    """What axe finds, one line each. From the first time on, the page loads axe with whatever it opens."""
    if not page.evaluate("'axe' in window"):
        import axe_playwright_python

        script = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
        page.add_init_script(script)
        page.evaluate(script)
    return [
        f"{one['id']}: {node['target']} {node['failureSummary'][:200]}"
        for one in page.evaluate(RUN, AXE)
        for node in one["nodes"]
    ]


def overflow(page: Any) -> int:
    """Pixels by which the page is wider than the screen."""
    wide: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wide


@pytest.mark.parametrize(
    ("language", "width", "scheme"),
    [
        ("es", 360, "light"),
        ("en", 1440, "dark"),
        pytest.param("es", 1440, "dark", marks=pytest.mark.long),
        pytest.param("en", 360, "light", marks=pytest.mark.long),
    ],
)
def test_every_page_is_open_to_everyone(
    open_page: Any, served: Any, language: str, width: int, scheme: str
) -> None:
    page = open_page("/sign-in", language=language, width=width, signed_in=False, scheme=scheme)
    assert find_barriers(page) == [] and overflow(page) <= 0
    site = served.site
    peer = next(iter(site.node.federation.members() - {site.node.ledger.member_id}))
    pages: dict[str, Any] = {}
    for path in paths_of(site.app, served.scene, peer):
        reader = reader_of(path)
        if reader not in pages:
            pages[reader] = open_page(
                "/sign-in", language=language, width=width, signed_in=False, scheme=scheme
            )
            sign_in(pages[reader], reader)
        page = pages[reader]
        page.goto(path)
        assert page.locator("html").get_attribute("lang") == language
        assert "⟦" not in page.inner_text("body"), path
        assert find_barriers(page) == [], path
        assert overflow(page) <= 0, f"{path} is wider than {width} px"


def test_a_person_signs_in_and_out(open_page: Any) -> None:
    page = open_page("/cases", signed_in=False)
    assert page.url.endswith("/sign-in?next=%2Fcases")
    page.fill("#name", "ana")
    page.fill("#password", "wrong")
    page.click("main button.main")
    assert page.input_value("#name") == "ana"
    assert page.locator("main [role=alert]").is_visible()
    page.fill("#password", PASSWORD)
    page.click("main button.main")
    assert page.url.endswith("/cases")
    page.click(".menu summary")
    page.click("text=Cerrar la sesión")
    assert "Su sesión quedó cerrada" in page.inner_text("main")


@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize(("language", "width"), [("es", 360), ("en", 1440)])
def test_an_indicator_is_published_in_three_steps(
    open_page: Any, language: str, width: int, scripts: bool
) -> None:
    page = open_page("/publish", language=language, width=width, scripts=scripts)
    value = f"evil-{language}-{scripts}.example".lower()
    page.fill("#values", f"{value.replace('.', '[.]')}\nnot a value!")
    page.click("main button.main")
    assert page.input_value("#values").startswith("evil"), "what was typed stays"
    assert page.locator("#values-wrong").is_visible()
    page.fill("#values", value.replace(".", "[.]"))
    page.fill("#name", "Prueba")
    page.click("main button.main")
    told = page.inner_text("main")
    assert "CSIRT Guatemala" in told and value in told and "TLP:AMBER" in told
    page.click("main button.main")
    assert re.search(r"/objects/indicator--", page.url)
    assert value in page.inner_text("h1")
    page.goto(f"/objects?q={value}")
    assert value in page.inner_text("#objects")


@pytest.mark.parametrize("language", ["es", "en"])
def test_an_own_object_is_taken_back_with_a_reason(open_page: Any, language: str) -> None:
    page = open_page("/publish", language=language)
    page.fill("#values", f"203.0.113.{len(language) + ord(language[0]) % 50}")
    page.click("main button.main")
    page.click("main button.main")
    page.click("details.more >> nth=1")
    page.check("input[value=false-positive]")
    page.fill("#note", "servidor propio")
    page.click("button.danger")
    text = page.inner_text("main")
    assert "servidor propio" in text
    assert page.locator(".state.bad").first.is_visible()


@pytest.mark.parametrize(("language", "width"), [("es", 1440), ("en", 360)])
def test_a_case_is_opened_worked_on_and_shared(open_page: Any, language: str, width: int) -> None:
    page = open_page("/cases/new", language=language, width=width)
    page.fill("#title", "Correo con adjunto en el ministerio")
    page.fill("main textarea", "Tres equipos afectados.")
    page.click("main button.main")
    assert "Correo con adjunto" in page.inner_text("h1")
    page.fill("#note", "Aislados <b>dos</b> equipos.")
    page.click("form:has(#note) button")
    assert "Aislados <b>dos</b> equipos." in page.inner_text("#timeline")
    page.fill("#task", "Avisar al proveedor")
    page.click("form:has(#task) button")
    page.select_option("#status", "contained")
    page.click("form:has(#status) button")
    page.click("form:has(#member) button")
    assert "CSIRT Guatemala" in page.inner_text("h1")
    page.click("main button.main")
    assert "CSIRT Guatemala" in page.inner_text("#timeline")
    assert find_barriers(page) == []


def test_keys_jump_search_and_help(open_page: Any) -> None:
    page = open_page("/cases")
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    assert find_barriers(page) == []
    page.keyboard.press("Escape")
    assert not page.locator("#keys").is_visible()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("g a ?")
    assert page.url.endswith("/cases"), "keys inside a field are only letters"
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.wait_for_url("**/objects")


def test_the_first_tab_skips_to_the_content(open_page: Any) -> None:
    page = open_page("/objects")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_a_list_that_is_open_shows_what_arrives(open_page: Any) -> None:
    watching, other = open_page("/objects"), open_page("/objects")
    page = open_page("/publish")
    page.fill("#values", "live.example")
    page.click("main button.main")
    page.click("main button.main")
    for one in (watching, other):
        one.wait_for_selector("#objects >> text=live.example")
    # A tab that nobody looks at listens no more, since a browser has few connections for all of them.
    look = "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
    look += " document.dispatchEvent(new Event('visibilitychange')); }"
    watching.evaluate(look, True)
    asked: list[str] = []
    watching.on("request", lambda one: asked.append(one.url))
    page.goto(page.url.partition("/objects")[0] + "/publish")
    page.fill("#values", "later.example")
    page.click("main button.main")
    page.click("main button.main")
    other.wait_for_selector("#objects >> text=later.example")
    assert asked == [], "the tab that is looked at has heard of it, and this one asks for nothing"
    watching.evaluate(look, False)
    watching.wait_for_selector("#objects >> text=later.example")


def test_a_notice_is_counted_in_the_head_of_whatever_page_is_open(open_page: Any, served: Any) -> None:
    node, page = served.site.node, open_page("/glossary", language="en")
    count = page.locator(".bell .tag")
    node.notices.telling.tell({})
    page.reload()
    before = int(count.inner_text()) if count.count() else 0
    node.respond.open_case(Operator(), "Un aviso que suena", severity="high")
    node.notices.telling.tell({})
    page.wait_for_selector(f".bell .tag >> text=/^{before + 1}$/")
    assert f"{before + 1} unread" in page.locator("#live-said").inner_text()
    page.click(".bell")
    page.click("main form button >> nth=0")
    assert page.locator(".bell .tag >> text=/^" + str(before + 1) + "$/").count() == 0


def test_what_changed_while_the_line_was_cut_is_shown_when_it_is_back(
    chromium: Any, open_page: Any, served: Any
) -> None:
    line = Proxy()
    line.target = ("127.0.0.1", int(served.url.rpartition(":")[2]))
    context = chromium.new_context(base_url=line.url, locale="es-GT")
    try:
        watching = context.new_page()
        sign_in(watching)
        with watching.expect_response("**/api/v1/changes"):
            watching.goto("/objects")
        line.is_down = True
        line.cut()
        page = open_page("/publish")
        page.fill("#values", "meanwhile.example")
        page.click("main button.main")
        page.click("main button.main")
        with watching.expect_response("**/api/v1/changes"):
            line.is_down = False
        watching.wait_for_selector("#objects >> text=meanwhile.example")
    finally:
        context.close()
        line.close()


def test_the_language_is_changed_where_one_is(open_page: Any) -> None:
    page = open_page("/objects?state=live", language="es")
    page.click(".menu summary")
    page.select_option("#language", "en")
    page.click(".menu form >> nth=0 >> button")
    assert page.url.endswith("/objects?state=live")
    assert page.locator("html").get_attribute("lang") == "en"
    page.click(".menu summary")
    page.select_option("#language", "es")  # it is kept with the account, which others here share
    page.click(".menu form >> nth=0 >> button")


def test_an_alert_is_acknowledged_promoted_and_closed(open_page: Any, served: Any) -> None:
    page = open_page("/alerts")
    page.click("#alerts [data-row] a[href^='/alerts/'] >> nth=0")
    page.click("main button.main")
    assert "Una alerta quedó en atención" in page.inner_text("main")
    page.click("summary:has-text('A un caso')")
    page.click("button:has-text('Caso nuevo')")
    assert "está en el caso" in page.inner_text("main")
    page.goto("/cases")
    page.click("#cases [data-row] a >> nth=0")
    page.click("#timeline a[href^='/alerts/']")
    page.click("summary:has-text('Cerrar con motivo')")
    page.fill("#note", "Visto de madrugada.")
    page.click("button[value='close:expected']")
    assert "Actividad esperada" in page.inner_text("aside")
    assert "Visto de madrugada." in page.inner_text("main")
    page.keyboard.press("u")
    page.wait_for_selector("text=El cambio de una alerta se deshizo")


@pytest.mark.parametrize(("language", "width", "scripts"), [("es", 360, True), ("en", 1440, False)])
def test_a_source_is_connected_and_its_settings_changed(
    open_page: Any, language: str, width: int, scripts: bool
) -> None:
    page = open_page("/sign-in", language=language, width=width, scripts=scripts, signed_in=False)
    page.fill("#name", "raiz")
    page.fill("#password", PASSWORD)
    page.click("main button.main")

    def is_open_to_everyone() -> bool:
        return not scripts or (find_barriers(page) == [] and overflow(page) <= 0)

    page.goto("/sources/new")
    page.click("details.more summary")
    assert is_open_to_everyone()
    page.fill("#name", f"Proxy {language}")
    page.fill("#silent_after", "un rato")
    page.click("main button.main")
    assert page.locator("#silent_after-wrong").is_visible()
    assert page.input_value("#silent_after") == "un rato", "what was typed stays"
    page.fill("#silent_after", "2h")
    page.click("main button.main")
    token = page.locator(".notice.good code").inner_text()
    assert token.startswith("istmo_src_") and token in page.locator("pre").first.inner_text()
    assert page.locator("[data-copy]").first.is_visible() == scripts
    assert is_open_to_everyone()
    page.click("main a.button")
    assert page.input_value("#silent_after") == "2h"
    assert token not in page.content()
    page.fill("#time_zone", "America/Tegucigalpa")
    page.click("#settings + form button.main")
    assert page.input_value("#time_zone") == "America/Tegucigalpa"
    assert is_open_to_everyone()


def test_without_scripts_every_page_is_readable(open_page: Any, served: Any) -> None:
    site = served.site
    peer = next(iter(site.node.federation.members() - {site.node.ledger.member_id}))
    pages = {"ana": open_page("/", scripts=False, width=360)}
    pages["raiz"] = open_page("/sign-in", scripts=False, width=360, signed_in=False)
    sign_in(pages["raiz"], "raiz")
    for path in paths_of(site.app, served.scene, peer):
        page = pages[reader_of(path)]
        page.goto(path)
        page.locator("h1").first.wait_for()  # a search goes on to its answer by itself
        assert not page.locator("[data-script] >> visible=true").count(), f"dead buttons on {path}"


@pytest.mark.parametrize(
    ("language", "width", "scripts"),
    [("es", 360, True), pytest.param("en", 1440, False, marks=pytest.mark.long)],
)
def test_a_hunt_is_saved_and_what_is_wrong_stands_beside_its_field(
    open_page: Any, language: str, width: int, scripts: bool
) -> None:
    page = open_page("/hunts", language=language, width=width, scripts=scripts)
    page.fill("#name", f"whoami {language}")
    page.fill("#text", "Image:*whoami.exe")
    page.fill("#every", "un rato")
    page.check("input[name=shared]")
    page.click("main button.main")
    assert page.locator("#every-wrong").is_visible()
    assert page.input_value("#every") == "un rato" and page.is_checked("input[name=shared]")
    assert not scripts or (find_barriers(page) == [] and overflow(page) <= 0)
    page.fill("#every", "15m")
    page.click("main button.main")
    assert f"whoami {language}" in page.inner_text("h1")
    page.click("main button.main >> nth=0")  # no worker runs here: it is said, and the hunt is still there
    assert page.locator("main [role=alert]").is_visible() and page.input_value("#every") == "15m"
    assert not scripts or (find_barriers(page) == [] and overflow(page) <= 0)
