"""What the worker says to the web process."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from istmo.detect.wire.things import (
    BEFORE,
    Position,
    Problem,
    SourceCount,
    WireHit,
    WireMatch,
    WireRow,
    WireState,
)


class Ready(Struct, tag=True, frozen=True):
    """The worker is up; ``intake_port`` is the one really bound (settings may say 0)."""

    pid: int
    intake_host: str
    intake_port: int
    head: Position


class Live(Struct, tag=True, frozen=True):
    """``what`` (``indicators``, ``sigma`` or ``sources``) is in force up to ``generation``.

    ``problems`` name the items that could not be used; all the others are live. Of rules these are all
    problems that there are, not only those of the last change.
    """

    what: str
    generation: int
    problems: list[Problem] = []


class Hits(Struct, tag=True, frozen=True):
    """What was found up to ``position``, and in ``matches`` of events that happened up to ``judged``.

    ``state`` stands for exactly this position; it goes into the transaction that stores the position.
    """

    detector: str
    position: Position
    hits: list[WireHit]
    matches: list[WireMatch] = []
    judged: int = BEFORE
    state: WireState | None = None


class RuleCost(Struct, frozen=True, array_like=True):
    """What one rule costs: integers, over all events of which some were timed."""

    subject: str
    """The rule's key."""
    nanos: int
    """Nanoseconds an event."""
    asked: int
    """Events in a million about which it has to be asked."""
    share: int
    """Of the time that all rules take, in thousandths."""


class Costs(Struct, tag=True, frozen=True):
    """The rules that cost something, as of now; all others cost next to nothing."""

    rules: list[RuleCost]


class HuntHits(Struct, tag=True, frozen=True):
    """Part of a hunt's answer, in the order of event time within it; the last one is ``done``."""

    request: int
    hits: list[WireHit]
    done: bool
    problem: Problem | None = None


class Rows(Struct, tag=True, frozen=True):
    """Part of a search's answer, newest first; the last one is ``done``, with a problem if cut short.

    ``looked``: events among which was looked so far, of ``of`` in the stretch of time.
    """

    request: int
    rows: list[WireRow]
    done: bool
    problem: Problem | None = None
    looked: int = 0
    of: int = 0


class RuleMatch(Struct, frozen=True, array_like=True):
    """A stored event that a rule matches; times in µs since 1970. The event itself comes where asked for."""

    rule: str
    title: str
    level: str
    event_id: str
    time: int
    host: str
    received: int = 0
    source: str = ""
    raw: bytes = b""


class RuleFound(Struct, frozen=True, array_like=True):
    """How many stored events a rule matches, and the ids of some of them."""

    rule: str
    title: str
    level: str
    count: int
    events: list[str]


class LeftOutRule(Struct, frozen=True, array_like=True):
    """A rule of a hunt that could not be used, or a part of one: the catalogue's key, and its line."""

    rule: str
    line: int
    key: str
    params: dict[str, str | int]


class RuleHits(Struct, tag=True, frozen=True):
    """Part of the answer to ``HuntRules``; the last one is ``done``, and has the sums."""

    request: int
    done: bool
    matches: list[RuleMatch] = []
    found: list[RuleFound] = []
    left_out: list[LeftOutRule] = []
    looked: int = 0
    """Events looked at so far."""
    problem: Problem | None = None


class SqlRows(Struct, tag=True, frozen=True):
    """Part of the answer to ``AskSql``; the last one is ``done``.

    ``columns`` (name, type) come once, before the first row or with it; a row is a JSON array.
    """

    request: int
    done: bool
    columns: list[tuple[str, str]] = []
    rows: list[bytes] = []
    problem: Problem | None = None


class Counted(Struct, tag=True, frozen=True):
    """What sources sent since the last message of this kind (lost counts at a crash are not replayed)."""

    sources: list[SourceCount]


class Lags(Struct, tag=True, frozen=True):
    """How late events come, by source: µs from when they happened to their receipt, a median of the newest.

    Below 0 for events that claim a time to come.
    """

    sources: dict[str, int]


class AskKeeping(Struct, tag=True, frozen=True):
    """What is to be kept, and up to where it has been read by all who are to read it."""


