"""Literals of regular expressions, and of letters in any case."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from istmo.detect.sigma.engine import scanners
from istmo.detect.sigma.engine.framing import _TO_ASCII
from istmo.detect.sigma.engine.literals import required_literals
from istmo.detect.sigma.engine.scanners import HyperscanScanner, PlainScanner, spellings
from istmo.detect.sigma.expressions import check_expression, search
from istmo.detect.sigma.problems import Refused
from istmo.detect.sigma.texts import fold, fold_character
from istmo.detect.sigma.values import Expression


@pytest.mark.parametrize(
    ("pattern", "literals"),
    [
        ("abc", [{"abc"}]),
        ("AbC", [{"abc"}]),
        ("a.c", [{"a"}, {"c"}]),
        ("ab(c|de)f", [{"ab"}, {"c", "de"}, {"f"}]),
        ("ab?c", [{"a"}, {"c"}]),
        ("(abc)+x", [{"abc"}, {"x"}]),
        ("(abc)*x", [{"x"}]),
        ("x[ab]y", [{"xay", "xby"}]),
        ("x[^a]y", [{"x"}, {"y"}]),
        (r"\bfoo\d+bar$", [{"foo"}, {"bar"}]),
        (".*", []),
        ("(a|)", []),
        ("[[:alpha:]]x", []),
        (r"\Qa.b\E", []),
        ("a{,3}", []),
        (r"a\\Cb", [{"a\\cb"}]),
        (r"a\\\Cb", []),
    ],
)
def test_what_every_match_of_an_expression_holds(pattern: str, literals: list[set[str]]) -> None:
    assert [set(one) for one in required_literals(Expression(pattern))] == literals


_PIECES = [
    "a",
    "k",
    "S",
    "é",
    ".",
    "b+",
    "c?",
    "(d|ef)",
    "[gh]",
    "(?:ij)*",
    "^",
    "$",
    "\\d",
    "x{2}",
    "(?i)",
    "|",
    " ",
]


@given(
    st.lists(st.sampled_from(_PIECES), min_size=1, max_size=6).map("".join),
    st.text("akKs\u017f\u212aSéÉbcdefghijx0 \n", max_size=12),
    st.sampled_from(["", "i", "s", "im"]),
)
@settings(max_examples=600, deadline=None)
def test_for_all_texts_in_which_an_expression_is_found_one_of_each_set_is(
    pattern: str, text: str, flags: str
) -> None:
    expression = Expression(pattern, flags)
    try:
        check_expression(expression)
    except Refused:
        return
    if search([expression])(text):
        for literals in required_literals(expression):
            assert any(literal in fold(text) for literal in literals), (pattern, literals, text)


def test_no_other_letter_folds_to_an_ascii_one() -> None:
    found = {chr(code) for code in range(0x80, 0x110000) if fold_character(chr(code)).isascii()}
    assert found == set(_TO_ASCII)
    assert all(fold_character(one) == plain for one, plain in _TO_ASCII.items())


def test_for_all_letters_every_spelling_is_known() -> None:
    for code in range(0x80, 0x110000):
        character = chr(code)
        folded = fold_character(character)
        if folded != character and not folded.isascii():
            assert character.encode("utf-8", "surrogatepass") in spellings(folded), hex(code)


@given(
    st.lists(
        st.text("abkKéÉσςΣ\x02\x03.\\", min_size=1, max_size=4).map(fold), min_size=1, max_size=6, unique=True
    ),
    st.text("abkAéÉσςΣ\x02\x03.\\", max_size=40),
)
@settings(max_examples=500, deadline=None)
def test_for_all_literals_and_texts_both_scanners_find_the_same(literals: list[str], text: str) -> None:
    data = text.encode()
    found = [sorted(set(make(literals).scan(data))) for make in (HyperscanScanner, PlainScanner)]
    assert found[0] == found[1]


def test_a_literal_with_too_many_spellings_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanners, "_MOST_SPELLINGS", 10)
    assert set(spellings("σσσσ")) == {(a + b).encode() for a in "σςΣ" for b in "σςΣ"}
