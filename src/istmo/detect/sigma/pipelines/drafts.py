"""A rule while pipelines work on it."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from istmo.detect.sigma.conditions import And, Condition, Name, Not, Or
from istmo.detect.sigma.detections import Item, Search
from istmo.detect.sigma.limits import RuleLimits
from istmo.detect.sigma.pipelines.placeholders import first_placeholder
from istmo.detect.sigma.problems import Refused
from istmo.detect.sigma.rules import Rule
from istmo.detect.sigma.values import Value

GROUPS = 10_000
"""Alternatives that one search identifier may come to."""


@dataclass(slots=True)
class DraftItem:
    """A field and its values, and the processing items that have changed it."""

    field: str
    values: list[Value]
    is_all: bool
    is_negated: bool
    applied: set[str] = dataclasses.field(default_factory=set)

    def named(self, name: str) -> DraftItem:
        return DraftItem(name, list(self.values), self.is_all, self.is_negated, set(self.applied))


@dataclass(slots=True)
class DraftGroup:
    """Items joined by *and* or *or*."""

    of: list[DraftItem | DraftGroup]
    is_or: bool

    def items(self) -> Iterator[DraftItem]:
        for one in self.of:
            if isinstance(one, DraftItem):
                yield one
            else:
                yield from one.items()

    def change(self, made: Callable[[DraftItem], DraftItem | DraftGroup | None]) -> None:
        """Put in each item's place what ``made`` gives for it, which is not looked at again."""
        changed: list[DraftItem | DraftGroup] = []
        for one in self.of:
            if isinstance(one, DraftGroup):
                one.change(made)
                changed.append(one)
            elif (found := made(one)) is not None:
                changed.append(found)
        self.of = changed

    def alternatives(self) -> list[tuple[Item, ...]]:
        """The same as alternatives of items that must all hold; none where nothing is left."""
        below = [
            [(Item(one.field, tuple(one.values), one.is_all, one.is_negated),)]
            if isinstance(one, DraftItem)
            else one.alternatives()
            for one in self.of
        ]
        below = [one for one in below if one]
        if self.is_or or not below:
            made = [group for one in below for group in one]
        else:
            count = 1
            for one in below:
                count *= len(one)
            if count > GROUPS:
                raise Refused("pipeline_too_large", limit=GROUPS)
            made = [tuple(itertools.chain(*chosen)) for chosen in itertools.product(*below)]
        if len(made) > GROUPS:
            raise Refused("pipeline_too_large", limit=GROUPS)
        return made


class Draft:
    """The rule's parts that may change, and what the run so far has left behind."""

    def __init__(self, rule: Rule, variables: dict[str, Any], limits: RuleLimits) -> None:
        self.rule = rule
        self.limits = limits
        self.variables = variables
        self.logsource = rule.logsource
        self.condition = rule.condition
        self.fields = list(rule.fields)
        self.searches = {name: draft_search(search) for name, search in rule.searches.items()}
        self.attributes: dict[str, Any] = {}
        self.applied: set[str] = set()
        self.state: dict[str, Any] = {}
        self.field_applied: dict[str, set[str]] = {}
        self.mapped: set[str] = set()
        """Names that a mapping began from or led to."""

    def items(self) -> Iterator[DraftItem]:
        for search in self.searches.values():
            yield from search.items()

    def finish(self, digest: str) -> Rule:
        """The rule as it is now. Raises Refused where nothing is left of it, or a placeholder waits."""
        searches: dict[str, Search] = {}
        for name, draft in self.searches.items():
            groups = draft.alternatives()
            if groups:
                searches[name] = Search(tuple(groups))
        condition = without(self.condition, searches.keys() ^ self.searches.keys())
        if condition is None:
            raise Refused("pipeline_nothing_left")
        for item in self.items():
            for value in item.values:
                if (waiting := first_placeholder(value)) is not None:
                    raise Refused("unknown_placeholder", placeholder=f"%{waiting}%", field=item.field)
            if len(item.values) > self.limits.values:
                raise Refused("too_many_values", limit=self.limits.values, field=item.field)
        made = replace(
            self.rule,
            logsource=self.logsource,
            searches=searches,
            condition=condition,
            fields=tuple(self.fields),
        )
        if made == self.rule:
            return self.rule
        return replace(made, digest=hashlib.sha256(f"{self.rule.digest}|{digest}".encode()).hexdigest())


def draft_search(search: Search) -> DraftGroup:
    return DraftGroup(
        [
            DraftGroup([DraftItem(i.field, list(i.values), i.is_all, i.is_negated) for i in group], False)
            for group in search.groups
        ],
        True,
    )


def without(condition: Condition, gone: set[str]) -> Condition | None:
    """A condition without search identifiers of which nothing is left; None where it was nothing else."""
    if not gone:
        return condition
    if isinstance(condition, Name):
        return None if condition.name in gone else condition
    if isinstance(condition, Not):
        inner = without(condition.of, gone)
        return None if inner is None else Not(inner)
    kept = tuple(one for one in (without(part, gone) for part in condition.of) if one is not None)
    if len(kept) < 2:
        return kept[0] if kept else None
    return And(kept) if isinstance(condition, And) else Or(kept)