class LetGo(Struct, tag=True, frozen=True):
    """Events that go now, told before they do. ``why``: ``age``, ``source_budget`` or ``budget``.

    ``events`` by source; ``first`` and ``last`` came in then, µs since 1970.
    """

    why: str
    events: dict[str, int]
    first: int
    last: int


class Sealing(Struct, frozen=True):
    """Bytes on disk of closed segments, by how they are sealed, and segments whose key is not there."""

    key: str
    """The id of the key that seals what is written now; empty where it is plain."""
    sealed: int
    """With that key."""
    older: int
    """With another key."""
    plain: int
    shut: int
    """Segments, closed or not, that are sealed with a key that is not there."""


class Stats(Struct, tag=True, frozen=True):
    """``behind`` counts events not yet seen by a stage; sizes in bytes."""

    request: int
    events: int
    segments: int
    bytes: int
    head: Position
    behind: dict[str, int]
    indicators: int
    rules: int
    correlations: dict[str, int]
    """What correlations remember and have let go of (``Counts`` and sizes by name); empty without any."""
    intake: str
    """``open``, or the code of what stops it (``detect.disk_full``)."""
    oldest: int = 0
    """When the oldest closed event came in, µs since 1970; 0 where none rests yet."""
    sources: dict[str, int] = {}
    """Bytes on disk by source, of what is closed."""
    daily: int = 0
    """Bytes that a day brings at the present rate; 0 where it is not known yet."""
    room: int = 0
    """Bytes that there is still room for, on the disk or within the budget."""
    patterns: dict[str, int] = {}
    """What patterns over time remember and have let go of; empty without any."""
    sealing: Sealing | None = None
    """How what rests is sealed; None where no key is known and nothing is sealed."""


SEGMENT_SHUT: Final = "detect.segment_shut"
"""A segment that waits for its key: ``segment``, ``key`` (its id)."""

INTAKE_DENIED: Final = "detect.intake_denied"
"""Senders turned away: ``n``, ``addresses``, ``address`` (the busiest), ``problem`` (the last)."""


class Notice(Struct, tag=True, frozen=True):
    """For the administrator: ``code`` is a catalogue key, as in IstmoError."""

    code: str
    params: dict[str, str | int]


class Tally(Struct, tag=True, frozen=True):
    """What a query's events come to. While they are counted each takes the place of the one before."""

    request: int
    done: bool
    total: int = 0
    values: list[tuple[str, int]] = []
    """The most frequent values of the field asked for, in lower case."""
    rest: int = 0
    """Events with other values."""
    missing: int = 0
    """Events without the field."""
    buckets: list[tuple[int, int]] = []
    """Stretches of time in which there were events: when each begins, µs since 1970."""
    problem: Problem | None = None


class Fields(Struct, tag=True, frozen=True):
    """Which fields stored events have: each with the number of segments in which some event has it.

    ``segments`` are all that were looked at; not ``is_whole`` where there was no time for the others.
    """

    request: int
    done: bool
    fields: list[tuple[str, int]] = []
    segments: int = 0
    is_whole: bool = True
    problem: Problem | None = None


class PastExample(Struct, frozen=True, array_like=True):
    """One stored event that an indicator would have matched; ``fields`` are those that matched."""

    event_id: str
    time: int
    host: str
    fields: dict[str, str]


class PastMatches(Struct, frozen=True, array_like=True):
    """What one indicator would have matched: events, hosts, when the first and the last happened (µs)."""

    id: str
    count: int
    hosts: int
    first: int
    last: int
    examples: list[PastExample]
    """The latest ones that were found."""


class PastFound(Struct, tag=True, frozen=True):
    """All that indicators would have matched; ``problem`` where not everything was seen."""

    request: int
    done: bool
    found: list[PastMatches] = []
    problem: Problem | None = None


ToWeb = (
    Ready
    | Live
    | Hits
    | Costs
    | HuntHits
    | Rows
    | Tally
    | PastFound
    | RuleHits
    | SqlRows
    | Fields
    | Counted
    | Lags
    | AskKeeping
    | LetGo
    | Stats
    | Notice
)
