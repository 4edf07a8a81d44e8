"""Hunting as people do it: searched, narrowed by a click, stopped, asked by SQL and by a pasted rule."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from test_console import find_barriers, overflow
from working import break_in, send, working

from istmo.detect.wire import Progress, WireRow

pytestmark = pytest.mark.chromium

RULE = """title: Orden codificada
logsource: {product: windows, category: process_creation}
detection:
  s:
    CommandLine|contains: ' -enc '
  condition: s
level: high
"""


@pytest.fixture(scope="module")
def watching(served: Any) -> Iterator[Any]:
    """The site with its worker and some events."""
    with working(served.site):
        send(served.site, break_in(served.site.clock.now()))
        yield served


def is_open_to_everyone(page: Any) -> None:
    assert find_barriers(page) == []
    assert overflow(page) <= 0


def rows(page: Any) -> int:
    number: int = page.locator("[data-put=rows] [data-row]").count()
    return number


def ended(page: Any) -> None:
    page.wait_for_selector("[data-put=end] > *")


@pytest.mark.parametrize(
    ("language", "width"), [("es", 1440), pytest.param("en", 360, marks=pytest.mark.long)]
)
def test_a_hunter_follows_a_trace_from_a_word_to_one_event(
    open_page: Any, watching: Any, language: str, width: int
) -> None:
    page = open_page("/hunt", language=language, width=width)
    # completed as one types, by keys alone
    page.focus("#q")
    page.keyboard.type("DestinationHos")
    page.wait_for_selector("#q-list li")
    page.keyboard.press("ArrowDown")
    assert page.get_attribute("#q", "aria-activedescendant") == "q-list-0"
    is_open_to_everyone(page)
    page.keyboard.press("Enter")
    assert page.input_value("#q") == "DestinationHostname:"
    page.keyboard.type("*evil*")
    page.keyboard.press("Enter")
    ended(page)
    assert rows(page) == 60 and page.url.endswith("/hunt?q=DestinationHostname%3A*evil*&from=24h")
    page.wait_for_selector("[data-put=chart] svg")
    page.wait_for_selector("[data-put=values] .bars")
    # a value leads on
    page.click("[data-put=rows] a[data-value] >> nth=0")
    page.wait_for_selector("tr.lead a")
    assert page.evaluate("!!document.activeElement.closest('tr.lead')")
    page.keyboard.press("Escape")
    assert page.locator("tr.lead").count() == 0
    page.keyboard.press("Enter")
    page.wait_for_selector("tr.lead a")
    page.keyboard.press("Enter")
    ended(page)
    assert rows(page) == 20 and "host%3A%3D" in page.url
    # a bar leads to its stretch of time
    page.wait_for_selector("[data-put=chart] svg a")
    page.locator("[data-put=chart] svg a").last.dispatch_event("click")
    page.wait_for_url("**from=2*")
    ended(page)
    assert 0 < rows(page) < 20
    # an event opens in its place
    page.click("[data-put=rows] a[data-event] >> nth=0")
    page.wait_for_selector("tr.opened .fields")
    assert "update.evil.example" in page.inner_text("tr.opened")
    page.click("[data-put=rows] a[data-value] >> nth=0")
    page.wait_for_selector("tr.lead a")
    is_open_to_everyone(page)


def test_a_search_is_stopped_and_keeps_what_it_found(
    open_page: Any, watching: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    called_off, over = threading.Event(), threading.Event()

    def endless(*_: Any) -> Iterator[Any]:
        try:
            yield WireRow("1-7", 1_772_442_000_000_000, 0, "s", "CAJA-1", b'{"Image":"x"}')
            while not over.wait(0.02):
                yield Progress(1, 4)
        finally:
            called_off.set()

    monkeypatch.setattr(watching.site.node.link.ask, "search_telling", endless)
    page = open_page("/hunt?q=powershell&from=24h")
    page.wait_for_selector("[data-row]")
    assert page.evaluate("document.querySelector('progress').value") == 25
    page.keyboard.press("s")
    page.wait_for_selector("text=Detenida")
    assert called_off.wait(5), "nobody looks on for whoever has left"
    over.set()
    assert rows(page) == 1 and not page.locator("[data-stop]").is_visible()
    is_open_to_everyone(page)


def test_an_error_of_the_language_is_shown_at_its_place(open_page: Any, watching: Any) -> None:
    page = open_page("/hunt?q=host:x+(Image:y", width=360)
    assert page.input_value("#q") == "host:x (Image:y" and page.inner_text(".place mark") == "("
    is_open_to_everyone(page)


def test_a_pasted_rule_says_what_is_wrong_at_its_line_and_finds_once_it_is_right(
    open_page: Any, watching: Any
) -> None:
    page = open_page("/hunt/rules", width=360)
    page.fill("#text", RULE.replace("contains", "contians"))
    page.click("main button.main")
    page.wait_for_selector(".bad-line")
    assert "contians" in page.inner_text(".bad-line") and rows(page) == 0
    is_open_to_everyone(page)
    page.fill("#text", RULE)
    page.click("main button.main")
    ended(page)
    assert rows(page) == 6 and "Orden codificada" in page.inner_text("[data-put=sums]")
    assert page.locator(".bad-line").count() == 0


def test_a_statement_gives_its_rows(open_page: Any, watching: Any) -> None:
    page = open_page("/hunt/sql", width=360)
    page.fill("#sql", "SELECT host, count(*) AS n FROM events WHERE EventID = '3' GROUP BY host")
    page.click("main button.main")
    ended(page)
    assert page.locator("[data-put=rows] tr").count() == 3 and "20" in page.inner_text("[data-put=rows]")
    is_open_to_everyone(page)


def test_of_a_statement_that_cannot_be_run_nothing_is_offered_to_take_away(
    open_page: Any, watching: Any
) -> None:
    page = open_page("/hunt/sql?from=24h&sql=SELECT+FROM+events+WHERE")
    page.wait_for_selector("[data-put=end] [role=alert]")
    assert "«syntax error" in page.inner_text("[data-put=end]")
    assert page.text_content("[data-said]") == "La búsqueda no se pudo hacer."
    assert not page.locator("text=Descargar CSV").is_visible()


def test_beside_each_other_a_file_and_its_order_can_be_read_to_their_ends(
    open_page: Any, watching: Any
) -> None:
    page = open_page("/hunt?q=powershell&from=24h&columns=EventID,Image,CommandLine,User")
    ended(page)
    cut = "one => one.scrollHeight > one.clientHeight + 1"
    paths = page.locator("[data-put=rows] a[data-value]", has_text="powershell.exe")
    assert paths.count() == 66 and not paths.evaluate_all(f"all => all.some({cut})")
    assert page.locator("[data-put=rows] a.from >> nth=0").inner_text() == "Equipos de la sede"


def test_without_scripts_one_searches_opens_narrows_and_goes_on(open_page: Any, watching: Any) -> None:
    page = open_page("/hunt", scripts=False, width=360)
    page.fill("#q", "EventID:1")
    page.click("main button.main")
    assert rows(page) == 100 and page.locator("[data-put=chart] svg").is_visible()
    assert not page.locator("[data-script] >> visible=true").count(), "no dead buttons"
    page.goto("/hunt?q=EventID:1&from=24h")
    page.wait_for_url("**whole=on")
    page.click("a[rel=next]")
    assert rows(page) == 80
    page.click("[data-put=rows] a[data-event] >> nth=0")
    page.click(".fields a[data-value] >> nth=0")
    page.click(".leads a >> nth=0")
    assert "host%3A%3D" in page.url
