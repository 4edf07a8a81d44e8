"""Tests on one value of a field, made from a rule's values."""

from __future__ import annotations

import ipaddress
import operator
import re
from collections.abc import Callable, Sequence
from datetime import date

from istmo.detect.sigma.expressions import search
from istmo.detect.sigma.fields import EventView, FieldValue
from istmo.detect.sigma.texts import fold, fold_dashes
from istmo.detect.sigma.values import (
    Comparison,
    Expression,
    FieldReference,
    Network,
    Number,
    Text,
)
from istmo.detect.sigma.wildcards import any_text_test

Test = Callable[[FieldValue], bool]
TestedValue = Text | Number | Expression | Network | Comparison
"""Values that ask about a field's value; the others ask about the field, or another one."""

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "eq": operator.eq,
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}
_NUMBER = re.compile(r"[-+]?(\d{1,100}(\.\d{0,100})?|\.\d{1,100})([eE][-+]?\d{1,3})?", re.ASCII)
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d))?", re.ASCII)


def value_tests(values: Sequence[TestedValue]) -> list[Test]:
    """The tests that a field's values stand for, one of which must hold; texts of a kind are gathered."""
    kinds: dict[tuple[bool, bool], list[Text]] = {}
    expressions: list[Expression] = []
    networks: list[Network] = []
    tests: list[Test] = []
    for value in values:
        if isinstance(value, Text):
            kinds.setdefault((value.is_cased, value.has_any_dash), []).append(value)
        elif isinstance(value, Number):
            tests.append(number_matcher(value))
        elif isinstance(value, Expression):
            expressions.append(value)
        elif isinstance(value, Network):
            networks.append(value)
        else:
            tests.append(comparison_matcher(value))
    if networks:
        tests.append(networks_matcher(networks))
    if expressions:
        tests.append(expressions_matcher(expressions))
    return [texts_matcher(texts) for texts in kinds.values()] + tests


def texts_matcher(values: Sequence[Text]) -> Test:
    """Texts of one kind, any of which may hold; in any case unless ``cased``."""
    is_cased, has_any_dash = values[0].is_cased, values[0].has_any_dash

    def form(text: str) -> str:
        text = text if is_cased else fold(text)
        return fold_dashes(text) if has_any_dash else text

    holds = any_text_test(
        [tuple(form(part) if isinstance(part, str) else part for part in value.parts) for value in values]
    )
    if has_any_dash:
        return lambda one: holds(fold_dashes(one.text if is_cased else one.folded))
    if is_cased:
        return lambda one: holds(one.text)
    return lambda one: holds(one.folded)


def expressions_matcher(values: Sequence[Expression]) -> Test:
    """Regular expressions, one of which is found anywhere."""
    found = search(values)
    return lambda one: found(one.text)


def number_matcher(value: Number) -> Test:
    """A number against a number by its size, against text by its spelling."""
    spellings = frozenset(fold(spelling) for spelling in value.spellings)
    wanted = value.value

    def test(one: FieldValue) -> bool:
        raw = one.raw
        if isinstance(raw, (int, float)) and not isinstance(raw, bool):
            return raw == wanted
        return one.folded in spellings

    return test


def networks_matcher(values: Sequence[Network]) -> Test:
    """An address in one of the ranges; IPv4 written as IPv6 (``::ffff:192.0.2.1``) counts as IPv4."""
    networks = [value.network for value in values]

    def test(one: FieldValue) -> bool:
        address = read_address(one.text)
        if address is None:
            return False
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any(
            (network.version == address.version and address in network)
            or (mapped is not None and network.version == mapped.version and mapped in network)
            for network in networks
        )

    return test


def read_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address without its zone; None for anything else."""
    if len(text) > 100:
        return None
    try:
        return ipaddress.ip_address(text.strip().split("%", 1)[0])
    except ValueError:
        return None


def comparison_matcher(value: Comparison) -> Test:
    """A number, or a part of a date, against a number."""
    compare = OPERATORS[value.operator]
    wanted = value.value

    def test(one: FieldValue) -> bool:
        found = part_of_date(one.text, value.unit) if value.unit else read_number(one)
        return found is not None and compare(found, wanted)

    return test


def read_number(one: FieldValue) -> float | None:
    """The number that a value is, or spells in decimal; None where it is none."""
    raw = one.raw
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        return raw
    if not isinstance(raw, str) or not _NUMBER.fullmatch(raw):
        return None
    return float(raw) if any(mark in raw for mark in ".eE") else int(raw)


def part_of_date(text: str, unit: str) -> int | None:
    """Minute, hour, day, ISO week, month or year of a date, as the text says it: zones are not converted."""
    found = _DATE.match(text)
    if found is None:
        return None
    year, month, day, hour, minute = found.groups()
    if unit in ("hour", "minute"):
        part = hour if unit == "hour" else minute
        return None if part is None else int(part)
    if unit == "week":
        try:
            return date(int(year), int(month), int(day)).isocalendar().week
        except ValueError:
            return None
    return int({"year": year, "month": month, "day": day}[unit])


def refers(view: EventView, name: str, to: FieldReference) -> bool:
    """Whether one of a field's values is (or begins, ends, holds) one of the other field's."""

    def form(one: FieldValue) -> str:
        return one.text if to.is_cased else one.folded

    for ours in view.values[name]:
        for theirs in view.values[to.field]:
            text, other = form(ours), form(theirs)
            if to.is_open_before and to.is_open_after:
                holds = other in text
            elif to.is_open_before:
                holds = text.endswith(other)
            elif to.is_open_after:
                holds = text.startswith(other)
            else:
                holds = text == other
            if holds:
                return True
    return False
