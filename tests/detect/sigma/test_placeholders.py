"""Value lists for placeholders."""

from __future__ import annotations

import pytest

from istmo.detect.sigma import Evaluator, RuleFile, RuleLimits, load_rules, read_placeholders

from .asking import ANY, rules, tell

RULE = "selection:\n    Host|expand: '%Servers%.gob.gt'\n"


def read(text: str, **limits: int) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    found, problems = read_placeholders([RuleFile("lists.yml", text.encode())], RuleLimits(**limits))
    tell(problems)
    assert all(problem.file == "lists.yml" and problem.line for problem in problems)
    return found, [problem.code for problem in problems]


def test_lists_fill_the_placeholders_of_rules() -> None:
    lists, problems = read("Servers: [dc1, 'dc*', 7]\nOne: only\n")
    assert (lists, problems) == ({"Servers": ("dc1", "dc*", "7"), "One": ("only",)}, [])
    text = "title: t\nid: t\nlogsource: {category: test}\ndetection:\n    selection:\n"
    text += "        Host|expand: '%Servers%.gob.gt'\n    condition: selection\n"
    evaluator = Evaluator(load_rules(text.encode(), placeholders=lists))
    for host, is_matched in [
        ("DC1.gob.gt", True),
        ("dc9.gob.gt", True),
        ("7.gob.gt", True),
        ("x.gob.gt", False),
    ]:
        assert bool(evaluator.match({"Host": host}, ANY)) is is_matched


def test_a_rule_with_a_placeholder_that_nobody_filled_is_refused() -> None:
    (problem,) = rules(RULE).problems
    assert (problem.code, problem.params["placeholder"]) == ("unknown_placeholder", "%Servers%")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("- a\n", "not_value_lists"),
        ("a b: [c]\nGood: [d]\n", "placeholder_name"),
        ("A: []\nGood: [d]\n", "placeholder_values"),
        ("A: [[b]]\nGood: [d]\n", "placeholder_values"),
        ("A: {b: c}\nGood: [d]\n", "placeholder_values"),
        ("A: [null]\nGood: [d]\n", "placeholder_values"),
        ("Good: [d]\n---\nGood: [e]\n", "placeholder_twice"),
        ("A: [b\n", "yaml_open"),
        ("Good: [d]\nA: [b, c, d, e]\n", "placeholder_too_long"),
        ("Good: [d]\nA: [" + 20 * "b" + "]\n", "placeholder_value_long"),
        ("Good: [d]\nA: [b]\nB: [c]\nC: [c]\n", "too_many_placeholders"),
    ],
)
def test_a_list_that_cannot_be_used_is_told_and_costs_no_other(text: str, code: str) -> None:
    lists, problems = read(text, values=3, placeholder_characters=10, placeholders=3)
    assert problems == [code]
    if "Good" in text:
        assert lists["Good"] == ("d",)
