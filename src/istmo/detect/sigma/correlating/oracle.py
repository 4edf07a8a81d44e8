"""Correlations asked of a whole list of events at once: slow, and written straight from the text.

The measure that :class:`~istmo.detect.sigma.correlating.correlator.Correlator` is held to. It shares
with it how rules are read, and nothing of how they are evaluated.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from istmo.detect.sigma.conditions import And, Condition, Name, Not
from istmo.detect.sigma.correlations import Correlation
from istmo.detect.sigma.fields import EventView
from istmo.detect.sigma.matchers import read_number
from istmo.detect.sigma.ruleset import RuleSet
from istmo.detect.sigma.texts import fold


class Event(NamedTuple):
    """An event that a rule matches."""

    time: int
    rule_id: str
    fields: Mapping[str, Any]


class Verdict(NamedTuple):
    """A correlation that matches."""

    time: int
    correlation_id: str
    group: tuple[str, ...]
    """Folded."""
    value: Fraction


class _Occurrence(NamedTuple):
    """An event of a rule, or a match below, as one correlation meets it."""

    time: int
    rule: int
    of: tuple[Mapping[str, Any], ...]
    """The fields of the event; of each event that contributes."""


def correlate(ruleset: RuleSet, events: Iterable[Event]) -> list[Verdict]:
    """Every match of every correlation that raises alerts, in the order of time."""
    in_order = sorted(events, key=lambda one: one.time)
    verdicts: list[Verdict] = []
    began: dict[str, list[_Occurrence]] = {}
    held: dict[str, list[_Occurrence]] = {}
    for one in ruleset.correlations:
        below = held if one.is_temporal else began
        occurrences = [
            _Occurrence(event.time, rule, (_renamed(one, rule, event.fields),))
            for event in in_order
            for rule, id_ in enumerate(one.rule_ids)
            if event.rule_id == id_
        ]
        occurrences += [
            match._replace(rule=rule, of=tuple(_renamed(one, rule, fields) for fields in match.of))
            for rule, id_ in enumerate(one.rule_ids)
            for match in below.get(id_, ())
        ]
        occurrences.sort(key=lambda each: each.time)
        began[one.id], held[one.id] = [], []
        for group in sorted({key for each in occurrences for key in _keys(each.of, one.group_by)}):
            members = [each for each in occurrences if group in _keys(each.of, one.group_by)]
            members = [each for each in members if not one.fields or _counted(one, each)]
            quiet_until = -math.inf
            for time in sorted({each.time for each in members}):
                window = [each for each in members if time - one.timespan <= each.time <= time]
                found = _judge(one, window, time)
                if found is None:
                    continue
                value, contributors = found
                is_new = time > quiet_until
                passed_on = [each for each in contributors if is_new or each.time == time]
                match = _Occurrence(time, 0, tuple(fields for each in passed_on for fields in each.of))
                held[one.id].append(match)
                if is_new:
                    began[one.id].append(match)
                    if one.id not in ruleset.silent:
                        verdicts.append(Verdict(time, one.id, group, value))
                quiet_until = time + one.timespan
    return sorted(verdicts)


def _renamed(one: Correlation, rule: int, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event with each alias as a field."""
    renamed = dict(fields)
    for alias, by_rule in one.aliases.items():
        if one.references[rule] in by_rule:
            renamed[alias] = fields.get(by_rule[one.references[rule]])
    return renamed


def _keys(of: Sequence[Mapping[str, Any]], names: Sequence[str]) -> set[tuple[str, ...]]:
    """The combinations of values of these fields, in each of the events."""
    return {
        key
        for fields in of
        for key in itertools.product(*([fold(v.text) for v in EventView(fields).values[n]] for n in names))
    }


def _numbers(one: Correlation, each: _Occurrence) -> list[Fraction]:
    numbers = [read_number(v) for fields in each.of for v in EventView(fields).values[one.fields[0]]]
    return [Fraction(repr(number)) for number in numbers if number is not None and math.isfinite(number)]


def _counted(one: Correlation, each: _Occurrence) -> Sequence[Any]:
    """What of an event is counted, or added."""
    if one.type in ("value_sum", "value_avg") or one.percentile is not None:
        return _numbers(one, each)
    return sorted(_keys(each.of, one.fields))


