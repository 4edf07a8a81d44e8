"""Correlation rules as they are written: what is read, and what is refused with which line."""

from __future__ import annotations

import pytest

from istmo.detect.sigma import RuleFile, RuleLimits, RuleSet, collect_rules, load_rules

from .correlated import RULE, SECOND, base_rules, correlation, loaded, problems, refusal

SPECIFICATION = """title: Correlation - Multiple Failed Logins Followed by Successful Login
id: b180ead8-d58f-40b2-ae54-c8940995b9b6
status: experimental
correlation:
    type: temporal_ordered
    rules:
        - multiple_failed_login
        - successful_login
    group-by:
        - User
    timespan: 10m
falsepositives:
    - Unlikely
level: high
---
title: Multiple failed logons
id: a8418a5a-5fc4-46b5-b23b-6c73beb19d41
name: multiple_failed_login
correlation:
    type: event_count
    rules:
        - failed_login
    group-by:
        - User
    timespan: 10m
    condition:
        gte: 10
---
title: Single failed login
id: 53ba33fd-3a50-4468-a5ef-c583635cfa92
name: failed_login
logsource: {product: windows, service: security}
detection: {selection: {EventID: [529, 4625]}, condition: selection}
---
title: Successful login
id: 4d0a2c83-c62c-4ed4-b475-c7e23a9269b8
name: successful_login
logsource: {product: windows, service: security}
detection: {selection: {EventID: [528, 4624]}, condition: selection}
"""


def files(*texts: str) -> RuleSet:
    return collect_rules([RuleFile(f"{at}.yml", text.encode()) for at, text in enumerate(texts)])


def test_the_example_of_the_specification_is_read_parts_first() -> None:
    found = load_rules(SPECIFICATION.encode())
    assert not found.problems
    many, top = found.correlations
    assert (many.name, top.level, top.status) == ("multiple_failed_login", "high", "experimental")
    assert top.rule_ids == (many.id, "4d0a2c83-c62c-4ed4-b475-c7e23a9269b8")
    assert top.timespan == 600 * SECOND
    assert found.silent == {many.id, *(rule.id for rule in found.rules)}


def test_references_reach_over_files_in_any_order() -> None:
    over = correlation("k", type="event_count", rules="[name_a]", timespan="1m", condition="{gte: 2}")
    for texts in ([over, RULE.format("a")], [RULE.format("a"), over]):
        found = files(*texts)
        assert not found.problems
        assert found.correlations[0].rule_ids == ("a",)


def test_a_rule_beside_the_correlation_speaks_for_itself_where_the_correlation_says_generate() -> None:
    section = {"type": "event_count", "timespan": "1m", "condition": "{gte: 2}"}
    quiet = correlation("q", rules="[a, b]", **section)
    loud = correlation("l", rules="[b, c]", **section)
    assert loaded(quiet).silent == {"a", "b"}
    assert loaded(quiet, loud + "generate: true\n").silent == {"a"}
    assert loaded(correlation("i", rules="[a]", generate="true", **section)).silent == set()


def test_what_is_switched_off_takes_the_correlations_over_it_along_and_stays_silent() -> None:
    section = {"type": "temporal", "timespan": "1m"}
    found = loaded(correlation("k", rules="[a, b]", **section), correlation("t", rules="[k, c]", **section))
    assert [one.id for one in found.only("abckt").correlations] == ["k", "t"]
    assert [one.id for one in found.only("abkt").correlations] == ["k"]
    assert found.only("ackt").correlations == ()
    assert "a" in found.only("ac").silent


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604_800), ("1w", 604_800), ("1M", 2_592_000)],
)
def test_a_timespan_is_a_number_and_a_letter(written: str, seconds: int) -> None:
    section = {"type": "event_count", "rules": "[a]", "condition": "{gte: 2}"}
    found = loaded(correlation("k", timespan=written, **section))
    assert found.correlations[0].timespan == seconds * SECOND


