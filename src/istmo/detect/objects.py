"""The nouns of detection on the web side: alerts with their evidence, rules, sources, the worker's state."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import Connection

from istmo.model.markings import Tlp
from istmo.store.engine import Transaction


class Status(StrEnum):
    """How far the work on an alert has come."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class Snoozed(StrEnum):
    """Whether alerts that are put off until later are among those that are asked for."""

    ANY = "any"
    NO = "no"
    ONLY = "only"


class CloseReason(StrEnum):
    """What an alert turned out to be."""

    RESOLVED = "resolved"
    FALSE_POSITIVE = "false-positive"
    EXPECTED = "expected"
    DUPLICATE = "duplicate"


class Level(StrEnum):
    """Sigma's levels, the least first (rules specification, "level")."""

    INFORMATIONAL = "informational"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


LEVELS = tuple(Level)


@dataclass(frozen=True)
class Evidence:
    """One event that matched."""

    event: str
    time: datetime
    received: datetime
    host: str
    source: str
    fields: Mapping[str, str]
    """The fields that matched, as they stood."""
    raw: bytes
    is_stored: bool
    """Found by a hunt in what was stored already, not as it came in."""


@dataclass(frozen=True)
class Correlated:
    """What a correlation saw when it matched last in a story. Plain values: kept as JSON."""

    type: str
    timespan: int
    """µs."""
    condition: str
    """Its bounds, as ``≥ 10``; empty where it is a boolean one."""
    value: float
    """What the condition was held against."""
    fields: list[str]
    """What was counted, where not the events themselves."""
    group: dict[str, str]
    """The values of ``group-by``: one story for each group."""
    number: int
    """Events that took part, at most 64."""
    matches: int = 1
    """How often it matched in this story."""


@dataclass(frozen=True)
class Silence:
    """What was known of a source when it had been silent for too long. Plain values: kept as JSON."""

    last: int | None
    """When its last event was received, µs since 1970; None where it never sent any."""
    since: int
    """From when silence was counted: not before the node itself was listening."""
    limit: int
    """Seconds after which it was to be told."""
    hourly: float
    """Events an hour that it used to send."""
    form: str
    networks: list[str]
    ended: int | None = None
    """When events came again."""


@dataclass(frozen=True)
class Weighed:
    """What the level of an indicator's alert was made of (``levels``). Plain values: kept as JSON."""

    confidence: int | None = None
    """0 to 100, as its author says."""
    types: list[str] = field(default_factory=list)
    """Of ``indicator-type-ov``, or words of its author's own."""
    lists: list[str] = field(default_factory=list)
    """The warning lists on which values stand that were hit."""


@dataclass(frozen=True)
class Alert:
    """One story: every match of one subject, folded into one row.

    ``origin`` and ``audience`` are those of what it derives from: ``audience`` is None where that is
    this node's own knowledge alone (a Sigma rule).
    """

    row: int
    id: str
    detector: str
    """``indicator``, ``sigma``, or ``source`` for one that fell silent."""
    subject: str
    """The indicator's STIX id, the rule's or the source's id."""
    title: str
    level: Level
    tlp: Tlp
    origin: str
    audience: frozenset[str] | None
    owner: str
    entity: str
    """The host it was first seen on."""
    hosts: int
    first_seen: datetime
    """By the events' own account, like ``last_seen``."""
    last_seen: datetime
    count: int
    stored_count: int
    """How many of them a hunt found."""
    created: datetime
    updated: datetime
    status: Status
    reason: CloseReason | None
    note: str
    worked_by: str
    """Who changed the status last (``policy.told``)."""
    former: str | None
    """The closed alert that told this story before."""
    version: int
    """Grows with each change by somebody: what an optimistic change is checked against."""
    correlation: Correlated | None = None
    """Where a correlation found it."""
    silence: Silence | None = None
    """Where it is about a source that fell silent."""
    weighed: Weighed | None = None
    """Where it is about an indicator."""
    assignee: str = ""
    """Whose it is (``policy.told``); empty where it is nobody's."""
    snoozed_until: datetime | None = None
    """Out of the queue until then, or until its level rises."""
    worked: datetime | None = None
    """When somebody changed it last."""


