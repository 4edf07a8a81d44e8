"""The one place where the way of finding matches is chosen: batches of events in, rules and evidence out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from istmo.detect.normalise import NormalEvent
from istmo.detect.sigma import Rule, RuleSet
from istmo.detect.sigma.engine import Engine, PlanFolder


class FoundRule(NamedTuple):
    """A rule that an event of a batch matches, and the fields by which it does."""

    at: int
    """The place of the event in its batch."""
    rule: Rule
    matched: dict[str, Any]


class Finder:
    """Rules asked about batches of events. Not safe to share between threads."""

    def __init__(self, ruleset: RuleSet) -> None:
        self._engine = Engine(ruleset, plans=kept_plans())

    def find(self, events: Sequence[NormalEvent]) -> Iterator[FoundRule]:
        """Every match in the batch, events in their order, rules in the order of the set."""
        for at, rule in self._engine.find(events):
            yield FoundRule(at, rule, self._engine.explain(rule.id, events[at]).matched)


def kept_plans() -> PlanFolder | None:
    """Compiled rules of this person's earlier hunts; None where this machine has no safe place for them."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    try:
        return PlanFolder(Path(cache) / "istmo" / "plans")
    except (OSError, RuntimeError):
        return None
