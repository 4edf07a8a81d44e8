"""Rule files as YAML, from people and from people who mean harm."""

from __future__ import annotations

import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.sigma import RuleLimits, RuleSet, load_rules
from istmo.detect.sigma.documents import WrittenNumber, read_documents, resolve

from .asking import refusal, rules, tell

GOOD = """title: {title}
id: {title}
logsource:
    product: windows
detection:
    selection:
        A: b
    condition: selection
level: high
"""


def load(text: str, **limits: int) -> RuleSet:
    loaded = load_rules(text.encode(), limits=RuleLimits(**limits))
    tell(loaded.problems)
    return loaded


def titles(loaded: RuleSet) -> list[str]:
    return [rule.title for rule in loaded.rules]


def test_many_documents_in_one_file_are_many_rules() -> None:
    loaded = load("---\n".join(GOOD.format(title=title) for title in "abc"))
    assert titles(loaded) == ["a", "b", "c"]
    assert [rule.line for rule in loaded.rules] == [1, 10, 20]
    assert not loaded.problems


def test_a_syntax_error_costs_one_rule_and_is_told_with_its_line() -> None:
    bad = "title: broken\nlogsource:\n    product: windows\ndetection: [unclosed\n"
    loaded = load("---\n".join([GOOD.format(title="a"), bad, GOOD.format(title="b")]))
    assert titles(loaded) == ["a", "b"]
    (problem,) = loaded.problems
    assert (problem.code, problem.file, problem.rule) == ("yaml_open", "rules", "broken")
    assert 10 <= problem.line <= 15


def test_a_marker_inside_a_block_of_text_is_no_new_document() -> None:
    text = GOOD.format(title="a") + "description: |\n    before\n    ---\n    after\n"
    loaded = load(text)
    assert titles(loaded) == ["a"]
    assert "---" in loaded.rules[0].description


def test_comments_and_empty_documents_are_nothing() -> None:
    loaded = load("# only a remark\n---\n---\n" + GOOD.format(title="a") + "...\n# end\n")
    assert titles(loaded) == ["a"]
    assert not loaded.problems


def test_two_equal_keys_are_told_and_not_merged() -> None:
    loaded = load(GOOD.format(title="a").replace("        A: b", "        A: b\n        A: c"))
    (problem,) = loaded.problems
    assert (problem.code, problem.line) == ("duplicate_key", 8)
    assert problem.params == {"key": "A", "first": 7}


def test_windows_line_ends_and_a_byte_order_mark_are_read() -> None:
    loaded = load_rules(b"\xef\xbb\xbf" + GOOD.format(title="a").replace("\n", "\r\n").encode())
    assert titles(loaded) == ["a"]


def test_text_that_is_not_utf_8_is_told_with_its_line() -> None:
    loaded = load_rules(GOOD.format(title="a").encode() + b"author: Mu\xf1oz\n")
    assert [(p.code, p.line) for p in loaded.problems] == [("not_utf8", 10)]


def test_an_alias_bomb_is_refused_at_once() -> None:
    bomb = "a0: &a0 [x, x]\n"
    for level in range(1, 40):
        bomb += f"a{level}: &a{level} [*a{level - 1}, *a{level - 1}]\n"
    started = time.monotonic()
    loaded = load(bomb + GOOD.format(title="a"))
    assert time.monotonic() - started < 2
    assert [p.code for p in loaded.problems] == ["too_many_nodes"]


