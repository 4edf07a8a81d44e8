"""What does not work is said on the page it happened on, and is never done to something else."""

from __future__ import annotations

from typing import Any

import pytest
from web_site import PASSWORD

from detect.alerts.crowd import crowd
from istmo.detect.records.alerts import alerts
from istmo.detect.service.alerts import alert_filter
from istmo.policy.principals import Operator

pytestmark = pytest.mark.chromium

QUEUE = "/alerts?group=none"
ROWS = "#alerts [data-row]"
SOON = 15_000


@pytest.fixture
def night(served: Any) -> Any:
    """Six alerts of as many rules."""
    node = served.site.node
    with node.store.write() as tx:
        tx.connection.execute(alerts.delete())
    crowd(node.store, 6, node.clock.now(), member=node.settings.member, rules=6, is_even=True)
    return served


def end_sessions(served: Any) -> None:
    identity = served.site.node.identity
    ana = next(one.person for one in identity.accounts(Operator()) if one.name == "ana")
    identity.end_sessions(ana)


def closed(served: Any) -> list[str]:
    found = served.site.node.detect.list_alerts(Operator(), alert_filter(status="closed"))
    return [one.id for one in found.items]


def says(page: Any, text: str) -> None:
    page.wait_for_selector(f"#failed >> text={text}", timeout=SOON)


def test_after_a_failed_request_the_next_key_works_on_the_row_that_is_marked(
    open_page: Any, night: Any
) -> None:
    page = open_page(QUEUE, refused="/alerts/work")
    first, second = (
        one.get_attribute("href").rpartition("/")[2] for one in page.locator(f"{ROWS} a.value").all()[:2]
    )
    page.route("**/alerts/work", lambda route: route.abort())
    page.keyboard.press("j")
    page.keyboard.press("e")
    says(page, "No se pudo llegar al nodo")
    page.unroute("**/alerts/work")
    page.keyboard.press("j")
    page.keyboard.press("c")
    page.keyboard.press("1")
    page.wait_for_selector(f'a[href="/alerts/{second}"]', state="detached", timeout=SOON)
    assert closed(night) == [second] and page.locator(f'a[href="/alerts/{first}"]').count()
    assert page.locator("#failed").is_hidden()


def test_whose_session_has_ended_is_told_so_at_the_first_key_and_led_back(open_page: Any, night: Any) -> None:
    page = open_page(QUEUE, refused="/alerts/work")
    end_sessions(night)
    page.keyboard.press("j")
    page.keyboard.press("e")
    says(page, "Su sesión terminó")
    page.click("#failed a")
    page.fill("#name", "ana")
    page.fill("#password", PASSWORD)
    page.click("main button.main")
    assert page.url.endswith(QUEUE)


@pytest.mark.parametrize("scripts", [True, False])
def test_what_was_typed_when_the_session_ended_stands_in_the_answer(
    open_page: Any, served: Any, scripts: bool
) -> None:
    page = open_page("/cases/new", scripts=scripts)
    end_sessions(served)
    page.fill("#title", "Correos falsos en la aduana")
    page.click("main form button.main")
    assert "Correos falsos en la aduana" in page.inner_text("main")
    page.click("main a.main")
    page.fill("#name", "ana")
    page.fill("#password", PASSWORD)
    page.click("main button.main")
    assert page.url.endswith("/cases")


def test_a_button_that_is_pressed_twice_sends_once(open_page: Any, served: Any) -> None:
    page = open_page("/cases/new")
    page.fill("#title", "Una vez nada más")
    swallowed = page.evaluate(
        """() => {
          const seen = [], button = document.querySelector("main form button.main");
          addEventListener("submit", (event) => seen.push(event.defaultPrevented));
          button.click();
          button.click();
          return seen;
        }"""
    )
    assert swallowed == [False, True]
    page.wait_for_url("**/cases/x-istmo-case--*", timeout=SOON)
    page.go_back()
    page.fill("#title", "Otra")
    page.click("main form button.main")
    page.wait_for_url("**/cases/x-istmo-case--*", timeout=SOON)


def test_a_page_that_hears_of_no_more_changes_says_so_and_goes_on_trying(open_page: Any, served: Any) -> None:
    page = open_page("/glossary")
    page.clock.install()
    page.route("**/api/v1/changes", lambda route: route.fulfill(status=503))
    page.goto("/objects")
    says(page, "no se actualiza sola")
    page.unroute("**/api/v1/changes")
    with page.expect_response("**/api/v1/changes", timeout=SOON):
        page.clock.fast_forward(60_000)
    page.wait_for_selector("#failed", state="hidden", timeout=SOON)
