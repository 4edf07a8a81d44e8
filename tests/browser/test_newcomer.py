"""Somebody who knows nothing: connects a source, lets a colleague in, publishes, sees who has it.

Two real nodes of a region, each with its worker. After the first address everything is found by following
the links and buttons that the pages show, and each is called what it is called there.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from serving import LANGUAGES

from istmo.cli.demo.region import RunningNode, join_region, make_node, running
from istmo.kit.i18n import Catalogue

pytestmark = pytest.mark.chromium


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A nation's node with nothing in it but a neighbour in its region."""
    folder = tmp_path_factory.mktemp("region")
    nodes = [
        make_node(folder / "hn", "CSIRT Honduras", "HN"),
        make_node(folder / "gt", "CSIRT Guatemala", "GT"),
    ]
    with running(nodes):
        join_region(nodes, "Centroamérica")
        yield nodes[0]


def sign_in(page: Any, name: str, password: str) -> None:
    page.fill("#name", name)
    page.fill("#password", password)
    page.click("main button.main")


def send_as_told(command: str) -> int:
    """What the copied command does: its events, token and address; how many the node has taken."""
    said = shlex.split(command.replace("\\\n", " "))
    body = said[1].replace("\\n", "\n")
    name, _, value = said[said.index("-H") + 1].partition(": ")
    answer = httpx.post(said[-1], content=body, headers={name: value}, trust_env=False, timeout=30)
    answer.raise_for_status()
    return int(answer.json()["accepted"])


@pytest.mark.parametrize(
    ("language", "width"), [("es", 360), pytest.param("en", 1440, marks=pytest.mark.long)]
)
def test_a_newcomer_does_the_first_three_things_by_what_the_pages_say(
    chromium: Any, node: RunningNode, language: str, width: int
) -> None:
    words = Catalogue(strict=True)

    def text(key: str) -> str:
        return words.text(language, key)

    context = chromium.new_context(viewport={"width": width, "height": 900}, locale=LANGUAGES[language])
    page = context.new_page()
    page.set_default_timeout(20_000)

    def follow(key: str) -> None:
        page.get_by_role("link", name=text(key)).first.click()

    def press(key: str, **given: Any) -> None:
        page.get_by_role("button", name=words.text(language, key, **given)).first.click()

    page.goto(node.url)
    sign_in(page, node.administrator, node.password)

    # a source is connected, and its first event is seen to come
    follow("kit.nav.sources")
    follow("console.source.connect")
    page.get_by_label(text("console.source.name"), exact=True).fill(f"Proxy {language}")
    press("console.source.make")
    assert text("console.sourcework.first.waiting") in page.inner_text("#first")
    assert send_as_told(page.locator("pre code").first.inner_text()) == 1
    page.locator("#first").get_by_text(text("console.sourcework.first.came")).wait_for()

    # whoever administers a node publishes nothing: a colleague is let in
    follow("kit.nav.administration")
    follow("web.admin.people.name")
    follow("web.person.new")
    page.get_by_label(text("identity.column.name"), exact=True).fill(f"Berta {language}")
    page.locator("label", has_text=text("web.role.why.analyst")).click()
    press("web.person.make")
    password = page.inner_text("#password")
    page.locator(".menu summary").click()
    press("kit.sign_out")

    # the colleague publishes, and sees that the neighbour has it
    sign_in(page, f"Berta {language}", password)
    page.get_by_label(text("web.account.password.old"), exact=True).fill(password)
    page.get_by_label(text("web.account.password.new"), exact=True).fill("tres tucanes verdes 58")
    press("web.account.password.go")
    follow("kit.nav.publish")
    page.get_by_label(text("console.publish.values"), exact=True).fill(
        f"hxxps://nuevo-{language}[.]example/x"
    )
    press("console.publish.preview")
    assert "CSIRT Guatemala" in page.inner_text("main")
    press("console.publish.confirm", n=1)
    has = page.locator("#has tr", has_text="CSIRT Guatemala")
    has.get_by_text(text("console.recipients.yes")).wait_for()
    assert f"https://nuevo-{language}.example/x" in page.inner_text("main")
    context.close()
