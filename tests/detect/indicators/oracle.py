"""What a pattern means, written straight from STIX 2.1 section 9: slow, and shares nothing with the matcher.

All sets of events that make a part of a pattern true, by brute force (section 9.5 to 9.8): few events,
and it is right by reading it. What departs from the text on purpose is said where it stands.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from istmo.model import pattern_tree as tree
from istmo.model.pattern_tree import Comparison, Operator

Value = str | int
Sets = set[int]
"""Sets of events, each as the bits of their numbers."""


class Event(NamedTuple):
    """One event: when it happened (µs), and the values of each object path in it."""

    time: int
    values: Mapping[tuple[str, ...], Sequence[Value]]


def true_at(pattern: tree.Observation, events: Sequence[Event]) -> list[int]:
    """The events, in the order in which they came, that make a pattern true with those before them."""
    return [
        number
        for number in range(len(events))
        if any(one >> number & 1 for one in sets(pattern, events[: number + 1]))
    ]


def sets(one: tree.Observation, events: Sequence[Event]) -> Sets:
    """Every set of events that makes an observation expression true."""
    match one:
        case tree.Seen(expression):
            return {1 << number for number, event in enumerate(events) if holds(expression, event)}
        case tree.OneOf(left, right):
            return sets(left, events) | sets(right, events)
        case tree.Together(left, right):
            return _different(sets(left, events), sets(right, events))
        case tree.Followed(left, right):
            return {
                this | that
                for this in sets(left, events)
                for that in sets(right, events)
                if not this & that and max(_times(this, events)) <= min(_times(that, events))
            }
        case tree.Repeated(inner, times):
            each = sets(inner, events)
            found = each
            for _ in range(times - 1):
                found = _different(found, each)
            return found
        case tree.Within(inner, micros):
            # To the microsecond, both ends included, as OASIS's own matcher has it.
            spans = ((some, _times(some, events)) for some in sets(inner, events))
            return {some for some, times in spans if max(times) - min(times) <= micros}
        case tree.Between(inner, start, stop):
            return {
                some
                for some in sets(inner, events)
                if all(start <= _instant(at) < stop for at in _times(some, events))
            }


def _different(left: Sets, right: Sets) -> Sets:
    return {this | that for this in left for that in right if not this & that}


def _times(some: int, events: Sequence[Event]) -> list[int]:
    return [event.time for number, event in enumerate(events) if some >> number & 1]


def _instant(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


# --- comparisons -------------------------------------------------------------------------------------


def holds(one: tree.Expression, event: Event) -> bool:
    """Whether a comparison expression is true of one event, which stands for one observed-data."""
    match one:
        case tree.Both(parts):
            return all(holds(part, event) for part in parts)
        case tree.Either(parts):
            return any(holds(part, event) for part in parts)
        case Comparison(path, Operator.EXISTS, _, is_negated):
            return bool(event.values.get(path)) != is_negated
        case Comparison(path, operator, values, is_negated):
            # NOT is asked of each value: an event that has none of the property is not in it either way.
            return any(_stands(value, operator, values) != is_negated for value in event.values.get(path, ()))


CASELESS = frozenset({("mutex", "name"), ("file", "name")})
"""Names in which case says nothing here, though the text compares letter by letter."""


def _stands(value: Value, operator: Operator, wanted: Sequence[Any]) -> bool:
    if operator in (Operator.EQUAL, Operator.IN):
        return any(_same(value, one) for one in wanted)
    first = wanted[0]
    if operator in (Operator.LIKE, Operator.MATCHES):
        text, pattern = str(value), unicodedata.normalize("NFC", first)
        return (
            _like(text, pattern) if operator is Operator.LIKE else bool(re.search(pattern, text, re.DOTALL))
        )
    if operator in (Operator.SUBSET, Operator.SUPERSET):
        return _inside(str(value), first) if operator is Operator.SUBSET else _inside(first, str(value))
    if isinstance(value, str) != isinstance(first, str):
        return False
    return {
        Operator.LESS: value < first,
        Operator.LESS_OR_EQUAL: value <= first,
        Operator.GREATER: value > first,
        Operator.GREATER_OR_EQUAL: value >= first,
    }[operator]


def _same(value: Value, other: Any) -> bool:
    if isinstance(value, str) and isinstance(other, str):
        return unicodedata.normalize("NFC", value) == unicodedata.normalize("NFC", other)
    return not isinstance(value, str) and not isinstance(other, str) and value == other


def _like(text: str, pattern: str) -> bool:
    """``%`` is any number of characters, ``_`` one."""
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(_like(text[start:], pattern[1:]) for start in range(len(text) + 1))
    return bool(text) and pattern[0] in ("_", text[0]) and _like(text[1:], pattern[1:])


def _inside(inner: str, outer: str) -> bool:
    try:
        one, other = ipaddress.ip_network(inner, strict=False), ipaddress.ip_network(outer, strict=False)
    except ValueError:
        return False
    return one.version == other.version and one.subnet_of(other)  # type: ignore[arg-type]
