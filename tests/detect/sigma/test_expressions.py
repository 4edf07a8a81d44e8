"""Regular expressions asked together are each asked, and none runs on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.sigma import expressions
from istmo.detect.sigma.expressions import check_expression, search
from istmo.detect.sigma.problems import Refused
from istmo.detect.sigma.values import Expression, parse_text
from istmo.detect.sigma.wildcards import holds_any_of, wildcards_test

PATTERNS = st.sampled_from(
    [
        "a",
        "^b",
        "b$",
        "a|c",
        "(?i)A",
        r"\Qa.b",
        r"\Qb\E$",
        "[^a]$",
        "(?s)a.c",
        "a.c",
        "c{2}",
        "(a)(b)",
        "(?:)",
    ]
)


@given(
    st.lists(st.builds(Expression, PATTERNS, st.sampled_from(["", "i", "s", "m"])), min_size=1),
    st.text("abcAB.\n"),
)
def test_for_all_expressions_together_they_find_what_each_finds(
    expressions: list[Expression], text: str
) -> None:
    assert search(expressions)(text) is any(search([one])(text) for one in expressions)


@pytest.mark.parametrize("pattern", ["a)(b", "(a", "a)|(b", "[a"])
def test_an_expression_that_is_whole_only_beside_others_is_refused(pattern: str) -> None:
    with pytest.raises(Refused):
        check_expression(Expression(pattern))


def test_expressions_that_are_too_large_together_are_asked_one_by_one() -> None:
    found = search([Expression(f"{number}[éax]{{1000}}y") for number in range(200)])
    assert found("199" + "x" * 1000 + "y")
    assert not found("199" + "x" * 999 + "y")


@pytest.mark.parametrize(
    ("text", "holds", "does_fit"),
    [("x" * 200 + "cd", True, False), ("abc" + "x" * 200, True, True), ("x" * 200, False, False)],
)
def test_a_text_that_would_take_too_long_is_asked_one_by_one(
    monkeypatch: pytest.MonkeyPatch, text: str, holds: bool, does_fit: bool
) -> None:
    monkeypatch.setattr(expressions, "STEPS", 100)
    found = holds_any_of(["ab", "cd"])
    fits = wildcards_test([parse_text("a?c*"), parse_text("*d?f")])
    assert found(text) is holds
    assert fits(text) is does_fit


def test_literals_that_are_too_large_together_are_looked_for_one_by_one() -> None:
    found = holds_any_of([f"{number:06}" * 500 for number in range(500)])
    assert found("x" + "000499" * 500)
    assert not found("x" + "000499" * 499)


@given(
    st.lists(st.text("aé\ud800\x00.|\\", min_size=1, max_size=3), min_size=1),
    st.text("aé\ud800\x00.|\\", max_size=9),
)
def test_for_all_literals_together_they_are_found_where_each_is(literals: list[str], text: str) -> None:
    assert holds_any_of(literals)(text) is any(one in text for one in literals)
