"""What the correlator tells, and within which bounds it works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

Reference = str | int
"""What the caller knows an event by."""


class CorrelationMatch(NamedTuple):
    """A correlation that became true for a group."""

    correlation_id: str
    title: str
    level: str
    group: dict[str, str]
    """Field, or alias, of ``group-by`` to its value as the group's first event spelled it."""
    references: tuple[Reference, ...]
    """Contributing events, the newest where there are too many, oldest first."""
    first: int
    """Microseconds since 1970: the oldest event that contributes …"""
    last: int
    """… and the newest, which made it true."""
    value: float
    """What the condition was held against: a count, sum, average, percentile, or number of rules."""


@dataclass(frozen=True, slots=True)
class CorrelatorLimits:
    """Counts. What is oldest goes first where one is reached, and it is told in :class:`Counts`."""

    groups: int = 200_000
    """In all correlations together."""
    remembered: int = 2_000_000
    """Events in all windows together."""
    window: int = 200_000
    """Events in one group of one correlation."""
    held: int = 200_000
    """Events that wait for earlier ones to arrive."""
    contributors: int = 64
    """Events that a match names, and whose fields a correlation over it can group by."""
    groups_of_event: int = 64
    """Groups that one event belongs to, where fields of ``group-by`` hold lists."""


class Counts(msgspec.Struct):
    """What did not go the ordinary way since the beginning."""

    late: int = 0
    """Events that came after the lateness allowed, and were left out."""
    without_group: int = 0
    """Events that lack a field of ``group-by``, or the field that is counted."""
    from_future: int = 0
    """Events that were dated later than they can have been received."""
    groups_forgotten: int = 0
    """Groups given up while they could still have matched, for room."""
    events_forgotten: int = 0
    """Events given up so, in windows that were too full."""
    hurried: int = 0
    """Events judged before their lateness was over, for room."""
