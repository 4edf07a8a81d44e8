"""Objects in a real browser: from the list to one object, publishing a list and a file."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from test_console import find_barriers, overflow

from istmo.model.ids import new_id
from istmo.model.markings import Tlp
from istmo.policy.principals import Operator

pytestmark = pytest.mark.chromium


def look(page: Any) -> None:
    """Nobody is kept out, and nothing is wider than the screen."""
    assert find_barriers(page) == []
    assert overflow(page) == 0


def a_file(name: str) -> dict[str, Any]:
    at = "2026-03-02T08:00:00.000Z"
    dated = {"spec_version": "2.1", "created": at, "modified": at}
    objects = [
        {**dated, "type": "malware", "id": new_id("malware"), "name": f"{name} sale", "is_family": False},
        {**dated, "type": "malware", "id": new_id("malware"), "name": f"{name} queda", "is_family": False},
        {**dated, "type": "malware", "id": new_id("malware"), "name": "Rota", "is_family": "sí"},
    ]
    body = json.dumps({"type": "bundle", "id": new_id("bundle"), "objects": objects})
    return {"name": "paquete.json", "mimeType": "application/json", "buffer": body.encode()}


@pytest.mark.parametrize(
    ("language", "width"), [("es", 360), pytest.param("en", 1440, marks=pytest.mark.long)]
)
def test_from_the_list_to_an_object_to_publishing_a_list_and_a_file(
    open_page: Any, served: Any, language: str, width: int
) -> None:
    page = open_page("/objects?type=indicator&sort=name", language=language, width=width)
    page.click("#objects tbody tr >> nth=0 >> a")
    assert page.locator("#near, #seen").count() == 2
    value = f"lista-{language}.example"
    page.goto("/publish")
    page.fill("#values", f"lista-{language}[.]example\nhxxp://{value}/x # nota\nesto-no")
    page.wait_for_selector("#checked tbody tr >> nth=2")
    assert page.locator("#checked .state.bad").count() == 1
    look(page)
    page.fill("#values", f"lista-{language}[.]example")
    page.click("main button.main")
    page.wait_for_selector("#past .notice")
    look(page)
    page.click("button[formaction='/publish/edit']")
    assert page.input_value("#values") == f"lista-{language}[.]example"
    page.click("main button.main")
    page.click("main button.main")
    assert re.search(r"/objects/indicator--", page.url) and value in page.inner_text("h1")
    page.goto("/publish/file")
    page.set_input_files("#file", [a_file(language)])
    page.click("main button.main")
    look(page)
    assert "$.is_family" in page.inner_text("main")
    page.uncheck(f"label:has-text('{language} queda') input")
    page.click("main button.main")
    page.goto(f"/objects?q={language}+sale")
    assert page.locator("#objects tbody tr").count() == 1
    page.goto(f"/objects?q={language}+queda")
    assert page.locator("#objects tbody tr").count() == 0


def test_a_list_is_published_without_scripts_with_what_it_would_have_found(open_page: Any) -> None:
    page = open_page("/publish", width=360, scripts=False)
    page.fill("#values", "sin-guiones[.]example\nno-es")
    page.click("main button.main")
    assert page.locator("#checked .state.bad").count() == 1, (
        "what was checked stands in the form that returns"
    )
    page.fill("#values", "sin-guiones[.]example")
    page.click("main button.main")
    page.click("button[name=again]")
    assert page.locator("#past .notice").is_visible()
    page.click("main button.main")
    assert "sin-guiones.example" in page.inner_text("h1")


@pytest.mark.long
def test_two_versions_are_compared_by_keyboard(open_page: Any, served: Any) -> None:
    intel = served.site.node.intel
    stix = json.loads(intel.raw(Operator(), served.scene.indicator))
    stix |= {"modified": "2031-03-02T08:00:00.000Z", "description": "otra"}
    intel.publish(Operator(), json.dumps(stix).encode(), audience=["region"], tlp=Tlp.AMBER)
    page = open_page(f"/objects/{served.scene.indicator}", width=360)
    page.keyboard.press("v")
    page.wait_for_url(re.compile("/compare"))
    assert "$.description" in page.inner_text("main")
    look(page)
