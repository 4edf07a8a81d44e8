"""What detection is told of a pattern: values to look up, and a plan where they say too little.

A plan is JSON, for it rests in a table and goes over the wire. Comparisons are lists:

* ``["t", kind, value, property]``: the matcher's tables found that value (in a field of that property);
* ``["c", property, operator, negated, values]``: some value of the property stands so to the values;
* ``["&", …]``, ``["|", …]``.

Observations: ``["o", n]`` (the n-th comparison of ``seen``), ``["and"|"or"|"then", left, right]``,
``["times", n, inner]``, ``["within", µs, inner]``, ``["between", µs, µs, inner]`` (µs since 1970).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import re2  # type: ignore[import-untyped]

from istmo.errors import InvalidInput
from istmo.model import pattern_tree as tree
from istmo.model.observables import PLACED, Property, Sort, find_property
from istmo.model.pattern_grammar import Bytes
from istmo.model.pattern_tree import Comparison, Operator
from istmo.model.values import host_kind, is_defanged, normalise

MOST_OBSERVATIONS: Final = 32
MOST_TIMES: Final = 500
"""REPEATS: so many events of each observation would have to be remembered."""
MOST_MICROS: Final = 1 << 60
LONGEST_EXPRESSION: Final = 1000
EXPRESSION_MEMORY: Final = 1 << 20
FEWEST_LETTERS: Final = 3
"""Of a LIKE, in a row: less would look at everything and hit nearly all of it."""
WIDEST: Final = {"ipv4": 8, "ipv6": 16}
"""The shortest prefix served: one indicator for half of the internet would bury every other alert."""
TELLS_LITTLE: Final = frozenset(
    {
        "traffic:protocol",
        "traffic:source_port",
        "traffic:destination_port",
        "traffic:source_type",
        "traffic:destination_type",
        "http:method",
        "file:mime_type",
    }
)
"""Properties of which one value is in many events: never the only thing that a pattern asks."""
_TYPES: Final = {"ipv4-addr": "ipv4", "ipv6-addr": "ipv6", "domain-name": "domain"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ORDERS: Final = (
    Operator.LESS,
    Operator.LESS_OR_EQUAL,
    Operator.GREATER,
    Operator.GREATER_OR_EQUAL,
)
_WIDE: Final = (*_ORDERS, Operator.EXISTS)


class Term(NamedTuple):
    """One value whose presence is a match. An address with a prefix length is a range."""

    kind: str
    value: str


class Refused(Exception):
    """Why a part of a pattern is not watched for: the last part of a catalogue key."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Served:
    """What of a pattern is watched for: terms alone, any of which is a match, or terms and a plan."""

    terms: dict[Term, None] = field(default_factory=dict)
    plan: str | None = None
    reasons: list[str] = field(default_factory=list)
    """Of the alternatives that are not watched for."""
    is_anything: bool = False


def serve(pattern: tree.Observation) -> Served:
    """Serve a pattern; an alternative that cannot be served costs only itself."""
    served = Served()
    seen: list[Any] = []
    try:
        whole = _observation(pattern, seen, served)
        if len(seen) > MOST_OBSERVATIONS and not _is_simple(whole, seen):
            raise Refused("too_complex")
    except Refused as refused:
        return Served(reasons=[refused.reason])
    for comparison in seen:
        served.terms.update(dict.fromkeys(_terms(comparison)))
    served.is_anything = True
    if not _is_simple(whole, seen):
        served.plan = plan_text(seen, whole)
    return served


def plan_text(seen: list[Any], whole: Any) -> str:
    """A plan as it is kept and sent."""
    return json.dumps({"seen": seen, "whole": whole}, ensure_ascii=False, separators=(",", ":"))


def _is_simple(whole: Any, seen: list[Any]) -> bool:
    """Whether any one of the terms is a match, wherever it is found: then they say all."""
    return all(node[0] in ("o", "or") for node in _nodes(whole)) and all(
        node[0] == "|" or (node[0] == "t" and node[3] not in PLACED)
        for comparison in seen
        for node in _nodes(comparison)
    )


def _nodes(node: Any) -> Iterator[Any]:
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        if one[0] not in ("t", "c", "o"):
            waiting.extend(reversed([part for part in one[1:] if isinstance(part, list)]))


def _terms(comparison: Any) -> Iterator[Term]:
    return (Term(node[1], node[2]) for node in _nodes(comparison) if node[0] == "t")


# --- observations ------------------------------------------------------------------------------------


def _observation(one: tree.Observation, seen: list[Any], served: Served) -> list[Any]:
    match one:
        case tree.Seen(expression):
            comparison = _expression(expression, served)
            if not _narrows(comparison):
                raise Refused("unanchored")
            seen.append(comparison)
            return ["o", len(seen) - 1]
        case tree.OneOf():
            return _one_of(one, seen, served)
        case tree.Together(left, right):
            return ["and", _observation(left, seen, served), _observation(right, seen, served)]
        case tree.Followed(left, right):
            return ["then", _observation(left, seen, served), _observation(right, seen, served)]
        case tree.Repeated(inner, times):
            if not 1 <= times <= MOST_TIMES:
                raise Refused("repeats")
            found = _observation(inner, seen, served)
            return found if times == 1 else ["times", times, found]
        case tree.Within(inner, micros):
            if micros > MOST_MICROS:
                return _observation(inner, seen, served)
            return ["within", micros, _observation(inner, seen, served)]
        case tree.Between(inner, start, stop):
            return ["between", _micros(start), _micros(stop), _observation(inner, seen, served)]


