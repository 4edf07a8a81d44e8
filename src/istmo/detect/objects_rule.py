"""The nouns of working on rules: what a list is narrowed to, an exception and its trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from istmo.detect.wire import LeftOutRule, Problem, RuleMatch


class RuleOrder(StrEnum):
    """What stands first in a list of rules."""

    TITLE = "title"
    HITS = "hits"
    """The most matches ``since`` a moment, of alerts that the asker may read."""
    COST = "cost"
    UPDATED = "updated"


@dataclass(frozen=True)
class RuleFilter:
    """What a list of rules is narrowed to; empty means all."""

    words: tuple[str, ...] = ()
    level: str = ""
    kind: str = ""
    is_enabled: bool | None = None
    is_slow: bool = False
    part: str = ""
    """A product, category or service of the log source."""
    tag: str = ""
    author: str = ""
    has_hits: bool | None = None
    """Whether it raised an alert ``since`` then."""
    since: datetime | None = None


@dataclass(frozen=True)
class Switched:
    """What a change of many rules did. ``at`` names it, so that it can be taken back."""

    number: int
    at: datetime


@dataclass(frozen=True)
class Tried:
    """What a rule matched in a stretch of stored events."""

    start: datetime
    end: datetime
    matches: tuple[RuleMatch, ...] = ()
    """The first that were met."""
    count: int = 0
    looked: int = 0
    """Events that were looked at."""
    left_out: tuple[LeftOutRule, ...] = ()
    problem: Problem | None = None
    is_cut: bool = False
    """The time was up before everything was looked at."""


@dataclass(frozen=True)
class Kept:
    """What an exception would have left of a rule's matches."""

    before: Tried
    away: int
    """Matches that it would have kept away."""


@dataclass(frozen=True)
class Exempted:
    """An exception as a person says it: this field, held against this value so, is harmless for this rule."""

    name: str
    field: str
    operator: str
    """Of ``detect.exceptions.OPERATORS``."""
    values: tuple[str, ...]
    """Any of them."""
    reason: str

    def told(self) -> Mapping[str, Any]:
        """What an audit line names of it."""
        return {"field": self.field, "operator": self.operator, "values": len(self.values)}
