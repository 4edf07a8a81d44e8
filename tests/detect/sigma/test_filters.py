"""Filters: joined to the rules that they concern, wherever they stand."""

from __future__ import annotations

from typing import Any

import pytest

from istmo.detect.sigma import Evaluator, Logsource, RuleFile, RuleSet, collect_rules

from .asking import tell

RULE = """title: Rule {0}
id: {0}
name: name_{0}
logsource: {{category: process_creation, product: {1}}}
detection: {{selection: {{Image|endswith: '\\{0}.exe'}}, condition: selection}}
"""
RULES = "---\n".join([RULE.format("a", "windows"), RULE.format("b", "windows"), RULE.format("c", "linux")])


def a_filter(rules: str, condition: str = "not selection", **more: str) -> str:
    extra = "".join(f"    {name}: {value}\n" for name, value in more.items())
    selection = "" if "selection" in more else "    selection: {User|startswith: adm_}\n"
    return (
        "title: Administrators\nid: f1\nlogsource: {category: process_creation, product: windows}\n"
        f"filter:\n    rules: {rules}\n{selection}{extra}    condition: {condition}\n"
    )


def read(*texts: str) -> RuleSet:
    found = collect_rules([RuleFile(f"{at}.yml", text.encode()) for at, text in enumerate(texts)])
    tell(found.problems)
    return found


def matched(rules: RuleSet, event: dict[str, Any], product: str = "windows") -> list[str]:
    source = Logsource("process_creation", product)
    return [match.rule_id for match in Evaluator(rules).match(event, source)]


@pytest.mark.parametrize("rules", ["[a]", "[name_a]", "a", "[A]"])
def test_a_filter_takes_matches_from_the_rule_that_it_names_by_id_or_name(rules: str) -> None:
    found = read(RULES, a_filter(rules))
    assert not found.problems
    assert found.applied == {"a": ("f1",)}
    assert matched(found, {"Image": "\\a.exe", "User": "adm_x"}) == []
    assert matched(found, {"Image": "\\a.exe", "User": "ana"}) == ["a"]
    assert matched(found, {"Image": "\\b.exe", "User": "adm_x"}) == ["b"]


@pytest.mark.parametrize("rules", ["any", "Any", "[]"])
def test_a_filter_for_any_rule_concerns_those_of_its_log_source(rules: str) -> None:
    found = read(RULES, a_filter(rules))
    assert not found.problems
    assert found.applied == {"a": ("f1",), "b": ("f1",)}
    assert matched(found, {"Image": "\\c.exe", "User": "adm_x"}, "linux") == ["c"]


def test_a_filter_is_found_before_and_after_its_rules_and_in_other_files() -> None:
    whole = a_filter("[a, b]")
    sets = [
        read(RULES, whole),
        read(whole, RULES),
        read(f"{whole}---\n{RULES}"),
        read(f"{RULES}---\n{whole}"),
    ]
    assert sets[0].rules != read(RULES).rules
    assert [rule.digest for rule in sets[0].rules] == [rule.digest for rule in sets[1].rules]
    assert all(one.applied == {"a": ("f1",), "b": ("f1",)} for one in sets)


def test_the_digest_of_a_rule_changes_with_its_filter_and_only_then() -> None:
    bare, filtered = read(RULES), read(RULES, a_filter("[a]"))
    other = read(RULES, a_filter("[a]").replace("adm_", "admin_"))
    digests = [[rule.digest for rule in one.rules] for one in (bare, filtered, other)]
    assert len({one[0] for one in digests}) == 3
    assert len({one[1] for one in digests}) == 1


def test_search_identifiers_of_rule_and_filters_stay_apart() -> None:
    first, second = a_filter("[a]"), a_filter("[a]").replace("id: f1", "id: f2").replace("adm_", "svc_")
    found = read(RULES, first, second)
    assert found.applied == {"a": ("f1", "f2")}
    for user, expected in [("adm_x", []), ("svc_x", []), ("ana", ["a"])]:
        assert matched(found, {"Image": "\\a.exe", "User": user}) == expected


def test_a_filter_has_conditions_like_a_rule() -> None:
    whole = a_filter("[a]", "not 1 of known_*", known_user="{User: ana}", known_host="{Host: h1}")
    found = read(RULES, whole)
    assert matched(found, {"Image": "\\a.exe", "Host": "h1"}) == []
    assert matched(found, {"Image": "\\a.exe", "Host": "h2"}) == ["a"]


def test_a_filter_that_reaches_some_of_its_rules_is_applied_to_those_and_the_rest_is_told() -> None:
    found = read(RULES, a_filter("[a, nobody, c]"))
    assert found.applied == {"a": ("f1",)}
    assert [(one.code, one.file, one.line) for one in found.problems] == [
        ("filter_unknown_rule", "1.yml", 5),
        ("filter_other_logsource", "1.yml", 5),
    ]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (a_filter("[nobody]"), ["filter_unknown_rule", "filter_without_rules"]),
        (a_filter("any").replace("windows", "macos"), ["filter_without_rules"]),
        (a_filter("any", "selection"), ["filter_without_not"]),
        (a_filter("[1]"), ["references"]),
        (a_filter("any").replace("    rules: any\n", ""), ["references"]),
        (a_filter("any", "not nobody"), ["unknown_identifier"]),
        (a_filter("any", "[]"), ["condition_not_text"]),
        (a_filter("any", selection="[]"), ["search_empty"]),
        (a_filter("any").replace("logsource", "source"), ["no_logsource"]),
        (a_filter("any").replace("title", "name"), ["no_title"]),
        (a_filter("[k]"), ["filter_on_correlation", "filter_without_rules"]),
    ],
)
def test_a_filter_that_cannot_be_used_is_told(text: str, codes: list[str]) -> None:
    over = "title: K\nid: k\ncorrelation: {type: temporal, rules: [a, b], timespan: 1m}\n"
    found = read(RULES, over, text)
    assert [one.code for one in found.problems] == codes
    assert all(one.file == "2.yml" and one.line for one in found.problems)
    assert [rule.digest for rule in found.rules] == [rule.digest for rule in read(RULES).rules]
