"""The nouns of sharing: a stored object, its retraction, a sighting, what a publication would do."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from istmo.model import instants
from istmo.model.markings import Pap, Tlp
from istmo.model.patterns import Term
from istmo.model.stix import Problem, StixObject
from istmo.policy import Reason, Verdict


class State(StrEnum):
    """Where an object stands in its life."""

    LIVE = "live"
    EXPIRED = "expired"
    REVOKED = "revoked"
    RETRACTED = "retracted"
    SUPERSEDED = "superseded"


class RetractionReason(StrEnum):
    """Why an origin takes an object back."""

    ERROR = "error"
    FALSE_POSITIVE = "false-positive"
    SUPERSEDED = "superseded"
    LEGAL = "legal"


@dataclass(frozen=True)
class Retraction:
    """A signed tombstone over one entry of its origin's log."""

    origin: str
    sequence: int
    """Of the entry that is taken back."""
    object: str
    reason: RetractionReason
    note: str
    by_sequence: int
    """Of the retraction's own entry."""
    received: datetime


class End(NamedTuple):
    """One end of a relation. ``name`` is empty where it is not here, or kept from the asker."""

    id: str
    name: str


class Ends(NamedTuple):
    """What a relation connects."""

    source: End
    target: End


@dataclass(frozen=True)
class StoredObject:
    """One version of an object as one origin sent it."""

    row: int
    id: str
    type: str
    name: str
    version: datetime
    created: datetime | None
    modified: datetime | None
    origin: str
    sequence: int
    tlp: Tlp
    pap: Pap | None
    audience: tuple[str, ...]
    owner: str
    """Who in this node wrote it (``policy.told``); empty when another node did."""
    received: datetime
    valid_until: datetime | None
    is_revoked: bool
    is_current: bool
    terms: tuple[Term, ...]
    plan: str | None
    """What is a match, where not just any of the terms (``model.pattern_plans``)."""
    not_detected: str | None
    """Catalogue key: why detection does not watch for it, or not for all of it."""
    size: int
    content: str
    """SHA-256 of its bytes, hexadecimal."""
    retraction: Retraction | None = None
    ends: Ends | None = None
    """Of a relation, as far as the asker may read them."""

    @property
    def is_watched_for(self) -> bool:
        """Whether detection could watch for it, or for part of it."""
        return bool(self.terms) or self.plan is not None

    def state(self, now: datetime) -> State:
        """Its state at ``now``."""
        if self.retraction is not None:
            return State.RETRACTED
        if not self.is_current:
            return State.SUPERSEDED
        if self.is_revoked:
            return State.REVOKED
        if self.valid_until is not None and self.valid_until <= now:
            return State.EXPIRED
        return State.LIVE


@dataclass(frozen=True)
class Marks:
    """What says who may read one version of an object."""

    origin: str
    audience: tuple[str, ...]
    tlp: Tlp
    owner: str


@dataclass(frozen=True)
class Detectable:
    """An indicator that detection watches for now. One an id: the first origin that sent it."""

    id: str
    terms: tuple[Term, ...]
    plan: str | None
    valid_until: datetime | None
    tlp: Tlp
    origin: str
    sequence: int
    name: str
    audience: tuple[str, ...]
    owner: str
    confidence: int | None = None
    """0 to 100, where its author says it."""
    types: tuple[str, ...] = ()
    """``indicator_types``."""


@dataclass(frozen=True)
class Sighting:
    """What one member says of one object: the newest version of its sighting."""

    id: str
    object: str
    origin: str
    """Who saw it: the member in whose log the sighting stands."""
    sequence: int
    version: datetime
    first_seen: datetime | None
    last_seen: datetime | None
    count: int
    received: datetime


class Outcome(StrEnum):
    """What becomes of one object of a bundle."""

    PUBLISH = "publish"
    ALREADY = "already"
    REFUSED = "refused"