@dataclass(frozen=True)
class Story:
    """One alert with all that is kept of it."""

    alert: Alert
    evidence: tuple[Evidence, ...]
    """By event time: the first twenty and the last twenty."""
    hours: tuple[tuple[datetime, int], ...]
    """How many in each hour that had any."""
    hosts: tuple[tuple[str, int], ...]
    """How many on each host, the most first; ``""`` stands for hosts unknown or past the bound."""


@dataclass(frozen=True)
class AlertPage:
    """Alerts. ``total`` counts only what the asker may read; None where there are more than are counted."""

    items: tuple[Alert, ...]
    next: str | None
    total: int | None


@dataclass(frozen=True)
class AlertFilter:
    """What a list of alerts is narrowed to; empty means all."""

    status: Status | None = None
    level: Level | None = None
    detector: str = ""
    subject: str = ""
    host: str = ""
    words: tuple[str, ...] = ()
    assignee: str | None = None
    """Whose (``policy.told``); empty: nobody's. None does not ask."""
    snoozed: Snoozed = Snoozed.ANY


RULE, CORRELATION, FILTER = "rule", "correlation", "filter"
KINDS = (RULE, CORRELATION, FILTER)
"""What a Sigma document can be."""


SLOW_NANOS = 5_000
"""Nanoseconds an event from which a rule is slow: of 5,000 events a second, a fortieth of a processor."""


@dataclass(frozen=True)
class RuleCost:
    """What asking a rule costs, as the worker timed it over all events."""

    nanos: int
    """Nanoseconds an event."""
    asked: int
    """Events in a million about which it has to be asked."""
    share: int
    """Of the time that all rules take, in thousandths."""
    measured: datetime

    @property
    def is_slow(self) -> bool:
        """Whether it is worth somebody's while to make it quicker."""
        return self.nanos >= SLOW_NANOS


@dataclass(frozen=True)
class Rule:
    """A Sigma rule, correlation or filter as it was imported."""

    row: int
    id: str
    title: str
    level: str
    status: str
    description: str
    author: str
    logsource: str
    tags: tuple[str, ...]
    text: str
    """The YAML document."""
    digest: str
    is_enabled: bool
    problem: tuple[str, Mapping[str, Any]] | None
    """Why the worker cannot use it: an error code and its parameters."""
    file: str
    imported: datetime
    updated: datetime
    changed_by: str
    kind: str = RULE
    refers: tuple[str, ...] = ()
    """Ids or names of the rules that a correlation is made of, or a filter is for; none for all of them."""
    lists: tuple[str, ...] = ()
    """Value lists that it asks for."""
    cost: RuleCost | None = None
    """None where it was not measured, or costs next to nothing."""


@dataclass(frozen=True)
class RulePage:
    """Rules by title."""

    items: tuple[Rule, ...]
    next: str | None
    total: int


@dataclass(frozen=True)
class RuleProblem:
    """Something in an import that cannot be used as it is; ``key`` is in the catalogue."""

    key: str
    file: str
    line: int
    params: Mapping[str, Any]
    rule: str
    is_not_served: bool
    is_kept: bool = False
    """It was kept, and is not in force as it is meant: something that it needs is not here."""