def _one_of(one: tree.OneOf, seen: list[Any], served: Served) -> list[Any]:
    """A long list of alternatives is a chain to the left: walked, for it would be too deep to descend."""
    parts: list[tree.Observation] = []
    waiting: list[tree.Observation] = [one]
    while waiting:
        part = waiting.pop()
        if isinstance(part, tree.OneOf):
            waiting += [part.right, part.left]
        else:
            parts.append(part)
    found = []
    reasons = []
    for part in parts:
        before = len(seen)
        try:
            found.append(_observation(part, seen, served))
        except Refused as refused:
            del seen[before:]
            reasons.append(refused.reason)
    if not found:
        raise Refused(reasons[0])
    served.reasons += reasons
    return found[0] if len(found) == 1 else ["or", *found]


def _micros(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


# --- comparisons -------------------------------------------------------------------------------------


def _expression(one: tree.Expression, served: Served) -> list[Any]:
    match one:
        case tree.Both(parts):
            nodes = [_expression(part, served) for part in parts]
            needed = [node for node in nodes if not _is_said(node, nodes)]
            return needed[0] if len(needed) == 1 else ["&", *needed]
        case tree.Either(parts):
            found, reasons = [], []
            for part in parts:
                try:
                    found.append(_expression(part, served))
                except Refused as refused:
                    reasons.append(refused.reason)
            if not found:
                raise Refused(reasons[0])
            served.reasons += reasons
            return found[0] if len(found) == 1 else ["|", *found]
        case Comparison():
            return _comparison(one, served)


def _is_said(node: list[Any], beside: list[list[Any]]) -> bool:
    """Whether a type is asked for that a value beside it has: so do many feeds of addresses."""
    match node:
        case ["c", str(name), "=", False, [str(type)]] if name.endswith("_type") and type in _TYPES:
            side = name.removesuffix("_type")
            return any(one[0] == "t" and one[1] == _TYPES[type] and one[3] == side for one in beside)
    return False


def _comparison(one: Comparison, served: Served) -> list[Any]:
    found = find_property(one.path)
    if found is None:
        raise Refused("path")
    if one.operator is Operator.EXISTS:
        return ["c", found.name, "EXISTS", one.is_negated, []]
    if any(isinstance(value, (Bytes, bool, datetime)) for value in one.values) or not one.values:
        raise Refused("value")
    if found.sort is Sort.NUMBER:
        return _number(one, found)
    if any(not isinstance(value, str) for value in one.values):
        raise Refused("value")
    texts = [str(value) for value in one.values]
    if one.operator is Operator.MATCHES:
        _check_expression(texts[0])
    elif one.operator in (Operator.SUBSET, Operator.SUPERSET) and found.term not in ("ipv4", "ipv6", "host"):
        raise Refused("value")
    elif found.sort is Sort.TERM and one.operator not in (Operator.LIKE, *_ORDERS):
        return _looked_up(one, found, texts, served)
    return ["c", found.name, one.operator.value, one.is_negated, texts]


def _number(one: Comparison, found: Property) -> list[Any]:
    is_served = one.operator in (Operator.EQUAL, Operator.IN, *_ORDERS)
    if not is_served or any(isinstance(value, str) for value in one.values):
        raise Refused("value")
    return ["c", found.name, one.operator.value, one.is_negated, list(one.values)]


def _looked_up(one: Comparison, found: Property, texts: list[str], served: Served) -> list[Any]:
    """``=``, IN, ISSUBSET of values with a normal form: each stands in the matcher's tables."""
    nodes, reasons = [], []
    for text in texts:
        try:
            kind, value = read_term(found.term, one.operator, text)
            nodes.append(["t", kind, value, found.name])
        except Refused as refused:
            reasons.append(refused.reason)
    if not nodes or (reasons and one.is_negated):
        raise Refused(reasons[0])
    served.reasons += reasons
    if one.is_negated or one.operator is Operator.SUPERSET:
        operator = "IN" if one.operator is Operator.EQUAL else one.operator.value
        return ["c", found.name, operator, one.is_negated, [node[2] for node in nodes]]
    return nodes[0] if len(nodes) == 1 else ["|", *nodes]


def read_term(kind: str, operator: Operator, text: str) -> Term:
    """The normal form of a value that is looked up. Raises Refused."""
    if kind == "host":
        kind = host_kind(text)
    if operator in (Operator.SUBSET, Operator.SUPERSET) and kind not in WIDEST:
        raise Refused("value")
    try:
        term = Term(kind, normalise(kind, text))
    except InvalidInput:
        raise Refused("defanged" if is_defanged(text) else "value") from None
    if kind in WIDEST and int(term.value.partition("/")[2] or 128) < WIDEST[kind]:
        raise Refused("too_wide")
    return term


def _check_expression(pattern: str) -> None:
    """The worker serves what RE2 has an automaton for, in little memory; nothing is searched with it here."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = EXPRESSION_MEMORY
    options.never_capture = True
    try:
        if len(pattern) > LONGEST_EXPRESSION:
            raise Refused("expression")
        re2.compile(pattern.encode(), options)
    except (re2.error, UnicodeEncodeError):
        raise Refused("expression") from None


def _narrows(comparison: Any) -> bool:
    """Whether the comparison asks for something that most events do not have."""
    kind = comparison[0]
    if kind == "t":
        return True
    if kind == "&":
        return any(map(_narrows, comparison[1:]))
    if kind == "|":
        return all(map(_narrows, comparison[1:]))
    _, name, operator, is_negated, values = comparison
    if is_negated or operator in _WIDE or name in TELLS_LITTLE:
        return False
    if operator == "LIKE":
        return max(map(len, values[0].replace("_", "%").split("%"))) >= FEWEST_LETTERS
    return operator != "MATCHES" or re2.search(values[0].encode(), b"") is None
