"""Text with wildcards and escapes, against the specification's table and a naive translation."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.sigma.texts import fold, fold_character
from istmo.detect.sigma.values import Wildcard, parse_text
from istmo.detect.sigma.wildcards import any_text_test, text_test

MANY, ONE = Wildcard.MANY, Wildcard.ONE


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        ("", ()),
        (r"C:\Windows", (r"C:\Windows",)),
        (r"C:\\Windows", (r"C:\Windows",)),
        (r"\*", ("*",)),
        (r"\?", ("?",)),
        (r"\\*", ("\\", MANY)),
        (r"\\?", ("\\", ONE)),
        (r"\\\*", (r"\*",)),
        (r"\\\\", (r"\\",)),
        (r"\\\\*", (r"\\", MANY)),
        (r"\\\\\*\\IPC$", (r"\\*\IPC$",)),
        (r"C:\*\x", (r"C:*\x",)),
        ("prog?.exe", ("prog", ONE, ".exe")),
        ("a**b", ("a", MANY, "b")),
        ("a*?*b", ("a", MANY, ONE, MANY, "b")),
        ("ends\\", ("ends\\",)),
        (r"\d\w", (r"\d\w",)),
    ],
)
def test_backslashes_escape_wildcards_and_themselves_alone(written: str, parts: tuple[object, ...]) -> None:
    assert parse_text(written) == parts


def test_three_or_four_backslashes_are_two() -> None:
    assert parse_text("\\" * 3) == parse_text("\\" * 4) == ("\\" * 2,)


def naive(written: str) -> re.Pattern[str]:
    """The pattern as a regular expression, one alternative of the specification's table at a time."""
    out, rest = "", written
    while rest:
        for literal, meant in ((r"\\", r"\\"), (r"\*", r"\*"), (r"\?", r"\?"), ("*", ".*"), ("?", ".")):
            if rest.startswith(literal):
                out, rest = out + meant, rest[len(literal) :]
                break
        else:
            out, rest = out + re.escape(rest[0]), rest[1:]
    return re.compile(out, re.DOTALL)


ALPHABET = st.text("ab\\*?\n", max_size=8)


@given(written=ALPHABET, text=st.text("ab\\*?\n", max_size=10))
def test_matching_is_what_the_naive_regular_expression_says(written: str, text: str) -> None:
    expected = naive(written).fullmatch(text) is not None
    assert text_test(parse_text(written))(text) is expected
    assert any_text_test([parse_text(written)])(text) is expected


@given(written=st.lists(ALPHABET, min_size=1, max_size=5), text=st.text("ab\\*?\n", max_size=10))
def test_alternatives_asked_at_once_are_each_asked(written: list[str], text: str) -> None:
    expected = any(naive(one).fullmatch(text) for one in written)
    assert any_text_test([parse_text(one) for one in written])(text) is expected


@given(
    written=st.lists(st.text("aé\ud800*?.|\n", max_size=6), min_size=1, max_size=3),
    text=st.text("aé\ud800.|\n", max_size=8),
)
def test_for_all_letters_they_are_each_asked(written: list[str], text: str) -> None:
    alternatives = [parse_text(one) for one in written]
    assert any_text_test(alternatives)(text) is any(text_test(one)(text) for one in alternatives)


def test_many_stars_cost_no_more_than_the_text_is_long() -> None:
    holds = text_test(parse_text("*a" * 200 + "b"))
    assert holds("a" * 20_000) is False


@given(st.text(max_size=30))
def test_folding_keeps_the_length_and_is_stable(text: str) -> None:
    assert len(fold(text)) == len(text)
    assert fold(fold(text)) == fold(text)


@given(st.text(max_size=30), st.text(max_size=5))
def test_folding_depends_on_no_neighbour(text: str, more: str) -> None:
    assert fold(text + more) == fold(text) + fold(more)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("K", "\u212a", True),  # KELVIN SIGN
        ("s", "\u017f", True),  # LATIN SMALL LETTER LONG S
        ("σ", "ς", True),
        ("Σ", "ς", True),
        ("ß", "\u1e9e", True),  # LATIN CAPITAL LETTER SHARP S
        ("ß", "ss", False),
        ("İ", "i", False),
        ("ı", "i", False),
        ("I", "i", True),
        ("É", "é", True),
        ("é", "e\u0301", False),
        ("Ж", "ж", True),
        ("ﬁ", "fi", False),
    ],
)
def test_case_is_folded_character_by_character(one: str, other: str, is_same: bool) -> None:
    assert (fold(one) == fold(other)) is is_same


def test_for_all_characters_a_text_folds_as_its_characters_do() -> None:
    """Lower case is the quick way; where it is not the folding, it must not be taken."""
    for code in range(0x110000):
        character = chr(code)
        for text in (character, f"a{character}", f"{character}a", f"É{character}"):
            assert fold(text) == "".join(map(fold_character, text)), hex(code)
