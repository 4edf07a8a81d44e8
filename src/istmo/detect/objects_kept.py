"""What is kept of stored events, as people see and set it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class SourceKeep:
    """What was said of one source: whole days and bytes; 0 is no bound of its own."""

    days: int = 0
    budget: int = 0


@dataclass(frozen=True)
class SourceKept:
    """One source: what was said of it, and what its events take on disk."""

    id: str
    name: str
    """Empty for events of a source that this node does not know."""
    keep: SourceKeep
    bytes: int


@dataclass(frozen=True)
class Sealed:
    """How stored events rest, in bytes on disk of closed segments."""

    key: str
    """The id of the key that seals what is written now; empty where it is plain."""
    sealed: int
    """With that key."""
    older: int
    """With another key."""
    plain: int
    shut: int
    """Segments that are sealed with a key that is not there."""


@dataclass(frozen=True)
class Kept:
    """What the node holds of events, and for how long it will have room."""

    oldest: datetime | None
    """When the oldest event came in; None where none rests yet, or the worker does not say."""
    bytes: int
    daily_bytes: int
    """What a day brings at the rate of the last week; 0 where it is not known yet."""
    days_left: int | None
    """Until the disk or the budget is full at that rate; None where the rate is not known."""
    keep: SourceKeep
    """For the whole store."""
    sources: Sequence[SourceKept]
    sealed: Sealed | None = None
    """None where no key is known and nothing is sealed, or the worker does not say."""
