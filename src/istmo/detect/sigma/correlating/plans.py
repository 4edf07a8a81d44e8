"""Correlations of a rule set made ready: who feeds whom, and what of an event each of them needs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from istmo.detect.sigma.correlating.matches import CorrelatorLimits, Reference
from istmo.detect.sigma.correlating.temporal import Temporal, TemporalOrdered
from istmo.detect.sigma.correlating.values import Fields, Key, combinations, merged, numbers_at
from istmo.detect.sigma.correlating.windows import (
    Contributor,
    Counted,
    EventCount,
    Numbers,
    Share,
    ValueCount,
)
from istmo.detect.sigma.correlations import Correlation
from istmo.detect.sigma.fields import EventView

AnyWindow = EventCount | ValueCount | Numbers | Share | Temporal | TemporalOrdered

CARRIED_VALUES = 64
"""Of one field of one event."""


class Prepared:
    """An event as one correlation needs it: its groups, and what of it is counted."""

    __slots__ = ("counted", "groups")

    def __init__(self, groups: dict[Key, Key], counted: Counted) -> None:
        self.groups = groups
        self.counted = counted


class Plan:
    """One correlation, ready."""

    __slots__ = (
        "binding",
        "carried",
        "correlation",
        "counts_numbers",
        "index",
        "is_temporal",
        "limits",
        "parents",
        "resolved",
        "window_class",
    )

    def __init__(self, correlation: Correlation, index: int, limits: CorrelatorLimits) -> None:
        self.correlation = correlation
        self.index = index
        self.limits = limits
        self.parents: list[tuple[Plan, int]] = []
        """Correlations over this one, with this one's position in their rules."""
        self.carried: tuple[str, ...] = ()
        """Fields that they will ask for."""
        self.is_temporal = correlation.is_temporal
        self.counts_numbers = False
        self.window_class: type[AnyWindow]
        match correlation.type:
            case "event_count":
                self.window_class = EventCount
            case "value_count":
                self.window_class = ValueCount
            case "temporal":
                self.window_class = Temporal
            case "temporal_ordered":
                self.window_class = TemporalOrdered
            case "value_percentile" if correlation.percentile is None:
                self.window_class = Share
            case _:
                self.window_class = Numbers
                self.counts_numbers = True
        self.resolved = tuple(
            {
                alias: by_rule[reference]
                for alias, by_rule in correlation.aliases.items()
                if reference in by_rule
            }
            for reference in correlation.references
        )
        """What each alias stands for, by position in ``rules``."""
        self.binding = ""

    def window(self) -> AnyWindow:
        return self.window_class(self.correlation, self.limits.contributors, self.limits.window)

    def fields_needed(self) -> set[str]:
        """Names that this correlation asks for, whatever its aliases make of them."""
        named = {*self.correlation.group_by, *self.correlation.fields}
        return named | {field for aliases in self.resolved for field in aliases.values()}

    def names(self, written: Sequence[str], rule: int) -> tuple[str, ...]:
        aliases = self.resolved[rule]
        return tuple(aliases.get(name, name) for name in written) if aliases else tuple(written)

    def prepare(self, fields: Fields, time: int, reference: Reference, rule: int) -> Prepared | None:
        """What an event comes to here; None where it belongs to no group or has nothing to count."""
        carried: tuple[dict[str, Any], ...] | None = None
        if self.parents:
            carried = (self._carry(fields, rule),)
        return self._prepared((fields,), Contributor(time, time, (reference,), carried), rule)

    def prepare_match(self, by: Contributor, from_fields: Sequence[Fields], rule: int) -> Prepared | None:
        """What a match of a correlation below comes to here: the groups of all its contributors."""
        carried: tuple[dict[str, Any], ...] | None = None
        if self.parents:
            carried = tuple(self._carry(fields, rule) for fields in from_fields)
        return self._prepared(from_fields, by._replace(carried=carried), rule)

    def _prepared(self, from_fields: Sequence[Fields], by: Contributor, rule: int) -> Prepared | None:
        correlation = self.correlation
        groups = self._combinations(from_fields, correlation.group_by, rule) if correlation.group_by else _ALL
        if not groups:
            return None
        values: list[Key] | list[int] = []
        if self.counts_numbers:
            (name,) = self.names(correlation.fields, rule)
            values = [number for fields in from_fields for number in numbers_at(fields, name)]
            if not values:
                return None
        elif correlation.fields:
            values = list(self._combinations(from_fields, correlation.fields, rule))
            if not values:
                return None
        return Prepared(groups, Counted(by, rule, values))

    def _combinations(
        self, from_fields: Sequence[Fields], written: Sequence[str], rule: int
    ) -> dict[Key, Key]:
        names = self.names(written, rule)
        most = self.limits.groups_of_event
        if len(from_fields) == 1:
            return combinations(from_fields[0], names, most)
        return merged((combinations(fields, names, most) for fields in from_fields), most)

    def _carry(self, fields: Fields, rule: int) -> dict[str, Any]:
        aliases = self.resolved[rule]
        view = EventView(fields)
        carried: dict[str, Any] = {}
        for name in self.carried:
            values = view.values[aliases.get(name, name)]
            if values:
                carried[name] = [value.raw for value in values[:CARRIED_VALUES]]
        return carried


_ALL: dict[Key, Key] = {(): ()}
"""The one group of a correlation without ``group-by``."""


def make_plans(
    correlations: Sequence[Correlation], limits: CorrelatorLimits
) -> tuple[list[Plan], dict[str, list[tuple[Plan, int]]]]:
    """Plans, parts first; by the id of a rule the plans that it feeds, with its position in their rules."""
    plans = [Plan(one, index, limits) for index, one in enumerate(correlations)]
    by_id = {plan.correlation.id: plan for plan in plans}
    uses: dict[str, list[tuple[Plan, int]]] = {}
    for plan in plans:
        for at, id_ in enumerate(plan.correlation.rule_ids):
            below = by_id.get(id_)
            (uses.setdefault(id_, []) if below is None else below.parents).append((plan, at))
    for plan in reversed(plans):
        needed: set[str] = set()
        for parent, _ in plan.parents:
            needed |= parent.fields_needed() | set(parent.carried)
        plan.carried = tuple(sorted(needed))
    for plan in plans:
        parts = [plan.correlation.digest, *plan.correlation.rule_ids, *plan.carried]
        parts += [by_id[id_].binding for id_ in plan.correlation.rule_ids if id_ in by_id]
        plan.binding = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return plans, uses
