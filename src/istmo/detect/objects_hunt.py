"""Saved hunts: a question about stored events with a name, an owner and perhaps a schedule; and its runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from istmo.detect.objects import Level
from istmo.detect.wire import Position

FAILED_TOO_OFTEN = 3
"""Runs that failed one after another, from which on a hunt is marked."""


EVERYTHING: Final = 3_660 * 86_400
"""Seconds: the longest window there is, which stands for all that is stored."""


class HuntKind(StrEnum):
    """What a hunt's text is written in."""

    QUERY = "query"
    RULES = "rules"
    PATTERN = "pattern"
    SQL = "sql"


@dataclass(frozen=True)
class HuntPlan:
    """What the owner of a hunt says of it. Lengths of time in seconds."""

    name: str
    kind: HuntKind
    text: str
    """The query; Sigma rules as YAML, ids of the node's rules one a line, or ``all``; a STIX pattern; or one
    SELECT."""
    description: str = ""
    window: int = 86_400
    """How far back it looks: each run that somebody asks for, and the first by itself."""
    every: int = 0
    """Between two runs by itself; 0 for none."""
    is_on: bool = True
    """Whether it runs by itself, where it has a schedule."""
    is_alerting: bool = False
    """Whether what a run by itself finds raises an alert."""
    level: Level = Level.MEDIUM
    is_shared: bool = False
    """With the people of this node who may search events."""

    def since(self, now: datetime) -> datetime:
        """Where its window begins; that of everything, at the beginning of 1970."""
        if self.window >= EVERYTHING:
            return datetime.fromtimestamp(0, UTC)
        return now - timedelta(seconds=self.window)


@dataclass(frozen=True)
class HuntRun:
    """One asking of a hunt."""

    by: str
    """``policy.told``: ``system:detect`` for a run by itself."""
    name: str
    """What they were called then."""
    begun: datetime
    ended: datetime
    found: int
    """Events, or rows of SQL (by itself: those that the run before had not); of a run that met its bound, as
    many as it told."""
    is_whole: bool
    """Whether all that was to be seen was seen, and all that was found was told."""
    problem: str = ""
    """The code of why not; empty where there is nothing to say."""
    params: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class SavedHunt:
    """A hunt as it is kept."""

    row: int
    id: str
    plan: HuntPlan
    owner: str
    """``policy.told`` of who saved it."""
    owner_name: str
    """What they were called then."""
    created: datetime
    changed: datetime
    version: int
    """Grows with each change: what an optimistic change is checked against."""
    due: datetime | None
    """When it runs by itself next."""
    upto: Position | None
    """All before this place in the event log was looked at by runs of its own; None before the first."""
    failures: int
    """Runs by itself that failed since the last that did not."""
    last: HuntRun | None = None

    @property
    def has_failed(self) -> bool:
        """Whether somebody should look at why it does not get through."""
        return self.failures >= FAILED_TOO_OFTEN

    @property
    def is_scheduled(self) -> bool:
        """Whether it runs by itself."""
        return self.plan.is_on and self.plan.every > 0