def test_an_alias_of_reasonable_size_is_followed() -> None:
    text = GOOD.format(title="a").replace("A: b", "A: &v [b, c]\n        B: *v")
    loaded = load(text)
    (group,) = loaded.rules[0].searches["selection"].groups
    assert group[0].values == group[1].values


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[" * 5_000 + "]" * 5_000, "too_deep"),
        ("{a: " * 5_000 + "x" + "}" * 5_000, "too_deep"),
        ("- " * 5_000 + "x", "too_deep"),
        ("a: *nobody\n", "unknown_alias"),
        ("a: &a [*a]\n", "unknown_alias"),
        ("? [a, b]\n: c\n", "key_not_text"),
        ("? {a: b}\n: c\n", "key_not_text"),
        ("a: !!python/object/apply:os.system [ls]\n", "tag"),
        ("a: !mine x\n", "tag"),
        ("base: &b {x: y}\na:\n    <<: *b\n", "merge_key"),
        ("a: 'x\n", "yaml_open"),
        ("a: \x01\n", "yaml_control"),
        ("\t- a\n", "yaml_tab"),
        ("a:\n  - b\n\t- c\n", "yaml_tab"),
        ("a: [1, 2\n", "yaml_open"),
        ("a: *.exe\n", "yaml_asterisk"),
        ("a: @x\n", "yaml_reserved"),
        ("a: b: c\n", "yaml_colon"),
        ("a: {b: c}\nb\nc: d\n", "yaml_no_colon"),
        ('a: "C:\\Win"\n', "yaml_backslash"),
        ("a:\n  - b\n c: d\n", "yaml_layout"),
        ("a: ]\n", "not_yaml"),
        ("- just\n- a list\n", "not_a_rule"),
        ("just text\n", "not_a_rule"),
        ("a: [" + "x, " * 60_000 + "x]\n", "too_many_nodes"),
        ("x: " + "y" * (1 << 20) + "\n", "file_too_large"),
        ("---\n" * 3_000, "too_many_documents"),
        ("a: &x y\n" + "".join(f"k{n}: *x\n" for n in range(300)), "too_many_aliases"),
    ],
)
def test_what_is_no_rule_file_is_refused_by_name(text: str, code: str) -> None:
    assert [problem.code for problem in load(text).problems] == [code]


@given(st.binary(max_size=200))
def test_no_bytes_stop_the_load(data: bytes) -> None:
    load_rules(data + b"\n---\n" + GOOD.format(title="a").encode())


@given(st.text(alphabet="ab:-[]{}&*!|>'\"#,? \n\t%@`~0.", max_size=60))
def test_no_text_stops_the_load_and_the_next_document_is_kept(text: str) -> None:
    loaded = load(text + "\n---\n" + GOOD.format(title="kept"))
    assert "kept" in titles(loaded)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("null", None),
        ("~", None),
        ("true", True),
        ("FALSE", False),
        ("yes", "yes"),
        ("NO", "NO"),
        ("12", 12),
        ("-12", -12),
        ("+12", WrittenNumber(12, "+12")),
        ("012", WrittenNumber(12, "012")),
        ("0o17", WrittenNumber(15, "0o17")),
        ("0x1F", WrittenNumber(31, "0x1F")),
        ("1.50", WrittenNumber(1.5, "1.50")),
        ("1e3", WrittenNumber(1000.0, "1e3")),
        (".5", WrittenNumber(0.5, ".5")),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("9" * 5000, "9" * 5000),
        (".inf", ".inf"),
        ("-", "-"),
    ],
)
def test_plain_scalars_follow_the_core_schema_of_yaml_1_2(written: str, value: Any) -> None:
    assert resolve(written) == value
    assert type(resolve(written)) is type(value)


simple = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text("abc é'\"*?\\:#-", max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text("abc|", min_size=1, max_size=4), inner, max_size=4),
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), simple, min_size=1, max_size=4))
def test_what_pyyaml_writes_is_read_as_it_was(content: dict[str, Any]) -> None:
    text = yaml.safe_dump(content, allow_unicode=True)
    (document,) = read_documents(text.encode())
    assert document.refused is None
    assert document.content == content


