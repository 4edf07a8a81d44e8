"""Keys on each main page: jumps, the search, and a help that lists what the page itself has."""

from __future__ import annotations

from typing import Any

import pytest
from serving import sign_in

from istmo.kit.pages import NAVIGATION

pytestmark = pytest.mark.chromium


def test_each_place_is_jumped_to_searched_from_and_lists_its_keys(open_page: Any, served: Any) -> None:
    page = open_page("/sign-in", language="es", signed_in=False)
    sign_in(page, "rosa")
    page.wait_for_url(f"{served.url}/")
    listed: dict[str, set[str]] = {}
    for path, jump in [*((one.path, one.jump) for one in NAVIGATION), ("/notices", "n")]:
        with page.expect_navigation():
            page.keyboard.press("g")
            page.keyboard.press(jump)
        assert page.url == f"{served.url}{path}"
        page.keyboard.press("Escape")  # where a page begins in its own search
        page.keyboard.press("?")
        page.locator("#keys").wait_for()
        told = set(page.locator("#keys [data-own-keys] kbd").all_inner_texts())
        has = page.evaluate("[...document.querySelectorAll('main [data-key]')].map((one) => one.dataset.key)")
        names = page.locator("#keys [data-own-keys] dd").all_inner_texts()
        digits = sorted(one for one in has if one.isdigit())
        assert told == {one for one in has if not one.isdigit()} | {*digits[:1], *digits[-1:]}, path
        assert all(name.strip() for name in names), path
        listed[path] = told
        page.keyboard.press("Escape")
        page.locator("#keys").wait_for(state="hidden")
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "search", path
        page.keyboard.press("Escape")
    assert {"e", "a", "s", "c", "m", "x"} <= listed["/alerts"]
    assert "n" in listed["/cases"]
