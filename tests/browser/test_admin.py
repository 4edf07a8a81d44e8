"""Administration as its people meet it: a new colleague let in, a program, notices, the node looked over."""

from __future__ import annotations

from typing import Any

import pytest
from serving import sign_in
from test_console import find_barriers, overflow

pytestmark = pytest.mark.chromium

PAGES = (
    "/administration",
    "/administration/people",
    "/administration/people/new",
    "/administration/people/ana",
    "/administration/tokens",
    "/administration/tokens/new",
    "/administration/audit",
    "/administration/roles",
    "/administration/notices",
    "/administration/notices/new",
    "/administration/jobs",
    "/administration/doctor",
    "/administration/settings",
    "/administration/keys",
    "/account",
    "/notices?all",
    "/notices/settings",
)


@pytest.mark.parametrize(
    ("language", "width", "scheme", "pages"),
    [
        ("es", 360, "light", PAGES[::3]),
        pytest.param("es", 1440, "light", PAGES, marks=pytest.mark.long),
        pytest.param("en", 360, "dark", PAGES, marks=pytest.mark.long),
    ],
)
def test_a_colleague_is_let_in_and_every_page_is_open_to_everyone(
    open_page: Any, served: Any, language: str, width: int, scheme: str, pages: tuple[str, ...]
) -> None:
    page = open_page("/sign-in", language=language, width=width, scheme=scheme, signed_in=False)
    sign_in(page, "raiz")
    words = served.site.node.catalogue
    page.goto("/")
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.wait_for_url("**/administration")
    page.click(f"text={words.text(language, 'web.admin.people.name')}")
    page.wait_for_url("**/people")
    page.keyboard.press("n")
    page.wait_for_url("**/people/new")
    page.fill("#name", f"Berta {language} {width}")
    page.check("input[value=coordinator]")
    page.click("main button.main")
    assert len(page.inner_text("#password")) > 20
    page.click("main a.button")
    page.click("main details summary")
    page.click("text=" + words.text(language, "web.person.password.go"))
    assert len(page.inner_text("#password")) > 20
    page.goto("/administration/doctor")
    page.click("main button.main")
    assert words.text(language, "cli.doctor.disk") in page.inner_text("main")
    for path in (*pages, f"/administration/notices/{served.scene.way}"):
        page.goto(path)
        assert "⟦" not in page.inner_text("body")
        assert find_barriers(page) == [], path
        assert overflow(page) <= 0, f"{path} is wider than {width} px"
