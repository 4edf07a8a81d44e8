"""One rule set out of the node's documents: what is in force, what is not and why."""

from __future__ import annotations

from istmo.detect.normalise import NormalEvent
from istmo.detect.sigma import Logsource
from istmo.detect.wire import WireRule
from istmo.detect.worker.rule_table import RuleTable

RULE = """
title: Rule {n}
id: 11111111-1111-4111-8111-00000000000{n}
name: r{n}
logsource: {{category: test, product: windows}}
detection:
  selection: {{User{how}: '{value}'}}
  condition: selection
"""
FILTER = """
title: Known
id: 33333333-3333-4333-8333-333333333333
logsource: {product: windows}
filter: {rules: any, selection: {User: backup}, condition: not selection}
"""
MANY = """
title: Many
id: 22222222-2222-4222-8222-222222222222
correlation: {type: event_count, rules: [r1], timespan: 5m, condition: {gte: 4}}
"""


def rule(n: int, value: str = "x", how: str = "") -> WireRule:
    return WireRule(f"k{n}", RULE.format(n=n, value=value, how=how))


def reasons(table: RuleTable) -> dict[str, object]:
    return {one.subject: one.params["reason"] for one in table.in_force.problems}


def test_problems_are_told_as_they_are_now_and_go_away() -> None:
    table = RuleTable()
    table.put([WireRule("many", MANY), WireRule("bad", "title: ["), WireRule("filter", FILTER)], reset=True)
    assert reasons(table) == {
        "many": "unknown_reference",
        "bad": "yaml_open",
        "filter": "filter_without_rules",
    }
    table.put([rule(1)])
    assert reasons(table) == {"bad": "yaml_open"}
    assert len(table.in_force) == 2
    table.drop(["bad", "k1"])
    assert reasons(table) == {"many": "unknown_reference", "filter": "filter_without_rules"}
    table.drop(["many", "filter"])
    assert table.in_force.problems == ()


def test_a_correlation_that_is_off_keeps_its_parts_silent_and_tells_no_problem() -> None:
    table = RuleTable()
    table.put([rule(1), WireRule("many", MANY, is_enabled=False)])
    assert table.in_force.ruleset.correlations == ()
    assert table.in_force.ruleset.silent == {rule_id(1)}
    above = MANY.replace("2222-4222", "2222-4223").replace("[r1]", "[22222222-2222-4222-8222-222222222222]")
    table.put([WireRule("above", above)])
    assert reasons(table) == {"above": "unknown_reference"}


def test_a_list_that_changes_changes_the_rules_that_ask_for_it_and_no_others() -> None:
    """The digest too: what was compiled for the old values is not taken for the new ones."""
    table = RuleTable()
    table.put([rule(1), rule(2, "%Admins%", "|expand")])
    assert reasons(table) == {"k2": "unknown_placeholder"}
    table.put([], lists={"Admins": ["ana"]})
    assert reasons(table) == {}
    before = table.in_force.ruleset.by_id
    table.put([], lists={"Admins": ["ana", "beto"], "Other": ["c"]})
    after = table.in_force.ruleset.by_id
    assert after[rule_id(1)] is before[rule_id(1)]
    assert after[rule_id(2)].digest != before[rule_id(2)].digest
    table.put([], lists={})
    assert reasons(table) == {"k2": "unknown_placeholder"}


def test_a_filtered_rule_is_not_compiled_again_for_a_change_of_another() -> None:
    table = RuleTable()
    table.put([rule(1), WireRule("filter", FILTER)])
    before = table.in_force.ruleset.by_id[rule_id(1)]
    table.put([rule(2)])
    assert table.in_force.ruleset.by_id[rule_id(1)] is before
    table.put([WireRule("filter", FILTER.replace("backup", "backup2"))])
    assert table.in_force.ruleset.by_id[rule_id(1)] is not before


def rule_id(n: int) -> str:
    return f"11111111-1111-4111-8111-00000000000{n}"


def test_what_was_in_force_goes_on_while_the_new_is_made() -> None:
    table = RuleTable()
    table.put([rule(1), rule(2)])
    before = table.in_force
    asked = [NormalEvent({"User": user}, (Logsource("test", "windows"),)) for user in "xy"]
    assert [place for place, _ in before.engine.find(asked)] == [0, 0]
    table.put([rule(1, "y")])
    assert set(table.in_force.engine._classes) == set(before.engine._classes), "no event waits for a class"
    assert [(place, one.id) for place, one in table.in_force.engine.find(asked)] == [
        (0, rule_id(2)),
        (1, rule_id(1)),
    ]
    assert [place for place, _ in before.engine.find(asked)] == [0, 0]
