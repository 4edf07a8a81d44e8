"""Comparisons of a plan, made ready once and asked of candidates: does this event satisfy them?

Whatever a plan holds that is not as ``model.pattern_plans`` says it gives ValueError; nothing here runs
longer than the values are long, since regular expressions and LIKE go to RE2.
"""

from __future__ import annotations

import ipaddress
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from istmo.detect.indicators.properties import (
    PROPERTIES,
    Value,
    carries,
    fold_key,
    fold_name,
    fold_number,
    fold_text,
    read_property,
)
from istmo.detect.sigma.expressions import check_expression, search
from istmo.detect.sigma.problems import Refused
from istmo.detect.sigma.values import Expression

Test = Callable[[Value], bool]
Found = Mapping[tuple[str, str], Sequence[tuple[str, str]]]
"""What the tables found for one indicator: (kind, value) to the (field, text) that carried it."""
Told = dict[str, str]
"""Fields by which a comparison holds, and how each stood."""

DEEPEST: Final = 32
MOST_NODES: Final = 20_000


class Event:
    """One event as comparisons see it: its properties are read once."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields
        self._read: dict[str, tuple[tuple[str, Value], ...]] = {}

    def values(self, property: str) -> tuple[tuple[str, Value], ...]:
        """The values of a property, each with its field."""
        found = self._read.get(property)
        if found is None:
            found = self._read[property] = read_property(property, self.fields)
        return found


class Comparison(ABC):
    """One node: ``holds`` says whether it does, and adds to ``told`` the fields by which."""

    @abstractmethod
    def holds(self, event: Event, found: Found, told: Told) -> bool:
        """Whether this event satisfies it."""

    @abstractmethod
    def anchors(self) -> frozenset[Anchor]:
        """Of these one is present in whatever the comparison holds for."""


Anchor = tuple[str, Any, Any]
"""``("t", kind, value)``, ``("=", property, value)`` or ``("?", property, comparison)``, cheapest first."""
_COST: Final = {"t": 1, "=": 2, "?": 1000}


class InTables(Comparison):
    def __init__(self, kind: str, value: str, property: str) -> None:
        self._key, self._property = (kind, value), property

    def holds(self, event: Event, found: Found, told: Told) -> bool:
        there = [one for one in found.get(self._key, ()) if carries(self._property, one[0])]
        told.update(there)
        return bool(there)

    def anchors(self) -> frozenset[Anchor]:
        return frozenset({("t", *self._key)})


class Stands(Comparison):
    """Some value of a property stands so, or does not stand so, to the values of the plan."""

    def __init__(self, property: str, operator: str, is_negated: bool, values: Sequence[Any]) -> None:
        self.property, self._is_negated = property, is_negated
        self.expression: Expression | None = None
        """What is found in whatever holds; None where no regular expression says so."""
        if operator in ("LIKE", "MATCHES"):
            expression = _text_expression(property, operator, values[0])
            self._test = _text_test(expression)
            self.expression = None if is_negated else expression
        else:
            self._test = _test(property, operator, values)
        self._equal: frozenset[Value] = frozenset()
        if operator in ("=", "IN") and not is_negated:
            self._equal = frozenset(_folded(property, values))

    def holds(self, event: Event, found: Found, told: Told) -> bool:
        held = event.values(self.property)
        there = [(field, value) for field, value in held if self.is_true_of(value)]
        told.update((field, shown(value)) for field, value in there)
        return bool(there)

    def is_true_of(self, value: Value) -> bool:
        """Whether this one value stands so."""
        return self._test(value) != self._is_negated

    def anchors(self) -> frozenset[Anchor]:
        if self._equal:
            return frozenset(("=", self.property, value) for value in self._equal)
        return frozenset({("?", self.property, self)})


class Exists(Comparison):
    def __init__(self, property: str, is_negated: bool) -> None:
        self._property, self._is_negated = property, is_negated

    def holds(self, event: Event, found: Found, told: Told) -> bool:
        return bool(event.values(self._property)) != self._is_negated

    def anchors(self) -> frozenset[Anchor]:
        return frozenset({("?", "", self)})


class Both(Comparison):
    def __init__(self, parts: Sequence[Comparison]) -> None:
        self._parts = parts

    def holds(self, event: Event, found: Found, told: Told) -> bool:
        held: Told = {}
        if not all(part.holds(event, found, held) for part in self._parts):
            return False
        told.update(held)
        return True

    def anchors(self) -> frozenset[Anchor]:
        return min((part.anchors() for part in self._parts), key=_price)


class Either(Comparison):
    def __init__(self, parts: Sequence[Comparison]) -> None:
        self._parts = parts

    def holds(self, event: Event, found: Found, told: Told) -> bool:
        held = [part.holds(event, found, told) for part in self._parts]  # all: each tells its fields
        return any(held)

    def anchors(self) -> frozenset[Anchor]:
        return frozenset().union(*(part.anchors() for part in self._parts))


def _price(anchors: frozenset[Anchor]) -> int:
    return sum(_COST[one[0]] for one in anchors)


def make_comparison(node: Any, depth: int = 0) -> Comparison:
    """A comparison from its node. Raises ValueError."""
    if depth > DEEPEST:
        raise ValueError("too deep")
    match node:
        case ["t", str(kind), str(value), str(property)] if property in PROPERTIES:
            return InTables(kind, value, property)
        case ["c", str(property), "EXISTS", bool(is_negated), []] if property in PROPERTIES:
            return Exists(property, is_negated)
        case ["c", str(property), str(operator), bool(is_negated), [_, *_] as values] if (
            property in PROPERTIES
        ):
            return Stands(property, operator, is_negated, values)
        case ["&", _, *_]:
            return Both([make_comparison(one, depth + 1) for one in node[1:]])
        case ["|", _, *_]:
            return Either([make_comparison(one, depth + 1) for one in node[1:]])
    raise ValueError("not a comparison")


def shown(value: Value) -> str:
    """A value as a person reads it."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _folded(property: str, values: Sequence[Any]) -> Iterator[Value]:
    fold = PROPERTIES[property].fold
    for value in values:
        if fold is fold_number:
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError("not a number")
            yield float(value)
        else:
            if not isinstance(value, str):
                raise ValueError("not a text")
            folded = fold(value)
            yield fold_text(value) if folded is None else folded


