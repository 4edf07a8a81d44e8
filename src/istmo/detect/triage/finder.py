"""The one place where the way of finding matches is chosen: batches of events in, rules and evidence out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from istmo.detect.normalise import NormalEvent
from istmo.detect.sigma import Rule, RuleSet
from istmo.detect.sigma.engine import Engine, PlanFolder
from istmo.detect.triage.cache import kept_folder


class FoundRule(NamedTuple):
    """A rule that an event of a batch matches, and the fields by which it does."""

    at: int
    """The place of the event in its batch."""
    rule: Rule
    matched: dict[str, Any]


class Finder:
    """Rules asked about batches of events. Not safe to share between threads."""

    def __init__(self, ruleset: RuleSet) -> None:
        folder = kept_folder()
        self._engine = Engine(ruleset, plans=None if folder is None else PlanFolder(folder))

    def find(self, events: Sequence[NormalEvent]) -> Iterator[FoundRule]:
        """Every match in the batch, events in their order, rules in the order of the set."""
        for at, rule in self._engine.find(events):
            yield FoundRule(at, rule, self._engine.explain(rule.id, events[at]).matched)