@dataclass(frozen=True)
class RuleImport:
    """What an import did. Of what is named in ``problems`` the reason says whether it was kept."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    problems: tuple[RuleProblem, ...] = ()
    replaced: tuple[Rule, ...] = ()
    """Rules whose text is another now, as they were: the first of ``changed``. Nothing else keeps it."""

    @property
    def accepted(self) -> int:
        """Rules of this import that are in the node now."""
        return self.added + self.changed + self.unchanged


@dataclass(frozen=True)
class ValueList:
    """What ``%name%`` stands for in Sigma rules that say ``expand``."""

    name: str
    values: tuple[str, ...]
    changed: datetime
    changed_by: str

    @property
    def version(self) -> str:
        """Tells this state from others: whoever changes the list says which one they saw."""
        return version_of(*self.values)


def version_of(*words: str) -> str:
    """Of what these words say: the same words, the same version."""
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True)
class KeptWarningList:
    """A warning list, without its entries."""

    name: str
    type: str
    """``cidr``, ``hostname``, ``string``, ``substring`` or ``regex``."""
    description: str
    version: str
    kinds: tuple[str, ...]
    """The kinds of values that it is about."""
    entries: int
    unusable: int
    """Entries that are left out, since they are not of the list's type."""
    changed: datetime
    changed_by: str
    is_enabled: bool = True
    """Whether hits of its values are told as informational."""


@dataclass(frozen=True)
class WorkerNotice:
    """Something that the worker wants an administrator to know."""

    code: str
    params: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True)
class WorkerState:
    """The detection worker as the web process sees it."""

    state: str
    """``ready`` (connected, and everything it must know is in force), ``starting`` or ``away``."""
    pid: int = 0
    intake: str = ""
    """Where the intake listens: ``host:port``."""
    intake_problem: str = ""
    """The code of what stops the intake; empty while it takes events in."""
    stored: int = 0
    """Events in the store."""
    bytes: int = 0
    rate: float = 0.0
    """Events a second that came in during the last minute."""
    indicators: int | None = 0
    """How many are watched for, whatever their marking; None for whoever may not know of them all."""
    rules: int = 0
    indicator_lag: int = 0
    """Events not yet seen by the indicator stage."""
    sigma_lag: int = 0
    hunting: int | None = 0
    """Indicators whose hunt through stored events is still running; None as above."""
    correlations: Mapping[str, int] = field(default_factory=dict)
    """What correlations remember and have let go of, by name (``Counts`` and sizes)."""
    patterns: Mapping[str, int] = field(default_factory=dict)
    """What patterns over time remember and have let go of, by name; empty where there are none, and for
    whoever may not know of them all."""
    notices: tuple[WorkerNotice, ...] = field(default=())


# What detection needs of other rooms; wired in ``node.py``.


class WatchedTerm(Protocol):
    """One value of an indicator."""

    @property
    def kind(self) -> str: ...
    @property
    def value(self) -> str: ...


class Watched(Protocol):
    """An indicator that detection watches for."""

    @property
    def id(self) -> str: ...
    @property
    def terms(self) -> Sequence[WatchedTerm]: ...
    @property
    def plan(self) -> str | None: ...
    @property
    def valid_until(self) -> datetime | None: ...
    @property
    def tlp(self) -> Tlp: ...
    @property
    def origin(self) -> str: ...
    @property
    def audience(self) -> Iterable[str]: ...
    @property
    def owner(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def confidence(self) -> int | None: ...
    @property
    def types(self) -> Sequence[str]: ...


class IndicatorSource(Protocol):
    """Where indicators come from. A change of one is told on the topic ``object``."""

    def detectable(self, connection: Connection, ids: Iterable[str] | None = None) -> Sequence[Watched]:
        """The indicators to watch for now: all, or those of ``ids`` that still are."""
        ...


class TakenBack(Protocol):
    """That the origin of an indicator has taken it back."""

    @property
    def reason(self) -> str:
        """``error``, ``false-positive``, ``superseded`` or ``legal``."""
        ...

    @property
    def note(self) -> str: ...

    @property
    def received(self) -> datetime:
        """When this node was told."""
        ...


class SightingSink(Protocol):
    """Who is told that an indicator was seen here."""

    def record_sighting(
        self, tx: Transaction, object: str, *, count: int, first_seen: datetime, last_seen: datetime
    ) -> None:
        """``count`` more matches, in the transaction that stores the alert."""
        ...
