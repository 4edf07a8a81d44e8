"""Exceptions: a person's words become a Sigma filter that leaves out exactly what was said."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.exceptions import (
    OPERATORS,
    Unusable,
    checked,
    literal,
    read_filter,
    said,
    side_by_side,
    write_filter,
)
from istmo.detect.objects import Rule
from istmo.detect.objects_rule import Exempted
from istmo.detect.sigma import Evaluator, Logsource, RuleFile, collect_rules
from istmo.errors import InvalidInput

TEXT = """title: Shell
id: 5f5d0b8a-5a41-4f39-8d1e-1f5b6b9c0a11
name: shell
logsource: {product: windows, category: process_creation}
detection:
  s: {Image|endswith: sh}
  condition: s
"""
WINDOWS = Logsource("process_creation", "windows")
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def a_rule(text: str = TEXT, id: str = "5f5d0b8a-5a41-4f39-8d1e-1f5b6b9c0a11") -> Rule:
    return Rule(
        1, id, "Shell", "high", "", "", "", "windows, process_creation", (), text, "", True, None, "",
        NOW, NOW, "",
    )  # fmt: skip


def an_exception(operator: str, *values: str, field: str = "User") -> Exempted:
    return Exempted("Respaldo", field, operator, values, "Corre cada noche")


def matched(text: str, event: dict[str, str]) -> list[str]:
    found = collect_rules([RuleFile("a.yml", text.encode("utf-8", "surrogatepass"))])
    assert found.problems == ()
    return [one.rule_id for one in Evaluator(found).match({"Image": "sh", **event}, WINDOWS)]


@given(value=st.text(min_size=1, max_size=40), other=st.text(max_size=40))
def test_a_value_leaves_out_itself_and_no_other(value: str, other: str) -> None:
    try:
        exception = checked(an_exception("equals", value))
    except InvalidInput:
        return
    try:
        read_filter(write_filter(a_rule(), exception))
    except Unusable:
        return  # a value that no document can hold is refused in words
    text = f"{TEXT}\n---\n{write_filter(a_rule(), exception)}"
    (kept,) = exception.values
    assert matched(text, {"User": kept}) == []
    if (
        other.casefold() != kept.casefold()
        and other.lower() != kept.lower()
        and other.upper() != kept.upper()
    ):
        assert matched(text, {"User": other}) == [a_rule().id]


@pytest.mark.parametrize(
    ("operator", "value", "away", "stays"),
    [
        ("contains", "a*b", "xa*bx", "xaab"),
        ("startswith", "C:\\*\\", "C:\\*\\x", "C:\\y\\x"),
        ("endswith", "?.exe", "x?.exe", "x1.exe"),
        ("cidr", "10.0.0.0/8", "10.1.2.3", "192.0.2.1"),
        ("re", "^svc_[0-9]+$", "svc_12", "svc_x"),
        ("equals", "NT AUTHORITY\\SYSTEM", "nt authority\\system", "NT AUTHORITY\\\\SYSTEM"),
    ],
)
def test_each_comparison_means_what_it_says(operator: str, value: str, away: str, stays: str) -> None:
    text = f"{TEXT}\n---\n{write_filter(a_rule(), an_exception(operator, value))}"
    assert matched(text, {"User": away}) == []
    assert matched(text, {"User": stays}) == [a_rule().id]


def test_any_of_several_values_is_enough_and_other_rules_are_not_concerned() -> None:
    other = TEXT.replace("0a11", "0a12").replace("name: shell\n", "")
    text = "\n---\n".join([TEXT, other, write_filter(a_rule(), an_exception("equals", "ana", "eva"))])
    assert matched(text, {"User": "eva"}) == [a_rule().id.replace("0a11", "0a12")]


@pytest.mark.parametrize("text", [TEXT, "# a rule\n" + TEXT.replace("id: 5f5d", "id:   5f5d")])
def test_a_rule_stands_beside_itself_with_the_exception(text: str) -> None:
    before = dataclasses.replace(
        a_rule(
            write_filter(a_rule(), an_exception("equals", "root"), id="11111111-1111-4111-8111-111111111111")
        ),
        kind="filter",
    )
    both, twin = side_by_side(a_rule(text), [before], an_exception("equals", "ana"))
    assert matched(both, {"User": "ana"}) == [a_rule().id]
    assert sorted(matched(both, {"User": "eva"})) == sorted([a_rule().id, twin])
    assert matched(both, {"User": "root"}) == [], "what is left out already is left out of both"


def test_a_rule_without_an_id_has_a_twin_too() -> None:
    both, twin = side_by_side(a_rule(TEXT.replace("id: ", "related_to: ")), [], an_exception("equals", "ana"))
    assert twin in matched(both, {"User": "eva"}) and twin not in matched(both, {"User": "ana"})


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"name": " "}, "detect.exception_name"),
        ({"field": "Image|re"}, "detect.exception_field"),
        ({"operator": "near"}, "detect.exception_operator"),
        ({"values": ("", " ")}, "detect.exception_values"),
        ({"values": ("x" * 1001,)}, "detect.exception_values"),
        ({"reason": ""}, "detect.exception_reason"),
    ],
)
def test_what_is_missing_is_said(changed: dict[str, object], code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked(dataclasses.replace(an_exception("equals", "x"), **changed))  # type: ignore[arg-type]
    assert refused.value.code == code


@pytest.mark.parametrize(("operator", "value"), [("re", "(unclosed"), ("cidr", "no network")])
def test_what_sigma_does_not_allow_is_told_with_its_reason(operator: str, value: str) -> None:
    with pytest.raises(Unusable) as refused:
        read_filter(write_filter(a_rule(), an_exception(operator, value)))
    assert refused.value.problem.key


def test_nothing_of_a_literal_is_a_wildcard() -> None:
    assert literal("a\\*?") == "a\\\\\\*\\?"


@given(values=st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=4), field=st.text(max_size=8))
def test_what_a_person_said_can_be_told_again(values: list[str], field: str) -> None:
    for operator in OPERATORS:
        try:
            given = checked(an_exception(operator, *values, field=field))
        except InvalidInput:
            return
        text = write_filter(a_rule(), given)
        try:
            read_filter(text)
        except Unusable:
            continue
        assert said(text) == given


def test_of_a_filter_that_others_wrote_nothing_is_claimed() -> None:
    filters = write_filter(a_rule(), an_exception("equals", "x"))
    for text in (
        TEXT,
        "",
        "filter: [",
        filters.replace("not harmless", "harmless"),
        filters.replace("harmless:", "others:"),
        filters.replace('"User": ["x"]', '"User|all|contains": ["x"]'),
        filters.replace('"User": ["x"]', '"User": x'),
        filters.replace('["x"]', '["x"]\n    Image: y'),
    ):
        assert said(text) is None, text
