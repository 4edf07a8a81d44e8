"""The glossary: one list of words for the console, the documents and whoever writes texts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import istmo
from istmo.kit.glossary import DOCUMENTS, PARTS, document
from istmo.kit.i18n import LANGUAGES, Catalogue

LOCALE = Path(istmo.__file__).parent / "kit" / "locale" / "es"
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


@pytest.mark.parametrize(
    ("files", "words", "instead"),
    [
        (("web_admin", "notices"), r"\btareas?\b", "trabajo: a task is a case's"),
        (("detect", "sigma"), r"\bregistro del nodo\b", "registro del servicio"),
        (("detect", "sigma"), r"huella del archivo|ninguna huella", "hash: a fingerprint is a key's"),
        (("federation",), r"\bRetirar\b", "dar de baja: what is taken back is an object"),
        (("detect", "web"), r"\b[Rr]eglas (activas|vigentes)\b|desactive las reglas", "encendida, apagada"),
    ],
)
def test_spanish_texts_keep_to_its_words(files: tuple[str, ...], words: str, instead: str) -> None:
    texts = {
        path.name: path.read_text("utf-8") for path in LOCALE.glob("*.po") if path.name.startswith(files)
    }
    said = [
        (name, line)
        for name, text in texts.items()
        for line in text.splitlines()
        if line.startswith("msgstr") and re.search(words, line)
    ]
    assert said == [], instead