@pytest.mark.parametrize(
    ("detection", "more", "code"),
    [
        ("selection: {A: b}\ncondition: selection", {"title": "''"}, "duplicate_key"),
        ("selection: []", {}, "search_empty"),
        ("selection: {}", {}, "search_empty"),
        ("selection: [[a]]", {}, "list_in_list"),
        ("selection: {A: b}\ncondition: [1]", {}, "condition_not_text"),
        ("selection: {A: b}\ncondition: []", {}, "condition_not_text"),
        ("selection: {A: b}\ncondition: other", {}, "unknown_identifier"),
        ("selection: {A: b}", {"taxonomy": "ocsf"}, "taxonomy"),
        ("selection: {A: b}", {"status": "unsupported"}, "status_unsupported"),
        ("selection: {A: b}", {"correlation": "[]"}, "no_correlation"),
        ("selection: {A: b}", {"filter": "any"}, "no_filter"),
        ("selection: {A: b}", {"action": "global"}, "collection_not_served"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused_by_name(
    detection: str, more: dict[str, str], code: str
) -> None:
    assert refusal(detection, **more) == code


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("id: x\nlogsource: {product: w}\ndetection: {s: {a: b}, condition: s}\n", "no_title", 1),
        ("title: t\ndetection: {s: {a: b}, condition: s}\n", "no_logsource", 1),
        ("title: t\nlogsource: {definition: x}\ndetection: {s: {a: b}, condition: s}\n",
         "logsource_empty", 2),
        ("title: t\nlogsource:\n    product: [w]\ndetection: {s: {a: b}, condition: s}\n",
         "logsource_not_text", 3),
        ("title: t\nlogsource: {product: w}\n", "no_detection", 1),
        ("title: t\nlogsource: {product: w}\ndetection:\n    s: {a: b}\n", "no_condition", 4),
        ("title: t\nlogsource: {product: w}\ndetection:\n    s:\n        a|nope: b\n    condition: s\n",
         "unknown_modifier", 5),
        ("title: t\nlogsource: {product: w}\ndetection:\n    s: {a: b}\n    condition: s and\n",
         "condition_unexpected", 5),
        ("title: " + "t" * 300 + "\nlogsource: {product: w}\ndetection: {s: {a: b}, condition: s}\n",
         "title_too_long", 1),
    ],
)  # fmt: skip
def test_the_line_that_is_to_blame_is_named(text: str, code: str, line: int) -> None:
    (problem,) = load(text).problems
    assert (problem.code, problem.line) == (code, line)


def test_parts_of_sigma_that_are_not_served_yet_are_told_apart_from_mistakes() -> None:
    collection = "title: Many logons\naction: global\n"
    (problem,) = load(collection).problems
    assert problem.is_not_served
    assert (problem.rule, problem.code, problem.line) == ("Many logons", "collection_not_served", 2)


def test_a_list_of_conditions_is_linked_by_or() -> None:
    loaded = rules("a: {A: x}\nb: {B: y}\ncondition: [a, b]")
    assert not loaded.problems


def test_a_rule_without_an_id_gets_one_from_its_text() -> None:
    text = GOOD.format(title="a").replace("id: a\n", "")
    first, again = load(text).rules[0].id, load(text).rules[0].id
    assert first == again
    assert first.startswith("unnamed-")


def test_an_id_that_comes_twice_is_told_and_the_first_kept() -> None:
    other = GOOD.format(title="b").replace("id: b", "id: A")
    loaded = load(GOOD.format(title="a") + "---\n" + other)
    assert titles(loaded) == ["a"]
    assert [(p.code, p.rule) for p in loaded.problems] == [("duplicate_id", "b")]


def test_what_is_for_people_is_kept_and_never_stops_a_rule() -> None:
    loaded = rules(
        "selection: {A: b}",
        level="Nonsense",
        status="test",
        author="'Ana, Luis'",
        tags="[attack.t1059, 5]",
        description="{not: text}",
        date="2024-02-01",
    )
    rule = loaded.rules[0]
    assert (rule.level, rule.status, rule.author, rule.date) == ("", "test", "Ana, Luis", "2024-02-01")
    assert rule.tags == ("attack.t1059", "5")
    assert rule.description == ""
