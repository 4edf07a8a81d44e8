"""What messages are made of."""

from __future__ import annotations

from typing import Final

from msgspec import Struct, field

INDICATORS: Final = "indicators"
SIGMA: Final = "sigma"
DETECTORS: Final = (INDICATORS, SIGMA)
SOURCES: Final = "sources"
"""The third thing beside the detectors that can be ``Live``."""


BEFORE: Final = -(1 << 62)
"""µs since 1970: before every time."""


class Position(Struct, frozen=True, order=True, array_like=True):
    """A place in the event log, between two events: all before it is done, ``line`` is next."""

    segment: int = 0
    line: int = 0


HUNT_SECONDS: Final = 600
"""After which a hunt ends, also one that is a search which runs by itself."""


class Stretch(Struct, frozen=True, array_like=True):
    """Events from the place ``after`` on and before ``upto``: each stands in one of a row of stretches."""

    after: Position
    upto: Position


class WireIndicator(Struct, frozen=True, array_like=True):
    """One indicator: terms are (kind, value) by ``model.patterns``; ``until`` in µs since 1970.

    ``plan`` (``model.pattern_plans``) says what is a match, where not just any of the terms.
    """

    id: str
    terms: list[tuple[str, str]]
    until: int | None = None
    plan: str | None = None


class WireRule(Struct, frozen=True, array_like=True):
    """One Sigma document (rule, correlation or filter) as YAML text; ``id`` is the web process's key."""

    id: str
    text: str
    is_enabled: bool = True
    """A correlation that is switched off is told all the same: its parts stay silent."""


class WireSource(Struct, frozen=True, array_like=True):
    """One source: ``digest`` is SHA-256 of its token; ``until`` in µs since 1970."""

    id: str
    name: str
    digest: bytes
    scopes: list[str]
    until: int | None = None
    addresses: list[str] = []
    """Networks (CIDR) from which it may send where a protocol knows no tokens."""
    certificate: str = ""
    """SHA-256 of the client's certificate by which it is known, lower-case hex."""
    form: str = ""
    """What its lines are, of ``detect.reading.FORMS``; ``""`` to look."""
    zone: str = ""
    """The time zone (IANA name) of its times that name none."""
    rate: int = 0
    """Events a second that it may send; 0 for no bound of its own."""
    is_paused: bool = False
    """Nothing is taken of it for now; it is told to come again, where its protocol knows how."""


class WireHit(Struct, frozen=True):
    """One match. ``fields`` are those that matched (or that explain it); ``raw`` the event as it came."""

    detector: str
    subject: str
    """The indicator's or the rule's id."""
    event_id: str
    time: int
    """When it happened by the event's own account, µs since 1970."""
    host: str
    fields: dict[str, str]
    raw: bytes
    stored: bool = False
    """Found by a hunt in what was there already."""
    received: int = 0
    source: str = ""
    terms: list[tuple[str, str]] = field(default_factory=list)
    """Of an indicator: the values that were found, by kind; none where a whole pattern holds."""


class WireMatch(Struct, frozen=True):
    """One match of a correlation. Times in µs since 1970, ``timespan`` in µs."""

    subject: str
    """The correlation's key."""
    at: Position
    """Where in the log it was found: before that event it had not been."""
    first: int
    last: int
    """When the oldest and the newest contributing event happened; the newest made it true."""
    type: str
    timespan: int
    condition: str
    value: float
    fields: list[str]
    """What is counted, where not the events themselves."""
    group: dict[str, str]
    """What ``group-by`` came to."""
    number: int
    """Contributing events that were told, at most 64."""
    events: list[WireHit]
    """Those of them that are quoted."""


class WireState(Struct, frozen=True, array_like=True):
    """What a stage remembers at a position. Without ``data``: what was stored under the same digest."""

    digest: str
    data: bytes | None = None


class StoredState(Struct, frozen=True, array_like=True):
    """A stage's memory as it was stored, and the position that it stands for."""

    position: Position
    data: bytes


class WireRow(Struct, frozen=True, array_like=True):
    """One stored event found by a search."""

    event_id: str
    time: int
    received: int
    source: str
    host: str
    raw: bytes
    fields: dict[str, str] = {}
    """Of a search by a pattern: those by which it holds."""


class Progress(Struct, frozen=True, array_like=True):
    """How far a search is: among how many events it has looked, of how many."""

    looked: int
    of: int


class Problem(Struct, frozen=True, array_like=True):
    """Something about one item that could not be used; ``code`` and ``params`` as in IstmoError."""

    subject: str
    code: str
    params: dict[str, str | int]


class SourceCount(Struct, frozen=True, array_like=True):
    """What one source sent since the last count; ``last`` is µs since 1970."""

    id: str
    accepted: int
    refused: int
    last: int
    unreadable: int = 0
    """Of the accepted, those that are kept as mere text."""
    doubled: int = 0
    """Events that had been stored before, by their names."""
    reasons: dict[str, int] = {}
    """Why events were refused or could not be read, by code."""
