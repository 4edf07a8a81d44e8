"""A correlation rule as it is written (correlation rules specification 2.1, "Correlation section")."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from istmo.detect.sigma.conditions import And, Condition, Name, Not, parse_condition
from istmo.detect.sigma.documents import Document, List, Map, WrittenNumber
from istmo.detect.sigma.limits import STANDARD, RuleLimits
from istmo.detect.sigma.problems import Refused
from istmo.detect.sigma.rules import LEVELS, checked_title, text, texts

TYPES = (
    "event_count",
    "value_count",
    "temporal",
    "temporal_ordered",
    "value_sum",
    "value_avg",
    "value_percentile",
)
TEMPORAL = frozenset({"temporal", "temporal_ordered"})
VALUED = frozenset({"value_count", "value_sum", "value_avg", "value_percentile"})
OPERATORS = ("gt", "gte", "lt", "lte", "eq", "neq")
LOWER = frozenset({"gt", "gte"})
SECOND = 1_000_000
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "M": 30 * 86_400, "y": 365 * 86_400}
"""Seconds. Months and years have no length of their own: 30 and 365 days."""
_TIMESPAN = re.compile(r"([0-9]{1,9})([smhdwMy])", re.ASCII)


class Bound(NamedTuple):
    """One criterion of a condition: a number is held against it."""

    operator: str
    value: float

    def holds(self, number: float) -> bool:
        wanted = self.value
        match self.operator:
            case "gt":
                return number > wanted
            case "gte":
                return number >= wanted
            case "lt":
                return number < wanted
            case "lte":
                return number <= wanted
            case "eq":
                return number == wanted
        return number != wanted


class Term(NamedTuple):
    """One way in which a boolean condition holds: positions in ``rules`` that must, and must not, occur."""

    required: tuple[int, ...]
    excluded: frozenset[int]


@dataclass(frozen=True, slots=True)
class Correlation:
    """One correlation rule, checked by itself; ``rule_ids`` says what its references came to."""

    id: str
    title: str
    type: str
    references: tuple[str, ...]
    """Ids or names, as written."""
    group_by: tuple[str, ...]
    timespan: int
    """Microseconds."""
    bounds: tuple[Bound, ...] = ()
    """All must hold. Empty where a temporal correlation has a boolean condition."""
    terms: tuple[Term, ...] = ()
    """One must hold."""
    expression: Condition | None = field(default=None, repr=False)
    """The boolean condition as written, which ``terms`` spell out."""
    fields: tuple[str, ...] = ()
    percentile: float | None = None
    aliases: dict[str, dict[str, str]] = field(default_factory=dict)
    """Alias to the field that it stands for, by reference."""
    is_generating: bool = False
    """``generate``: the rules that it refers to raise alerts of their own too."""
    level: str = ""
    name: str = ""
    status: str = ""
    description: str = ""
    author: str = ""
    license: str = ""
    date: str = ""
    modified: str = ""
    tags: tuple[str, ...] = ()
    references_read: tuple[str, ...] = ()
    """The attribute ``references``: what the author read."""
    falsepositives: tuple[str, ...] = ()
    file: str = ""
    line: int = 0
    lines: tuple[int, ...] = ()
    """Where each reference stands."""
    digest: str = ""
    rule_ids: tuple[str, ...] = ()
    """Ids of the rules and correlations that it refers to, in the order of ``references``."""

    @property
    def is_temporal(self) -> bool:
        return self.type in TEMPORAL


def parse_correlation(document: Document, file: str = "", limits: RuleLimits = STANDARD) -> Correlation:
    """The correlation rule that a document holds, its references not looked up yet.

    Raises Refused with the reason and line.
    """
    content: Map = document.content
    title = checked_title(content, limits)
    section = content["correlation"]
    if not isinstance(section, Map):
        raise Refused("no_correlation", content.line_of("correlation"))
    kind = section.get("type")
    if kind not in TYPES:
        raise Refused("correlation_type", section.line_of("type"), type=str(kind)[:100])
    references, lines = _references(section, limits)
    bounds, terms, expression, fields, percentile = _condition(section, str(kind), references, limits)
    digest = hashlib.sha256(document.text.encode("utf-8", "surrogatepass")).hexdigest()
    level = text(content, "level").lower()
    return Correlation(
        id=text(content, "id").lower() or f"unnamed-{digest[:32]}",
        title=title,
        type=str(kind),
        references=references,
        lines=lines,
        group_by=_names(section, "group-by", "group_by", limits),
        timespan=parse_timespan(section),
        bounds=bounds,
        terms=terms,
        expression=expression,
        fields=fields,
        percentile=percentile,
        aliases=_aliases(section, references, limits),
        is_generating=_generate(content, section),
        level=level if level in LEVELS else "",
        name=text(content, "name"),
        status=text(content, "status"),
        description=text(content, "description"),
        author=text(content, "author"),
        license=text(content, "license"),
        date=text(content, "date"),
        modified=text(content, "modified"),
        tags=texts(content, "tags"),
        references_read=texts(content, "references"),
        falsepositives=texts(content, "falsepositives"),
        file=file,
        line=document.line,
        digest=digest,
    )


def parse_timespan(section: Map) -> int:
    """Microseconds. Raises Refused unless it is a number and one of ``s m h d w M y``."""
    written = section.get("timespan")
    found = _TIMESPAN.fullmatch(written) if isinstance(written, str) else None
    seconds = int(found[1]) * UNITS[found[2]] if found else 0
    if not 0 < seconds <= 5 * UNITS["y"]:
        raise Refused("timespan", section.line_of("timespan"), timespan=str(written)[:100])
    return seconds * SECOND


def _references(section: Map, limits: RuleLimits) -> tuple[tuple[str, ...], tuple[int, ...]]:
    written = section.get("rules")
    line = section.line_of("rules")
    elements = written if isinstance(written, List) else [written]
    if not elements or not all(isinstance(one, str) and one for one in elements):
        raise Refused("references", line)
    if len(elements) > limits.references:
        raise Refused("too_many_references", line, limit=limits.references)
    twice = next((one for at, one in enumerate(elements) if one in elements[:at]), None)
    if twice is not None:
        raise Refused("reference_twice", line, name=twice[:200])
    # A sequence written over several lines has one element a line in all but the oddest layouts.
    first = written.line if isinstance(written, List) else line
    lines = tuple(first + at if first > line else line for at in range(len(elements)))
    return tuple(elements), lines


def _names(section: Map, key: str, attribute: str, limits: RuleLimits) -> tuple[str, ...]:
    """Field names: none, one, or a list."""
    written = section.get(key)
    if written is None:
        return ()
    elements = written if isinstance(written, List) else [written]
    if len(elements) > limits.group_fields or not all(isinstance(one, str) and one for one in elements):
        raise Refused("field_names", section.line_of(key), attribute=attribute, limit=limits.group_fields)
    return tuple(dict.fromkeys(elements))


def _aliases(section: Map, references: tuple[str, ...], limits: RuleLimits) -> dict[str, dict[str, str]]:
    written = section.get("aliases")
    if written is None:
        return {}
    line = section.line_of("aliases")
    if not isinstance(written, Map) or len(written) > limits.group_fields:
        raise Refused("aliases", line)
    aliases: dict[str, dict[str, str]] = {}
    for alias, by_rule in written.items():
        if not isinstance(by_rule, Map) or not all(isinstance(one, str) and one for one in by_rule.values()):
            raise Refused("aliases", written.line_of(alias))
        for reference in by_rule:
            if reference not in references:
                raise Refused("alias_of_stranger", by_rule.line_of(reference), name=reference, alias=alias)
        aliases[alias] = dict(by_rule)
    return aliases


def _generate(content: Map, section: Map) -> bool:
    """The specification has it beside ``correlation``, much that is published inside."""
    for where in (content, section):
        if "generate" in where:
            if not isinstance(where["generate"], bool):
                raise Refused("generate_needs_boolean", where.line_of("generate"))
            return bool(where["generate"])
    return False


Parsed = tuple[tuple[Bound, ...], tuple[Term, ...], Condition | None, tuple[str, ...], float | None]


def _condition(section: Map, kind: str, references: tuple[str, ...], limits: RuleLimits) -> Parsed:
    written = section.get("condition")
    line = section.line_of("condition")
    if kind in TEMPORAL and written is None:
        if kind == "temporal":
            return (Bound("gte", len(references)),), (), None, (), None
        return (), (Term(tuple(range(len(references))), frozenset()),), None, (), None
    if kind in TEMPORAL and isinstance(written, str):
        try:
            tree = parse_condition(written, references, limits)
        except Refused as refused:
            raise refused.at(line) from None
        return (), terms_of(tree, references, line, limits), tree, (), None
    if not isinstance(written, Map):
        raise Refused("correlation_condition", line)
    if kind == "temporal_ordered" and len(references) > limits.counted_in_order:
        raise Refused("too_many_references", section.line_of("rules"), limit=limits.counted_in_order)
    return _criteria(written, kind, limits)


def _criteria(written: Map, kind: str, limits: RuleLimits) -> Parsed:
    allowed = {*OPERATORS}
    if kind in VALUED:
        allowed.add("field")
    if kind == "value_percentile":
        allowed.add("percentile")
    for key in written:
        if key not in allowed:
            raise Refused("criterion_unknown", written.line_of(key), criterion=key[:100], type=kind)
    bounds = tuple(Bound(name, _number(written, name)) for name in OPERATORS if name in written)
    if not bounds:
        raise Refused("no_criterion", written.line)
    fields = _names(written, "field", "field", limits)
    if kind in VALUED and not fields:
        raise Refused("no_field", written.line, type=kind)
    if kind in ("value_sum", "value_avg") and len(fields) > 1:
        raise Refused("one_field", written.line_of("field"), type=kind)
    percentile = None
    if "percentile" in written:
        percentile = _number(written, "percentile")
        if not 0 < percentile <= 100 or len(fields) > 1:
            raise Refused("percentile", written.line_of("percentile"))
    return bounds, (), None, fields, percentile


def _number(written: Map, key: str) -> float:
    found: Any = written[key]
    if isinstance(found, WrittenNumber):
        found = found.value
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not math.isfinite(found):
        raise Refused("criterion_needs_number", written.line_of(key), criterion=key)
    return found


def terms_of(
    condition: Condition, references: tuple[str, ...], line: int, limits: RuleLimits
) -> tuple[Term, ...]:
    """A boolean condition over rules as the ways in which it can hold, required rules in their order.

    Raises Refused where it holds without any event (``not a``), or in too many ways.
    """
    position = {reference: at for at, reference in enumerate(references)}

    def ways(one: Condition, is_negated: bool) -> list[Term]:
        if isinstance(one, Name):
            at = position[one.name]
            return [Term((), frozenset({at})) if is_negated else Term((at,), frozenset())]
        if isinstance(one, Not):
            return ways(one.of, not is_negated)
        parts = [ways(part, is_negated) for part in one.of]
        if isinstance(one, And) is is_negated:
            return [term for part in parts for term in part]
        if math.prod(map(len, parts)) > limits.terms:
            raise Refused("too_many_terms", line, limit=limits.terms)
        return [_joined(chosen) for chosen in itertools.product(*parts)]

    found = [term for term in ways(condition, False) if term.excluded.isdisjoint(term.required)]
    if not found or any(not term.required for term in found):
        raise Refused("nothing_required", line)
    if len(found) > limits.terms:
        raise Refused("too_many_terms", line, limit=limits.terms)
    return tuple(sorted(dict.fromkeys(found), key=lambda term: len(term.required)))


def _joined(terms: tuple[Term, ...]) -> Term:
    required = sorted({at for term in terms for at in term.required})
    return Term(tuple(required), frozenset().union(*(term.excluded for term in terms)))
