"""The nouns of triage: lines of the queue, what is done to alerts, and what was done before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

from istmo.detect.objects import Alert, CloseReason, Level, Status
from istmo.model.markings import Tlp
from istmo.policy import Principal

MOST_AT_ONCE: Final = 10_000
"""Alerts that one change may be about."""
COUNTED: Final = 10_000
"""Up to how many are counted for a page; of more it is said that there are more."""
NO_HOST: Final = "-"
"""In an address: alerts of which no host is known."""


class Grouping(StrEnum):
    """What a line of the queue stands for."""

    SUBJECT = "subject"
    HOST = "host"
    NONE = "none"


class Deed(StrEnum):
    """What was done to an alert."""

    ACKNOWLEDGE = "acknowledge"
    CLOSE = "close"
    OPEN = "open"
    ASSIGN = "assign"
    SNOOZE = "snooze"
    UNDO = "undo"
    WAKE = "wake"
    """It came back before its time, since its level rose: by itself."""


class Until(StrEnum):
    """How long an alert is put off."""

    HOUR = "hour"
    MORNING = "morning"
    DAY = "day"
    WEEK = "week"


LENGTHS: Final[Mapping[Until, timedelta]] = {
    Until.HOUR: timedelta(hours=1),
    Until.DAY: timedelta(days=1),
    Until.WEEK: timedelta(days=7),
}
LONGEST_SNOOZE: Final = timedelta(days=90)


@dataclass(frozen=True)
class AlertGroup:
    """A line of the queue: alerts of one subject, or on one host. Counts are of what the asker may read."""

    detector: str
    subject: str
    """Empty where the line is a host's."""
    host: str
    """:data:`NO_HOST` where none is known; empty where the line is a subject's."""
    title: str
    """Of its newest alert."""
    newest: str
    """The id of that alert."""
    version: int
    """Of that alert."""
    alerts: int
    hosts: int
    subjects: int
    events: int
    level: Level
    """The worst."""
    tlp: Tlp
    """The strictest."""
    last_seen: datetime
    taken: int
    """How many of them are somebody's."""
    assignee: str
    """Whose, where they are all one person's."""


@dataclass(frozen=True)
class GroupPage:
    """Lines of the queue. ``total`` is None where they are not counted: of hosts."""

    items: tuple[AlertGroup, ...]
    next: str | None
    total: int | None


@dataclass(frozen=True)
class AlertState:
    """What work on an alert may change, and what is asked before."""

    row: int
    id: str
    detector: str
    subject: str
    level: Level
    tlp: Tlp
    owner: str
    version: int
    status: Status
    reason: CloseReason | None
    note: str
    assignee: str
    snoozed_until: datetime | None
    worked: datetime | None

    @classmethod
    def of(cls, alert: Alert) -> AlertState:
        """As an alert stands."""
        return cls(**{one.name: getattr(alert, one.name) for one in fields(cls)})

    def value(self, name: str) -> Any:
        """One of them by its name."""
        return getattr(self, name)


@dataclass(frozen=True)
class Past:
    """One change of one alert. ``before`` and ``after`` hold what changed, as plain values."""

    change: str
    """The id of the change, which may be about many alerts."""
    at: datetime
    by: str
    """``policy.told``."""
    deed: Deed
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    version: int
    """The alert's, after it."""
    is_undone: bool
    row: int = 0
    """The alert's."""


@dataclass(frozen=True)
class Done:
    """What a change came to. ``left``: alerts that somebody else had changed, or that it is not for."""

    deed: Deed
    change: str
    """Its id, for taking it back; empty where nothing was changed."""
    number: int
    left: int = 0
    was: Deed | None = None
    """What was taken back, of an undo."""


@dataclass(frozen=True)
class Picked:
    """What a change is about: alerts by id, each with the version that was seen (None: whichever), and lines.

    ``seen``: the time of the page that lines were read from: what came or was changed since is left alone.
    """

    alerts: Mapping[str, int | None] = field(default_factory=dict)
    subjects: tuple[tuple[str, str], ...] = ()
    hosts: tuple[str, ...] = ()
    seen: datetime | None = None


# What triage needs of other rooms; wired in ``node.py``.


class Seen(Protocol):
    """That a member saw an indicator."""

    @property
    def origin(self) -> str: ...
    @property
    def count(self) -> int: ...
    @property
    def first_seen(self) -> datetime | None: ...
    @property
    def last_seen(self) -> datetime | None: ...


@dataclass(frozen=True)
class CaseName:
    """A case as a list offers it."""

    id: str
    title: str


class Neighbours(Protocol):
    """What other rooms know and do about alerts, each after asking policy itself."""

    def sightings(self, principal: Principal, indicator: str) -> tuple[Seen, ...]:
        """What members of the region saw of an indicator; nothing where the asker may not read it."""
        ...

    def open_cases(self, principal: Principal, limit: int) -> tuple[CaseName, ...]:
        """Cases that are not closed, last touched first."""
        ...

    def put_into_case(
        self, principal: Principal, case: str, alerts: tuple[str, ...], raise_to: Tlp | None = None
    ) -> CaseName:
        """Quote alerts in a case, all or none; in a new one, named after the first, where ``case`` is empty.

        Raises Conflict with the marking ``tlp`` that the case would rise to beyond ``raise_to``, where
        that has not been confirmed.
        """
        ...
