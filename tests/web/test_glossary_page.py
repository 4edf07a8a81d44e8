"""The glossary page: open to everybody, with an address for each word."""

from __future__ import annotations

import pytest
from web_site import Site


@pytest.mark.parametrize(
    ("language", "word", "other"), [("es", "avistamiento", "sighting"), ("en", "sighting", "avistamiento")]
)
def test_a_word_has_its_own_address_and_the_other_language_beside_it(
    real_site: Site, language: str, word: str, other: str
) -> None:
    client = real_site.client(**{"Accept-Language": language})
    page = client.get("/glossary").text
    assert f'id="term-sighting"><a href="#term-sighting"><strong>{word}' in page
    assert f">{other}</span>" in page
    told = client.get("/api/v1/glossary", headers={"Accept-Language": language}).json()["items"]
    found = next(one for one in told if one["id"] == "sighting")
    assert (found["term"], found["other"], found["part"]) == (word, other, "shared")


def test_every_page_leads_to_it(real_site: Site) -> None:
    assert '<a href="/glossary">' in real_site.client().get("/sign-in").text
