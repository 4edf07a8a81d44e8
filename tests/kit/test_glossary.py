"""The glossary: one list of words for the console, the documents and whoever writes texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from istmo.kit.glossary import DOCUMENTS, PARTS, document
from istmo.kit.i18n import LANGUAGES, Catalogue

DOCS = Path(__file__).parents[2] / "docs"
TERMS = [id for _, terms in PARTS for id in terms]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_document_says_what_the_console_says(language: str) -> None:
    kept = (DOCS / DOCUMENTS[language]).read_text("utf-8")
    assert kept == document(Catalogue(strict=True), language), "write it anew: python -m istmo.kit.glossary"


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_term_is_told_in_one_to_three_sentences(language: str) -> None:
    catalogue = Catalogue(strict=True)
    assert len(set(TERMS)) == len(TERMS)
    for id in TERMS:
        means = catalogue.text(language, f"glossary.means.{id}")
        assert means.endswith(".") and 1 <= means.count(". ") + 1 <= 3, id
        assert len(means) <= 240, id


def test_no_term_of_the_catalogue_is_left_out() -> None:
    kept = {key.split(".")[2] for key in Catalogue().keys("es") if key.startswith("glossary.term.")}
    assert kept == set(TERMS)
