"""Texts by language and key, plurals, gaps that are seen, and which language to speak."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.errors import NotFound
from istmo.kit.i18n import Catalogue, MissingTextError, negotiate

HEAD = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for language, hello, one, many in (
        ("es", "Hola, {name}", "un aviso", "{n} avisos"),
        ("en", "Hello, {name}", "one alert", "{n} alerts"),
    ):
        (tmp_path / language).mkdir()
        (tmp_path / language / "demo.po").write_text(
            HEAD
            + f'\nmsgid "demo.hello"\nmsgstr ""\n"{hello}"\n'
            + f'\nmsgid "demo.alerts"\nmsgid_plural "demo.alerts"\nmsgstr[0] "{one}"\nmsgstr[1] "{many}"\n'
            + '\nmsgid "error.demo.gone"\nmsgstr "gone {what}"\n'
            + '\nmsgid "error.demo.gone.remedy"\nmsgstr "look \\"there\\""\n',
            "utf-8",
        )
    return tmp_path


def test_fills_placeholders_and_chooses_the_plural(folder: Path) -> None:
    catalogue = Catalogue(folder)
    assert catalogue.text("es", "demo.hello", name="Ana") == "Hola, Ana"
    assert [catalogue.text("en", "demo.alerts", n=n) for n in (0, 1, 2)] == [
        "0 alerts",
        "one alert",
        "2 alerts",
    ]


def test_a_placeholder_in_a_value_is_not_filled_again(folder: Path) -> None:
    assert Catalogue(folder).text("en", "demo.hello", name="{name}{n}") == "Hello, {name}{n}"


def test_a_gap_is_shown_and_in_strict_mode_raised(folder: Path) -> None:
    assert Catalogue(folder).text("es", "demo.nothing") == "⟦demo.nothing⟧"
    assert Catalogue(folder).text("es", "demo.hello") == "Hola, {name}"
    with pytest.raises(MissingTextError):
        Catalogue(folder, strict=True).text("es", "demo.nothing")
    with pytest.raises(MissingTextError):
        Catalogue(folder, strict=True).text("es", "demo.hello")


def test_an_error_is_told_with_its_remedy(folder: Path) -> None:
    told = Catalogue(folder).error("en", NotFound("demo.gone", what="it"))
    assert (told.message, told.remedy) == ("gone it", 'look "there"')


@pytest.mark.parametrize(
    ("preferred", "accept", "spoken"),
    [
        (None, None, "es"),
        (None, "en-GB,en;q=0.9,es;q=0.8", "en"),
        (None, "fr, es-SV;q=0.4, en;q=0.3", "es"),
        (None, "en;q=0", "es"),
        (None, ";;;q=,,x" * 1000, "es"),
        ("en", "es", "en"),
        ("tlh", "en", "en"),
    ],
)
def test_the_language_is_the_askers_else_the_browsers_else_the_nodes(
    preferred: str | None, accept: str | None, spoken: str
) -> None:
    assert negotiate(preferred, accept, ("es", "en")) == spoken


@given(st.text(max_size=80), st.text(max_size=200))
def test_whatever_the_headers_say_a_known_language_is_spoken(preferred: str, accept: str) -> None:
    assert negotiate(preferred, accept, ("es", "en")) in ("es", "en")


def test_an_outline_leaves_open_what_is_not_known(folder: Path) -> None:
    catalogue = Catalogue(folder, strict=True)
    assert catalogue.outline("en", "error.demo.gone") == "gone …"
    assert catalogue.outline("en", "demo.hello", name="Ana") == "Hello, Ana"
