"""Spanish and English are equals: every text exists in both, is used, and fits its placeholders."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.pofile import read_po as babel_read_po
from catalogue_scan import Asked, scan

from istmo.cli.main import COMMANDS
from istmo.kit.i18n import LANGUAGES, LOCALE, Catalogue, placeholders
from istmo.kit.po import read_po

FILES = sorted(LOCALE.glob("*/*.po"))


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue()


@pytest.fixture(scope="module")
def asked() -> Asked:
    return scan()


@pytest.mark.parametrize("path", FILES, ids=[f"{one.parent.name}/{one.name}" for one in FILES])
def test_our_reader_agrees_with_babels(path: Path) -> None:
    with path.open("rb") as file:
        theirs = babel_read_po(file, abort_invalid=True)
    expected = {}
    for message in theirs:
        if message.id:
            key = message.id[0] if isinstance(message.id, (tuple, list)) else message.id
            texts = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
            expected[key] = tuple(texts)
    found = read_po(path)
    assert {one.key: one.texts for one in found} == expected
    assert len(found) == len(expected), "a key stands twice in the file"
    assert theirs.locale_identifier == path.parent.name
    assert theirs.num_plurals == 2


def test_no_key_stands_in_two_files() -> None:
    for language in LANGUAGES:
        seen: dict[str, str] = {}
        for path in sorted((LOCALE / language).glob("*.po")):
            for message in read_po(path):
                assert message.key not in seen, f"{message.key}: {path.name} and {seen[message.key]}"
                seen[message.key] = path.name


def test_both_languages_have_the_same_keys(catalogue: Catalogue) -> None:
    spanish, english = (catalogue.keys(language) for language in LANGUAGES)
    assert sorted(spanish - english) == [], "only in Spanish"
    assert sorted(english - spanish) == [], "only in English"


def test_every_entry_is_translated() -> None:
    empty = [
        f"{path.parent.name}/{path.name}: {one.key}"
        for path in FILES
        for one in read_po(path)
        if not all(one.texts)
    ]
    assert empty == []


def test_placeholders_are_equal_in_both_languages(catalogue: Catalogue) -> None:
    for key in sorted(catalogue.keys("es") & catalogue.keys("en")):
        spanish, english = catalogue.entry("es", key), catalogue.entry("en", key)
        assert len(spanish) == len(english), key
        for one, other in zip(spanish, english, strict=True):
            # the text for exactly one may leave the number out
            assert placeholders(one) - {"n"} == placeholders(other) - {"n"}, key
        assert placeholders(spanish[-1]) == placeholders(english[-1]), key
        if key.startswith("click."):
            continue  # click's own sentences, with its own way to fill them
        for text in (*spanish, *english):
            assert not re.search(r"[{}]", re.sub(r"\{[a-z_][a-z0-9_]*\}", "", text)), f"{key}: stray brace"


def test_equal_texts_are_on_the_allow_list(catalogue: Catalogue) -> None:
    lines = (Path(__file__).parent / "same_in_both.txt").read_text("utf-8").splitlines()
    allowed = {line.strip() for line in lines if line.strip() and not line.startswith("#")}
    both = catalogue.keys("es") & catalogue.keys("en")
    same = {
        key
        for key in both
        if catalogue.entry("es", key) == catalogue.entry("en", key)
        and re.search(r"[^\W\d]", re.sub(r"\{[a-z_0-9]*\}", "", catalogue.entry("es", key)[0]))
    }
    assert sorted(same - allowed) == [], "equal in both languages and not on the allow-list"
    assert sorted(allowed - same) == [], "on the allow-list without need"


def test_every_key_that_is_asked_for_exists(catalogue: Catalogue, asked: Asked) -> None:
    known = catalogue.keys("es")
    gone = [f"{key} ({place})" for key, place in sorted(asked.keys.items()) if key not in known]
    assert gone == []


def test_the_list_of_commands_has_its_words(catalogue: Catalogue) -> None:
    known = catalogue.keys("es")
    assert [key for _, key in COMMANDS.values() if key not in known] == []


def test_every_error_has_its_message_and_its_remedy(catalogue: Catalogue, asked: Asked) -> None:
    known = catalogue.keys("es")
    gone = [
        f"{key} ({place})"
        for code, place in sorted(asked.codes.items())
        for key in (f"error.{code}", f"error.{code}.remedy")
        if key not in known
    ]
    assert gone == []


def test_every_reason_of_a_decision_has_its_words(catalogue: Catalogue, asked: Asked) -> None:
    known = catalogue.keys("es")
    gone = [
        f"policy.{code} ({place})"
        for code, place in sorted(asked.reasons.items())
        if f"policy.{code}" not in known
    ]
    assert gone == []


def test_every_key_that_is_defined_is_used(catalogue: Catalogue, asked: Asked) -> None:
    ours = [key for key in sorted(catalogue.keys("es")) if not key.startswith("click.")]
    idle = [key for key in ours if not asked.uses(key)]
    assert idle == []
