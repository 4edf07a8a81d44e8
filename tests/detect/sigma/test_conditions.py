"""Conditions, against Python's own reading of the same words."""

from __future__ import annotations

import fnmatch
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.sigma.conditions import (
    And,
    Condition,
    Name,
    Not,
    Or,
    is_selected,
    parse_condition,
    parse_conditions,
)
from istmo.detect.sigma.limits import RuleLimits
from istmo.detect.sigma.problems import Refused

from .asking import tell

NAMES = ["selection", "filter_main_a", "filter_main_b", "notepad", "order", "android", "allowed", "_hidden"]


def truth(condition: Condition, values: dict[str, bool]) -> bool:
    if isinstance(condition, Name):
        return values[condition.name]
    if isinstance(condition, Not):
        return not truth(condition.of, values)
    link = all if isinstance(condition, And) else any
    return link(truth(one, values) for one in condition.of)


def expressions() -> st.SearchStrategy[str]:
    leaf = st.sampled_from(NAMES)
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.builds("not {}".format, st.one_of(leaf, st.builds("({})".format, inner))),
            st.builds("{} and {}".format, inner, inner),
            st.builds("{} or {}".format, inner, inner),
            st.builds("({})".format, inner),
        ),
        max_leaves=12,
    )


@given(expressions(), st.lists(st.booleans(), min_size=len(NAMES), max_size=len(NAMES)))
def test_not_binds_before_and_before_or(text: str, booleans: list[bool]) -> None:
    values = dict(zip(NAMES, booleans, strict=True))
    assert truth(parse_condition(text, NAMES), values) is eval(text, {}, dict(values))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("notepad", Name("notepad")),
        ("NOT selection", Not(Name("selection"))),
        ("not not selection", Name("selection")),
        ("1 of filter_main_*", Or((Name("filter_main_a"), Name("filter_main_b")))),
        ("all of filter_*", And((Name("filter_main_a"), Name("filter_main_b")))),
        ("any of filter_main_a", Name("filter_main_a")),
        (
            "selection and not 1 of filter_main_*",
            And((Name("selection"), Not(Or((Name("filter_main_a"), Name("filter_main_b")))))),
        ),
        ("(selection)and(order)", And((Name("selection"), Name("order")))),
        ("1 of _*", Name("_hidden")),
    ],
)
def test_the_forms_of_the_specification_are_read(text: str, expected: Condition) -> None:
    assert parse_condition(text, NAMES) == expected


def test_them_leaves_out_what_begins_with_an_underscore() -> None:
    found = parse_condition("1 of them", NAMES)
    assert isinstance(found, Or)
    assert {one.name for one in found.of if isinstance(one, Name)} == set(NAMES) - {"_hidden"}


def test_words_of_the_language_may_be_names_where_they_are_no_operator() -> None:
    names = ["all", "1", "any", "them"]
    assert parse_condition("all and 1 or any", names) == Or((And((Name("all"), Name("1"))), Name("any")))
    assert parse_condition("1 of them", names) == Or(tuple(map(Name, names)))


@given(st.text("ab_", max_size=6), st.text("ab_*", min_size=1, max_size=6))
def test_patterns_select_names_as_stars_do(name: str, pattern: str) -> None:
    expected = fnmatch.fnmatchcase(name, pattern) and (pattern.startswith("_") or not name.startswith("_"))
    assert is_selected(name, pattern) is expected


@pytest.mark.parametrize(
    ("text", "code", "params"),
    [
        ("", "condition_empty", {}),
        ("selection and", "condition_unexpected", {"token": ""}),
        ("selection order", "condition_unexpected", {"token": "order"}),
        ("(selection", "condition_unexpected", {"token": ""}),
        ("selection)", "condition_unexpected", {"token": ")"}),
        ("and selection", "condition_unexpected", {"token": "and"}),
        ("missing", "unknown_identifier", {"name": "missing"}),
        ("1 of missing_*", "nothing_selected", {"pattern": "missing_*"}),
        ("2 of filter_*", "quantity", {"quantity": "2"}),
        ("selection | count() by User > 3", "aggregation", {}),
        ("(" * 40 + "selection" + ")" * 40, "condition_too_deep", {"limit": 32}),
        ("selection or " * 2000 + "selection", "condition_too_long", {}),
    ],
)
def test_what_is_no_condition_is_refused_with_the_reason(
    text: str, code: str, params: dict[str, Any]
) -> None:
    with pytest.raises(Refused) as refused:
        parse_condition(text, NAMES)
    assert refused.value.code == code
    assert params.items() <= refused.value.params.items()
    tell([refused.value.problem("rules.yml")])


def test_an_aggregation_of_sigma_1_is_told_as_not_served() -> None:
    with pytest.raises(Refused) as refused:
        parse_condition("selection | near filter_main_a", NAMES)
    assert refused.value.is_not_served


def test_thousands_of_nots_do_not_exhaust_the_stack() -> None:
    assert parse_condition("not " * 2001 + "order", NAMES) == Not(Name("order"))


def test_what_selectors_come_to_is_bounded_over_all_conditions_of_a_rule() -> None:
    names = [f"s{number}" for number in range(300)]
    limits = RuleLimits(operands=1_000)
    assert len(parse_conditions(["1 of s*"] * 3, names, limits)) == 3
    with pytest.raises(Refused) as refused:
        parse_conditions(["1 of s*"] * 4, names, limits)
    assert refused.value.code == "too_many_operands"
    with pytest.raises(Refused) as refused:
        parse_conditions([" and ".join(["s1"] * 1_001)], names, limits)
    assert refused.value.code == "too_many_operands"
