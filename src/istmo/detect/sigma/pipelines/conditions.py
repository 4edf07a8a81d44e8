"""Conditions of processing items: on the rule, on a detection item, on a field's name."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from istmo.detect.sigma.logsources import Logsource
from istmo.detect.sigma.pipelines.drafts import Draft, DraftItem
from istmo.detect.sigma.pipelines.parameters import Parameters
from istmo.detect.sigma.rules import LEVELS
from istmo.detect.sigma.values import Null, Number, Text, Value, Wildcard, parse_text

RuleTest = Callable[[Draft], bool]
ItemTest = Callable[[Draft, DraftItem], bool]
NameTest = Callable[[Draft, str], bool]

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gte": operator.ge,
    "gt": operator.gt,
    "lte": operator.le,
    "lt": operator.lt,
}
STATUSES = ("unsupported", "deprecated", "experimental", "test", "stable")


def shown(text: Text) -> str:
    """A text with its wildcards, nothing escaped: what conditions look at."""
    return "".join(part.sign if isinstance(part, Wildcard) else str(part) for part in text.parts)


def logsource(given: Parameters) -> RuleTest:
    wanted = Logsource(*(given.text(name, "").lower() for name in ("category", "product", "service")))
    if not any(wanted):
        raise given.refused("category")
    return lambda draft: wanted.covers(draft.logsource)


def contains_field(given: Parameters) -> RuleTest:
    name = given.text("field")
    return lambda draft: any(item.field == name for item in draft.items())


def contains_detection_item(given: Parameters) -> RuleTest:
    name, wanted = given.text("field"), given.any("value", is_needed=True)
    return lambda draft: any(
        item.field == name and any(equals(value, wanted) for value in item.values) for item in draft.items()
    )


def equals(value: Value, wanted: Any) -> bool:
    """Whether a value is what a pipeline writes."""
    if isinstance(value, Null):
        return wanted is None
    if isinstance(value, Number):
        return isinstance(wanted, (int, float)) and not isinstance(wanted, bool) and value.value == wanted
    if not isinstance(value, Text):
        return False
    if isinstance(wanted, bool):
        return shown(value) == ("true" if wanted else "false")
    return isinstance(wanted, str) and value.parts == parse_text(wanted)


def rule_item_applied(given: Parameters) -> RuleTest:
    id_ = given.text("processing_item_id")
    return lambda draft: id_ in draft.applied


def state_of(given: Parameters) -> RuleTest:
    key, wanted = given.text("key"), given.any("val", is_needed=True)
    compare = OPERATORS[given.choice("op", tuple(OPERATORS), "eq")]

    def test(draft: Draft) -> bool:
        try:
            return key in draft.state and bool(compare(draft.state[key], wanted))
        except TypeError:
            return False

    return test


def rule_attribute(given: Parameters) -> RuleTest:
    name, wanted = given.text("attribute"), given.any("value", is_needed=True)
    op = given.choice("op", (*OPERATORS, "in", "not_in"), "eq")

    def test(draft: Draft) -> bool:
        found = getattr(draft.rule, name, None)
        if name == "fields":
            found = tuple(draft.fields)
        if found is None or not isinstance(found, (str, tuple)):
            if name not in draft.attributes:
                return False
            found = draft.attributes[name]
        if isinstance(found, (tuple, list)):
            return (
                (wanted in found) if op == "in" else (wanted not in found) if op == "not_in" else op == "ne"
            )
        if op in ("in", "not_in"):
            return False
        ranks = {"level": LEVELS, "status": STATUSES}.get(name)
        left, right = found, wanted
        if ranks is not None:
            if found not in ranks or str(wanted).lower() not in ranks:
                return op == "ne"
            left, right = ranks.index(found), ranks.index(str(wanted).lower())
        elif name in ("date", "modified"):
            left, right = str(found).replace("/", "-"), str(wanted).replace("/", "-")
        try:
            return bool(OPERATORS[op](left, right))
        except TypeError:
            return False

    return test


def tag(given: Parameters) -> RuleTest:
    wanted = given.text("tag")
    return lambda draft: wanted in draft.rule.tags


def of_values(given: Parameters, test: Callable[[Value], bool]) -> ItemTest:
    link = any if given.choice("cond", ("any", "all")) == "any" else all
    return lambda draft, item: link([test(value) for value in item.values])


def match_string(given: Parameters) -> ItemTest:
    pattern, is_negated = given.expression("pattern"), given.boolean("negate")

    def test(value: Value) -> bool:
        return (isinstance(value, Text) and pattern.match(shown(value)) is not None) is not is_negated

    return of_values(given, test)


def match_value(given: Parameters) -> ItemTest:
    wanted = given.any("value", is_needed=True)
    return of_values(given, lambda value: equals(value, wanted))


def contains_wildcard(given: Parameters) -> ItemTest:
    return of_values(given, lambda value: isinstance(value, Text) and value.has_wildcards)


def is_null(given: Parameters) -> ItemTest:
    return of_values(given, lambda value: isinstance(value, Null))


def item_applied(given: Parameters) -> ItemTest:
    id_ = given.text("processing_item_id")
    return lambda draft, item: id_ in item.applied


def item_state(given: Parameters) -> ItemTest:
    test = state_of(given)
    return lambda draft, item: test(draft)


def include_fields(given: Parameters) -> NameTest:
    names = given.texts("fields")
    if given.choice("mode", ("plain", "re"), "plain") == "plain":
        wanted = frozenset(names)
        return lambda draft, name: bool(name) and name in wanted
    patterns = [given.compiled("fields", one) for one in names]
    return lambda draft, name: bool(name) and any(one.match(name) is not None for one in patterns)


def exclude_fields(given: Parameters) -> NameTest:
    included = include_fields(given)
    return lambda draft, name: not included(draft, name)


def name_applied(given: Parameters) -> NameTest:
    id_ = given.text("processing_item_id")
    return lambda draft, name: id_ in draft.field_applied.get(name, ())


def name_state(given: Parameters) -> NameTest:
    test = state_of(given)
    return lambda draft, name: test(draft)


RULE: dict[str, Callable[[Parameters], RuleTest]] = {
    "logsource": logsource,
    "contains_detection_item": contains_detection_item,
    "contains_field": contains_field,
    "processing_item_applied": rule_item_applied,
    "processing_state": state_of,
    "is_sigma_rule": lambda given: lambda draft: True,
    "is_sigma_correlation_rule": lambda given: lambda draft: False,
    "rule_attribute": rule_attribute,
    "tag": tag,
}
ITEM: dict[str, Callable[[Parameters], ItemTest]] = {
    "match_string": match_string,
    "match_value": match_value,
    "contains_wildcard": contains_wildcard,
    "is_null": is_null,
    "processing_item_applied": item_applied,
    "processing_state": item_state,
}
NAME: dict[str, Callable[[Parameters], NameTest]] = {
    "include_fields": include_fields,
    "exclude_fields": exclude_fields,
    "processing_item_applied": name_applied,
    "processing_state": name_state,
}