@pytest.mark.parametrize(
    ("section", "code"),
    [
        ({"type": "value_max"}, "correlation_type"),
        ({"type": ""}, "correlation_type"),
        ({"rules": "[]"}, "references"),
        ({"rules": "{a: b}"}, "references"),
        ({"rules": "[a, a]"}, "reference_twice"),
        ({"rules": "[a, name_a]"}, "reference_twice"),
        ({"rules": "[nobody]"}, "unknown_reference"),
        ({"rules": "[k]"}, "reference_cycle"),
        ({"timespan": "15"}, "timespan"),
        ({"timespan": "0s"}, "timespan"),
        ({"timespan": "1H"}, "timespan"),
        ({"timespan": "6y"}, "timespan"),
        ({"timespan": ""}, "timespan"),
        ({"group_by": "[1]"}, "field_names"),
        ({"condition": ""}, "correlation_condition"),
        ({"condition": "a and b"}, "correlation_condition"),
        ({"condition": "{}"}, "no_criterion"),
        ({"condition": "{gte: many}"}, "criterion_needs_number"),
        ({"condition": "{gte: true}"}, "criterion_needs_number"),
        ({"condition": "{more: 2}"}, "criterion_unknown"),
        ({"condition": "{field: User, gte: 2}"}, "criterion_unknown"),
        ({"type": "value_count"}, "no_field"),
        ({"type": "value_sum", "condition": "{field: [A, B], gte: 1}"}, "one_field"),
        ({"type": "value_percentile", "condition": "{field: A, percentile: 0, gte: 1}"}, "percentile"),
        ({"aliases": "[x]"}, "aliases"),
        ({"aliases": "{x: {a: [B]}}"}, "aliases"),
        ({"aliases": "{x: {b: B}}"}, "alias_of_stranger"),
        ({"generate": "perhaps"}, "generate_needs_boolean"),
        ({"type": "temporal", "condition": "not a"}, "nothing_required"),
        ({"type": "temporal", "condition": "a and"}, "condition_unexpected"),
        ({"type": "temporal", "condition": "a or b"}, "unknown_identifier"),
    ],
)
def test_a_correlation_that_cannot_be_used_is_refused_by_name(section: dict[str, str], code: str) -> None:
    assert refusal(**section) == code


def test_an_unknown_reference_is_told_by_name_and_line() -> None:
    text = correlation("k", type="temporal", timespan="1m", rules="\n        - name_a\n        - nobody")
    (problem,) = load_rules(f"{RULE.format('a')}---\n{text}".encode()).problems
    assert (problem.code, problem.params["name"]) == ("unknown_reference", "nobody")
    assert problem.line == RULE.count("\n") + 1 + text[: text.index("- nobody")].count("\n") + 1


def test_a_circle_is_refused_and_everything_that_rests_on_it() -> None:
    section = {"type": "temporal", "timespan": "1m"}
    circle = [correlation(id_, rules=f"[a, {to}]", **section) for id_, to in ("xy", "yz", "zx")]
    rests = correlation("r", rules="[x, b]", **section)
    good = correlation("g", rules="[a, b]", **section)
    found = load_rules("---\n".join([base_rules(), *circle, rests, good]).encode())
    assert [one.id for one in found.correlations] == ["g"]
    assert sorted(problem.code for problem in found.problems) == ["reference_cycle"] + 3 * [
        "reference_refused"
    ]


def test_a_name_given_twice_is_ambiguous_and_an_id_is_not() -> None:
    twins = RULE.format("a") + "---\n" + RULE.format("b").replace("name_b", "name_a")
    section = {"type": "event_count", "timespan": "1m", "condition": "{gte: 2}"}
    (problem,) = files(twins, correlation("k", rules="[name_a]", **section)).problems
    assert problem.code == "reference_ambiguous"
    assert not files(twins, correlation("k", rules="[a]", **section)).problems


def test_chains_and_conditions_are_bounded() -> None:
    section = {"type": "event_count", "timespan": "1m", "condition": "{gte: 1}"}
    chain = [correlation(f"k{at}", rules=f"[{f'k{at - 1}' if at else 'a'}]", **section) for at in range(30)]
    for documents in (chain, chain[::-1]):
        codes = {problem.code for problem in problems(*documents)}
        assert "chain_too_long" in codes
    names = [f"{letter}{digit}" for letter in "pq" for digit in range(8)]
    wide = " and ".join(f"(p{digit} or q{digit})" for digit in range(8))
    text = correlation("k", type="temporal", timespan="1m", rules=f"[{', '.join(names)}]", condition=wide)
    (problem,) = load_rules("---\n".join([*map(RULE.format, names), text]).encode()).problems
    assert problem.code == "too_many_terms"
    many = correlation("k", type="temporal", timespan="1m", rules="[a, b, c]")
    (problem,) = load_rules(
        (base_rules() + "---\n" + many).encode(), limits=RuleLimits(references=2)
    ).problems
    assert problem.code == "too_many_references"