def _holds(one: Correlation, number: Fraction) -> bool:
    compared = {
        "gt": number.__gt__,
        "gte": number.__ge__,
        "lt": number.__lt__,
        "lte": number.__le__,
        "eq": number.__eq__,
        "neq": number.__ne__,
    }
    return all(compared[bound.operator](Fraction(repr(bound.value))) for bound in one.bounds)


Found = tuple[Fraction, Sequence[_Occurrence]] | None


def _judge(one: Correlation, window: list[_Occurrence], time: int) -> Found:
    if one.is_temporal:
        return _judge_temporal(one, window)
    values = [value for each in window for value in _counted(one, each)] if one.fields else []
    contributors: Sequence[_Occurrence] = window
    match one.type:
        case "event_count":
            number = Fraction(len(window))
        case "value_count":
            number = Fraction(len(set(values)))
            newest = {value: each for each in window for value in _counted(one, each)}
            contributors = [each for each in window if any(each is used for used in newest.values())]
        case "value_sum":
            number = sum(values, Fraction(0))
        case "value_avg":
            number = sum(values, Fraction(0)) / len(values)
        case _ if one.percentile is not None:
            rank = max(1, math.ceil(Fraction(repr(one.percentile)) * len(values) / 100))
            number = sorted(values)[rank - 1]
        case _:
            return _judge_share(one, window, values, time)
    return (number, contributors) if _holds(one, number) else None


def _judge_share(one: Correlation, window: list[_Occurrence], values: list[Any], time: int) -> Found:
    newest = [value for each in window if each.time == time for value in _counted(one, each)]
    shares = {value: Fraction(100 * values.count(value), len(values)) for value in newest}
    rare = [value for value in newest if _holds(one, shares[value])]
    if not rare:
        return None
    return shares[rare[-1]], [each for each in window if not set(rare).isdisjoint(_counted(one, each))]


def _judge_temporal(one: Correlation, window: list[_Occurrence]) -> Found:
    seen = sorted({each.rule for each in window})
    is_ordered = one.type == "temporal_ordered"
    if one.bounds:
        chains = [
            rules
            for count in range(len(seen), 0, -1)
            for rules in itertools.combinations(seen, count)
            if not is_ordered or _in_order(rules, window)
        ]
        number = Fraction(len(chains[0]) if chains else 0)
        latest = [[each for each in window if each.rule == rule][-1] for rule in seen]
        return (number, latest) if _holds(one, number) else None
    for count in range(1, len(seen) + 1):
        for rules in itertools.combinations(seen, count):
            if one.expression is None:
                is_enough = len(rules) == len(one.rule_ids)
            else:
                is_enough = _is_true(one.expression, one.references, rules, seen, is_negated=False)
            if is_enough and (not is_ordered or _in_order(rules, window)):
                chosen = _in_order(rules, window) if is_ordered else None
                return Fraction(count), chosen or [
                    [each for each in window if each.rule == rule][-1] for rule in rules
                ]
    return None


def _in_order(rules: Sequence[int], window: list[_Occurrence]) -> list[_Occurrence]:
    """One event of each rule, none before that of the rule before it: the newest such; empty if none."""
    for chain in itertools.product(*([e for e in reversed(window) if e.rule == r] for r in reversed(rules))):
        if all(later.time >= earlier.time for later, earlier in itertools.pairwise(chain)):
            return list(reversed(chain))
    return []


def _is_true(
    condition: Condition,
    references: Sequence[str],
    chosen: Sequence[int],
    seen: Sequence[int],
    *,
    is_negated: bool,
) -> bool:
    """Whether it is, by the rules chosen; what stands under ``not`` must not have been seen at all."""
    if isinstance(condition, Name):
        return references.index(condition.name) in (seen if is_negated else chosen)
    if isinstance(condition, Not):
        return not _is_true(condition.of, references, chosen, seen, is_negated=not is_negated)
    parts = (_is_true(part, references, chosen, seen, is_negated=is_negated) for part in condition.of)
    return all(parts) if isinstance(condition, And) else any(parts)
