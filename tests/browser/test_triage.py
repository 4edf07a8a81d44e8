"""A night's work by keyboard alone: the queue in a real browser, in Spanish."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import func, select

from detect.alerts.crowd import crowd
from istmo.detect.objects import Status
from istmo.detect.objects_triage import Deed
from istmo.detect.records.alert_history import alert_history
from istmo.detect.records.alerts import alerts
from istmo.detect.service.alerts import alert_filter
from istmo.kit.i18n import grouped
from istmo.policy.principals import Operator

pytestmark = pytest.mark.chromium

TASK = 40
DEEDS = ("e", "c 2", "s 1", "c 3", "e", "c 1", "a", "e")
"""What an analyst does to one line after the other: eight deeds, of which four need a digit."""
MEANT = {
    "e": "acknowledge",
    "a": "assign",
    "s 1": "snooze",
    "c 1": "close resolved",
    "c 2": "close false-positive",
    "c 3": "close expected",
}


@pytest.fixture(scope="module")
def night(served: Any) -> Any:
    """Forty more rules have matched once each, and one of them ten thousand times."""
    node = served.site.node
    with node.store.write() as tx:
        tx.connection.execute(alerts.update().values(status=Status.CLOSED))
    crowd(node.store, TASK, node.clock.now(), member=node.settings.member, rules=TASK, is_even=True)
    return served


def test_forty_alerts_are_triaged_by_keyboard_alone(
    open_page: Any, night: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    page = open_page("/alerts?group=none", language="es")
    times: list[float] = []
    page.on("requestfinished", lambda one: _time(one, times))
    keys = 0

    def press(*some: str) -> None:
        nonlocal keys
        for key in some:
            page.keyboard.press(key)
            keys += 1

    def rows() -> int:
        return int(page.locator("#alerts [data-row]").count())

    press("j")
    begun = time.monotonic()
    for number in range(TASK):
        deed = DEEDS[number % len(DEEDS)]
        page.evaluate("document.querySelector('#triage').dataset.old = 'yes'")
        press(*deed.split())
        page.wait_for_selector("#triage:not([data-old]) [data-row]:focus-within")
    seconds = time.monotonic() - begun
    left = night.site.node.detect.list_alerts(Operator(), alert_filter(status="open")).items
    assert {bool(one.assignee or one.snoozed_until) for one in left} == {True}, "none was passed over"
    assert rows() == DEEDS.count("a") * TASK // len(DEEDS), "what is one's own stays in the queue until done"
    with night.site.node.store.read() as connection:
        done = connection.execute(select(alert_history.c.deed, alert_history.c.after)).all()
    said = Counter(f"{deed} {after.get('reason') or ''}".strip() for deed, after in done)
    assert said == {name: DEEDS.count(keys) * TASK // len(DEEDS) for keys, name in MEANT.items()}
    times.sort()
    with capsys.disabled():
        print(
            f"\n{TASK} alerts by keyboard: {keys} keystrokes ({keys / TASK:.2f} each), {seconds:.1f} s of the"
            f" browser; {len(times)} answers, p50 {times[len(times) // 2]:.0f} ms, worst {times[-1]:.0f} ms"
        )
    assert keys <= 2 * TASK

    press("u")
    page.wait_for_selector("text=El cambio de una alerta se deshizo")


def test_lines_are_ticked_put_into_a_case_and_ten_thousand_are_one(open_page: Any, night: Any) -> None:
    node = night.site.node
    crowd(node.store, 10_000, node.clock.now(), member=node.settings.member, rules=1, seed=11)
    page = open_page("/alerts", language="es")
    line = page.locator("#alerts [data-row]", has_text="Regla ruidosa 0 ")
    assert line.count() == 1
    with node.store.read() as connection:
        subject = select(alerts.c.subject).where(alerts.c.title.startswith("Regla ruidosa 0 ")).limit(1)
        same = (alerts.c.status == Status.OPEN, alerts.c.subject == subject.scalar_subquery())
        waiting = connection.execute(select(func.count()).where(*same)).scalar_one()
    assert 8_000 < waiting < 10_000, "some of ten thousand were closed before"
    assert grouped(waiting) in line.inner_text()
    line.locator("a").first.focus()
    page.keyboard.press("c")
    page.keyboard.press("Escape")
    assert page.evaluate("!!document.activeElement.closest('[data-row]')"), "back at its row"
    page.keyboard.press("c")
    page.keyboard.press("2")
    page.wait_for_selector("text=quedaron cerradas")
    assert page.locator("#alerts [data-row]", has_text="Regla ruidosa 0 ").count() == 0
    page.keyboard.press("u")
    page.wait_for_selector("text=alertas se deshizo")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("k")
    page.keyboard.press("m")
    page.keyboard.press("1")
    page.wait_for_selector("text=en el caso")
    with node.store.read() as connection:
        (last,) = connection.execute(
            select(alert_history.c.deed).order_by(alert_history.c.row.desc()).limit(1)
        ).scalars()
    assert last == Deed.ACKNOWLEDGE


def test_the_queue_is_printed_with_its_hours_and_without_what_only_a_screen_can_do(open_page: Any) -> None:
    page = open_page("/alerts", width=718)
    page.emulate_media(media="print")
    assert page.locator("#alerts [data-row]").first.is_visible()
    assert page.locator("button:visible, .button:visible, input:visible, nav:visible").count() == 0
    hour = page.locator("#alerts time").first
    told = hour.evaluate("one => getComputedStyle(one, '::after').content")
    assert hour.get_attribute("title") in told
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0


def _time(request: Any, times: list[float]) -> None:
    if "/alerts" in request.url and request.resource_type in ("xhr", "fetch"):
        times.append(request.timing["responseStart"] - request.timing["requestStart"])
