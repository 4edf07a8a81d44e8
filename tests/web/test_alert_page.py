"""The page of one alert says what an analyst must know before acting on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from scenes import Scene, fill
from web_site import Site, csrf_in, make_site

from istmo.clock import ManualClock
from istmo.intel.objects import RetractionReason
from istmo.policy.principals import Operator


@pytest.fixture
def whole(tmp_path: Path, clock: ManualClock) -> Iterator[tuple[Site, Scene]]:
    site = make_site(tmp_path, clock, rooms=None)
    yield site, fill(site.node)
    site.node.store.close()


@pytest.mark.parametrize("language", ["es", "en"])
def test_that_the_indicator_was_taken_back_stands_on_the_alert(
    whole: tuple[Site, Scene], language: str
) -> None:
    site, scene = whole

    def text(key: str) -> str:
        return site.node.catalogue.text(language, key, origin="CSIRT de prueba")

    with site.client(**{"Accept-Language": language}) as client:
        site.sign_in(client)
        assert text("console.alert.retracted") not in client.get(f"/alerts/{scene.alert}").text
        site.node.intel.retract(
            Operator(),
            scene.indicator,
            reason=RetractionReason.FALSE_POSITIVE,
            note="era nuestro <b>proxy</b>",
        )
        shown = client.get(f"/alerts/{scene.alert}").text
    assert text("console.alert.retracted") in shown
    assert text("console.retract.false-positive") in shown
    assert "era nuestro &lt;b&gt;proxy&lt;/b&gt;" in shown
    assert text("console.alert.retracted.next") in shown


def test_a_note_that_is_too_long_is_refused_and_stays_as_it_was_typed(whole: tuple[Site, Scene]) -> None:
    site, scene = whole
    note = "principio " + "x" * 6_000 + " fin"
    with site.client() as client:
        site.sign_in(client)
        csrf = csrf_in(client.get("/alerts").text)
        sent = {"csrf": csrf, "do": "close", "reason": "resolved", "note": note}
        alone = client.post(f"/alerts/{scene.alert}/work", data=sent)
        in_queue = client.post("/alerts/work", data=sent | {"pick": f"alert:{scene.alert}:1"})
    for refused in (alone, in_queue):
        assert refused.status_code == 422
        assert "La nota pasa de 2000 caracteres." in refused.text and note in refused.text
    assert site.node.detect.read_alert(Operator(), scene.alert).alert.status == "open"


def test_a_chart_stands_where_there_is_something_to_compare(whole: tuple[Site, Scene]) -> None:
    site, scene = whole
    detect = site.node.detect
    with site.client(**{"Accept-Language": "es"}) as client:
        site.sign_in(client)
        by_hours = {
            one.id: len(detect.read_alert(Operator(), one.id).hours)
            for one in detect.list_alerts(Operator()).items
        }
        assert {1} < set(by_hours.values()), "some of one hour, some of more"
        for alert, hours in by_hours.items():
            story = client.get(f"/alerts/{alert}").text.split('id="story"')[1].split("</section>")[0]
            assert ("<svg" in story) is (hours > 1)
        assert scene.alert in by_hours


def test_its_rule_is_a_link_that_says_so(
    whole: tuple[Site, Scene],
) -> None:
    site, scene = whole
    (alert, *_) = site.node.detect.alerts_about(Operator(), scene.rule)
    with site.client(**{"Accept-Language": "es"}) as client:
        site.sign_in(client)
        page = client.get(f"/alerts/{alert.id}").text
    assert f'<a href="/rules/{scene.rule}">Ver la regla</a>' in page
