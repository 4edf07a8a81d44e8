"""What pipelines do to one rule, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.sigma import Evaluator, Logsource, RuleFile, RuleSet, load_rules
from istmo.detect.sigma.pipelines import Pipeline, read_pipeline, read_pipelines
from istmo.detect.sigma.problems import Refused

from ..asking import tell  # noqa: TID252 - works with and without tests as a package

ANY = Logsource("test", "", "")
RULE = """title: A rule
id: r1
logsource: {category: test}
fields: [Image]
detection:
  selection:
    Image|endswith: \\a.exe
    User|expand: '%admins%'
  condition: selection
"""
PLAIN = RULE.replace("    User|expand: '%admins%'\n", "")


def pipeline(transformations: str, head: str = "") -> Pipeline:
    return read_pipeline(f"{head}\ntransformations:\n{transformations}".encode())


def loaded(rule: str, *pipelines: Pipeline) -> RuleSet:
    found = load_rules(rule.encode(), pipelines=pipelines)
    tell(found.problems)
    return found


def matches(rule: str, event: dict[str, object], *pipelines: Pipeline) -> bool:
    found = loaded(rule, *pipelines)
    assert not found.problems, found.problems
    return bool(Evaluator(found).match(event, ANY))


def test_a_renamed_field_is_asked_by_its_new_name_alone() -> None:
    renamed = pipeline("  - {type: field_name_mapping, mapping: {Image: [exe, path]}}")
    assert matches(PLAIN, {"exe": "C:\\a.exe"}, renamed)
    assert matches(PLAIN, {"path": "C:\\a.exe"}, renamed)
    assert not matches(PLAIN, {"Image": "C:\\a.exe"}, renamed)
    assert loaded(PLAIN, renamed).rules[0].fields == ("exe", "path")


def test_the_digest_of_a_changed_rule_depends_on_the_pipeline() -> None:
    one = pipeline("  - {type: field_name_mapping, mapping: {Image: exe}}")
    other = pipeline("  - {type: field_name_mapping, mapping: {Image: path}}")
    same = pipeline("  - {type: field_name_mapping, mapping: {Other: path}}")
    plain = loaded(PLAIN).rules[0]
    digests = {rule.digest for rule in (plain, loaded(PLAIN, one).rules[0], loaded(PLAIN, other).rules[0])}
    assert len(digests) == 3
    assert loaded(PLAIN, same).rules[0].digest == plain.digest


def test_pipelines_are_applied_by_priority() -> None:
    late = pipeline("  - {type: field_name_mapping, mapping: {exe: path}}", "priority: 20")
    early = pipeline("  - {type: field_name_mapping, mapping: {Image: exe}}", "priority: 10")
    assert matches(PLAIN, {"path": "C:\\a.exe"}, late, early)


def test_placeholders_are_filled_from_the_pipelines_variables() -> None:
    filled = pipeline("  - {type: value_placeholders}", "vars: {admins: [root, 'adm*']}")
    assert matches(RULE, {"Image": "\\a.exe", "User": "ADMIN"}, filled)
    assert not matches(RULE, {"Image": "\\a.exe", "User": "op"}, filled)
    anyone = pipeline("  - {type: wildcard_placeholders, include: [admins]}")
    assert matches(RULE, {"Image": "\\a.exe", "User": "op"}, anyone)


def test_a_placeholder_that_no_pipeline_fills_refuses_the_rule() -> None:
    others = pipeline("  - {type: wildcard_placeholders, exclude: [admins]}")
    (problem,) = loaded(RULE, others).problems
    assert (problem.code, problem.params["placeholder"]) == ("unknown_placeholder", "%admins%")


def test_an_item_that_was_dropped_leaves_the_condition_true_to_the_rest() -> None:
    dropped = pipeline(
        "  - {type: drop_detection_item, field_name_conditions: [{type: include_fields, fields: [User]}]}"
    )
    assert matches(RULE, {"Image": "\\a.exe"}, dropped)
    everything = pipeline("  - {type: drop_detection_item}")
    assert loaded(RULE, everything).problems[0].code == "pipeline_nothing_left"


def test_a_pipeline_may_refuse_a_rule_in_its_own_words() -> None:
    (problem,) = loaded(PLAIN, pipeline("  - {type: rule_failure, message: not here}")).problems
    assert (problem.code, problem.params["message"], problem.rule) == (
        "pipeline_failure",
        "not here",
        "A rule",
    )


def test_a_text_as_an_expression_still_means_the_whole_value() -> None:
    for method in ("plain", "ignore_case_flag", "ignore_case_brackets"):
        made = pipeline(f"  - {{type: regex, method: {method}}}")
        assert matches(PLAIN, {"Image": "C:\\a.exe"}, made)
        assert not matches(PLAIN, {"Image": "C:\\a.exe2"}, made)


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("finalizers:\n  - {type: json}", "pipeline_of_a_backend", 1),
        ("name: x\npostprocessing:\n  - {type: embed, prefix: a}", "pipeline_of_a_backend", 2),
        ("transformations:\n  - type: http_placeholders\n    url: http://a", "pipeline_unserved", 2),
        ("transformations:\n  - type: query_expression_placeholders", "pipeline_unserved", 2),
        ("transformations:\n  - id: a\n    type: renam", "pipeline_unknown_transformation", 3),
        ("transformations:\n  - {type: set_state}", "pipeline_parameter", 2),
        ("transformations:\n  - {type: case, method: title}", "pipeline_parameter", 2),
        ("transformations:\n  - type: case\n    extra: 1", "pipeline_unknown_key", 3),
        ("transform: []", "pipeline_unknown_key", 1),
        (
            "transformations:\n  - {type: replace_string, regex: '(a)\\1', replacement: b}",
            "pipeline_expression",
            2,
        ),
        (
            "transformations:\n  - {type: case, rule_conditions: [{type: moon}]}",
            "pipeline_unknown_condition",
            2,
        ),
        (
            "transformations:\n- {type: case, rule_conditions: {a: {type: tag, tag: x}}, rule_cond_expr: b}",
            "pipeline_condition",
            2,
        ),
        ("- a", "pipeline_not_a_map", 1),
        ("a: b\n---\nc: d", "pipeline_not_a_map", 2),
        ("transformations: [{type: add_condition, conditions: {a|moon: b}}]", "unknown_modifier", 1),
        ("transformations: [{type: set_value, value: x, force_type: num}]", "pipeline_not_a_number", 0),
    ],
)
def test_what_cannot_be_applied_is_refused_by_name_and_line(text: str, code: str, line: int) -> None:
    with pytest.raises(Refused) as refused:
        read_pipeline(text.encode())
    assert (refused.value.code, refused.value.line) == (code, line)
    tell([refused.value.problem("p.yml")])


def test_pipelines_that_are_wrong_do_not_cost_the_others() -> None:
    good = RuleFile("a.yml", b"name: a\ntransformations: []")
    made, problems = read_pipelines([good, RuleFile("b.yml", b"name: [")])
    assert [one.name for one in made] == ["a"]
    assert [one.file for one in problems] == ["b.yml"]


def test_alternatives_are_bounded() -> None:
    names = ", ".join(f"n{number}" for number in range(200))
    many = pipeline(
        f"  - {{type: field_name_mapping, mapping: {{a: [{names}], b: [{names}], c: [{names}]}}}}"
    )
    rule = PLAIN.replace("Image|endswith: \\a.exe", "a: 1\n    b: 1\n    c: 1")
    assert loaded(rule, many).problems[0].code == "pipeline_too_large"


words = st.sampled_from(
    [
        "type",
        "case",
        "mapping",
        "regex",
        "field_name_mapping",
        "rule_conditions",
        "logsource",
        "nest",
        "items",
        "a",
    ]
)
trees = st.recursive(
    st.one_of(words, st.integers(), st.none(), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=4)),
    max_leaves=10,
)


@given(trees)
def test_no_pipeline_makes_reading_fail_otherwise(tree: object) -> None:
    try:
        read_pipeline(repr({"transformations": [tree]}).replace("None", "null").encode())
    except Refused as refused:
        tell([refused.problem("p.yml")])
