"""The one place where the way of finding matches is chosen: batches of events in, rules and evidence out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from istmo.detect.normalise import NormalEvent
from istmo.detect.sigma import Evaluator, Rule, RuleSet


class FoundRule(NamedTuple):
    """A rule that an event of a batch matches, and the fields by which it does."""

    at: int
    """The place of the event in its batch."""
    rule: Rule
    matched: dict[str, Any]


class Finder:
    """Rules asked about batches of events. Not safe to share between threads."""

    def __init__(self, ruleset: RuleSet) -> None:
        self._by_id = ruleset.by_id
        self._evaluator = Evaluator(ruleset)

    def find(self, events: Sequence[NormalEvent]) -> Iterator[FoundRule]:
        """Every match in the batch, events in their order, rules in the order of the set."""
        for at, event in enumerate(events):
            for match in self._evaluator.match(event.fields, event.logsources):
                yield FoundRule(at, self._by_id[match.rule_id], match.matched)