def _test(property: str, operator: str, values: Sequence[Any]) -> Test:
    if operator in ("=", "IN"):
        wanted = frozenset(_folded(property, values))
        return lambda value: value in wanted
    if operator in ("ISSUBSET", "ISSUPERSET"):
        return _range_test(operator, values)
    (bound,) = _folded(property, values[:1])
    tests: dict[str, Test] = {
        "<": lambda value: type(value) is type(bound) and value < bound,  # type: ignore[operator]
        "<=": lambda value: type(value) is type(bound) and value <= bound,  # type: ignore[operator]
        ">": lambda value: type(value) is type(bound) and value > bound,  # type: ignore[operator]
        ">=": lambda value: type(value) is type(bound) and value >= bound,  # type: ignore[operator]
    }
    if operator not in tests:
        raise ValueError("no such operator")
    return tests[operator]


def _text_expression(property: str, operator: str, pattern: Any) -> Expression:
    if not isinstance(pattern, str) or PROPERTIES[property].fold is fold_number:
        raise ValueError("not a text")
    # What is folded to lower case is compared whatever the case of the pattern.
    flags = "s" if PROPERTIES[property].fold is fold_text else "is"
    if operator == "LIKE":
        if PROPERTIES[property].fold is fold_key:
            pattern = fold_key(pattern)
        elif flags == "is":
            pattern = fold_name(pattern)
        marks = {"%": ".*", "_": "."}
        pattern = rf"\A{''.join(marks.get(one) or re.escape(one) for one in fold_text(pattern))}\z"
    return Expression(fold_text(pattern), flags)


def _text_test(expression: Expression) -> Test:
    try:
        check_expression(expression)
        found = search([expression])
    except Refused as refused:
        raise ValueError(str(refused)) from None
    return lambda value: isinstance(value, str) and found(value)


def _range_test(operator: str, values: Sequence[Any]) -> Test:
    wanted = [ipaddress.ip_network(value, strict=False) for value in values]

    def test(value: Value) -> bool:
        try:
            held = ipaddress.ip_network(str(value))
        except ValueError:
            return False
        pairs = ((held, one) if operator == "ISSUBSET" else (one, held) for one in wanted)
        return any(
            inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]
            for inner, outer in pairs
        )

    return test