@dataclass
class Planned:
    """One object on its way out: its marking, who will see it, or why it stays."""

    object: StixObject
    outcome: Outcome = Outcome.PUBLISH
    tlp: Tlp = Tlp.RED
    pap: Pap | None = None
    is_unmarked: bool = False
    """Of an import: nobody has marked it, so it counts as RED."""
    audience: frozenset[str] = frozenset()
    withheld: dict[str, Reason] = field(default_factory=dict)
    """Members who were asked for and will not get it, each with the reason."""
    refusal: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()
    sequence: int = 0
    """Of the envelope, once published."""
    warned: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Its values that stand on warning lists of this node, with the lists' names: hits of them say little."""
    ends: Ends | None = None
    """Of a relation, as far as the asker may read them."""

    @property
    def promise(self) -> str:
        """What a preview promises of it, in a few characters: which version goes, how marked, to whom."""
        told = (self.object.id, instants.format(self.object.version), self.tlp.label, *sorted(self.audience))
        return hashlib.sha256("\n".join(told).encode()).hexdigest()[:24]

    def refuse(self, code: str, **params: Any) -> None:
        """Keep it back; ``code`` is a catalogue key."""
        self.outcome, self.refusal, self.params = Outcome.REFUSED, code, params


@dataclass(frozen=True)
class Plan:
    """What a publication or an import does, or did: every object of the bundle is accounted for."""

    items: tuple[Planned, ...]
    problems: tuple[Problem, ...]
    """What of the bundle could not even be read."""
    audience: frozenset[str] = frozenset()

    def count(self, outcome: Outcome) -> int:
        return sum(one.outcome is outcome for one in self.items)

    @property
    def going(self) -> tuple[Planned, ...]:
        """What is published, or would be."""
        return tuple(one for one in self.items if one.outcome is Outcome.PUBLISH)


@dataclass(frozen=True)
class Provenance:
    """Where an object comes from, and what proves it."""

    origin: str
    sequence: int
    commitment: str
    """What the origin's log holds of it, hexadecimal."""
    envelope: str
    """SHA-256 of the envelope as it travels, hexadecimal."""
    created: datetime
    received: datetime
    audience: tuple[str, ...]


@dataclass(frozen=True)
class Recipient:
    """A member that an object was sent to, and what it has acknowledged."""

    member: str
    sequence: int
    """Of the entry in this node's log that it was sent last."""
    acknowledged: datetime | None
    """When it confirmed that it holds the entry."""
    retraction: int | None = None
    """Sequence of the retraction, where there is one."""
    acknowledged_retraction: datetime | None = None

    @property
    def has_acknowledged(self) -> bool:
        return self.acknowledged is not None

    @property
    def has_acknowledged_retraction(self) -> bool:
        return self.acknowledged_retraction is not None


class Order(StrEnum):
    """In which order found objects are told; by arrival, or by name."""

    NEWEST = "newest"
    OLDEST = "oldest"
    NAME = "name"


@dataclass(frozen=True)
class Sought:
    """What is looked for: every word must occur, and each filter that is set holds."""

    words: tuple[str, ...] = ()
    type: str = ""
    tlp: Tlp | None = None
    origin: str = ""
    state: State | None = None
    """None: the newest version of each, whatever became of it."""
    is_seen: bool | None = None
    """Whether this node's own detection saw it; None for both."""
    since: datetime | None = None
    """Arrived here at this time or later."""
    without: frozenset[str] = frozenset()
    """Types that are left out."""
    order: Order = Order.NEWEST


@dataclass(frozen=True)
class ObjectPage:
    """One page of a search. ``next`` is a cursor, None at the end."""

    items: tuple[StoredObject, ...]
    next: int | None
    total: int
    """How many there are in all; where ``has_more`` it is only known that there are more than so many."""
    has_more: bool = False


class Nearness(StrEnum):
    """How another thing is related to an object."""

    RELATIONSHIP = "relationship"
    """A relationship object connects both."""
    POINTS_HERE = "points_here"
    """It refers to the object, as a report does to what it is about."""
    POINTED_TO = "pointed_to"
    """The object refers to it."""


@dataclass(frozen=True)
class Neighbour:
    """An object near another one, and how it is related to it."""

    object: StoredObject
    nearness: Nearness
    relation: str
    """The relationship's type, or the property that refers."""
    is_outward: bool = False
    """Of a relationship: it goes from the object in the middle to this one."""


@dataclass(frozen=True)
class Neighbourhood:
    """What is near an object and may be read; ``has_more``: some of it was not looked at."""

    neighbours: tuple[Neighbour, ...]
    has_more: bool = False


@dataclass(frozen=True)
class Change:
    """A property in which two versions differ; None where one has none. ``path`` as in ``$.labels[0]``."""

    path: str
    before: str | None
    after: str | None
