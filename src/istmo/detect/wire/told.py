"""What the web process tells the worker."""

from __future__ import annotations

from msgspec import Struct

from istmo.detect.wire.things import (
    BEFORE,
    Position,
    StoredState,
    Stretch,
    WireIndicator,
    WireRule,
    WireSource,
)


class Welcome(Struct, tag=True, frozen=True):
    """``positions`` by detector (a missing one: from the beginning); who we are, for ``policy``.

    ``judged`` and ``state``: up to when correlations were judged at the position of ``sigma``, and what
    they remembered at a position at or before that one. ``patterns``: what patterns remembered at or before
    the position of ``indicators``.
    """

    positions: dict[str, Position]
    member: str
    members: list[str]
    judged: int = BEFORE
    state: StoredState | None = None
    patterns: StoredState | None = None


class PutIndicators(Struct, tag=True, frozen=True):
    """Add or replace; ``reset`` forgets all others first."""

    generation: int
    items: list[WireIndicator]
    reset: bool = False


class DropIndicators(Struct, tag=True, frozen=True):
    generation: int
    ids: list[str]


class PutRules(Struct, tag=True, frozen=True):
    """Add or replace; ``reset`` forgets all others first. ``lists``: all value lists, where they changed."""

    generation: int
    rules: list[WireRule]
    reset: bool = False
    lists: dict[str, list[str]] | None = None


class DropRules(Struct, tag=True, frozen=True):
    generation: int
    ids: list[str]


class PutSources(Struct, tag=True, frozen=True):
    """Always the whole list: a token that is not in it is refused from now on."""

    generation: int
    sources: list[WireSource]


class Synced(Struct, tag=True, frozen=True):
    """The whole state has been sent: stages may start."""


class Hunt(Struct, tag=True, frozen=True):
    """Search stored events for indicators that are live, up to the event from which they were live."""

    request: int
    indicator_ids: list[str]


class Search(Struct, tag=True, frozen=True):
    """Stored events, newest first. ``start`` (included) and ``end`` (excluded) in µs since 1970.

    ``scheduled``: nobody waits for it; it has a place of its own, and as long as a hunt. ``pattern``: of
    the events that answer the query, those that make it true (its ``id`` is nobody's). ``before``, of a
    stretch: one over time may begin with events ahead of it that happened from then on.
    """

    request: int
    query: str
    start: int | None = None
    end: int | None = None
    limit: int = 100
    stretch: Stretch | None = None
    scheduled: bool = False
    pattern: WireIndicator | None = None
    before: int | None = None


class Keeping(Struct, tag=True, frozen=True):
    """What ``AskKeeping`` asked: ``read`` is the place before which nobody needs an event any more.

    ``sources``: days and bytes to keep of a source, where it has a word of its own (0: no bound).
    """

    read: Position
    sources: dict[str, tuple[int, int]]


class Count(Struct, tag=True, frozen=True):
    """Count stored events. ``by`` a field (or empty), ``bucket`` in µs (or 0)."""

    request: int
    query: str
    start: int | None = None
    end: int | None = None
    by: str = ""
    top: int = 20
    bucket: int = 0


class HuntRules(Struct, tag=True, frozen=True):
    """Stored events that Sigma rules match. ``start`` (included) and ``end`` (excluded) in µs since 1970.

    ``limit``: matches that are told one by one; all of them are counted. ``lists``: the value lists.
    ``scheduled``: as of a search; its matches bring their events along.
    """

    request: int
    rules: list[WireRule]
    lists: dict[str, list[str]]
    start: int | None = None
    end: int | None = None
    limit: int = 100
    stretch: Stretch | None = None
    scheduled: bool = False


class AskSql(Struct, tag=True, frozen=True):
    """One SELECT over stored events. ``start`` (included) and ``end`` (excluded) in µs since 1970.

    ``scheduled`` as of a search.
    """

    request: int
    sql: str
    start: int | None = None
    end: int | None = None
    limit: int = 1000
    scheduled: bool = False


class AskFields(Struct, tag=True, frozen=True):
    """Which fields stored events have."""

    request: int


class AskPast(Struct, tag=True, frozen=True):
    """What indicators that are not watched for would have matched since ``start`` (µs since 1970)."""

    request: int
    indicators: list[WireIndicator]
    start: int
    seconds: float


class Cancel(Struct, tag=True, frozen=True):
    """Stop a hunt or a search; it still answers with ``done``."""

    request: int


class AskStats(Struct, tag=True, frozen=True):
    request: int


ToWorker = (
    Welcome
    | PutIndicators
    | DropIndicators
    | PutRules
    | DropRules
    | PutSources
    | Synced
    | Hunt
    | Search
    | Count
    | HuntRules
    | AskSql
    | AskFields
    | AskPast
    | Keeping
    | Cancel
    | AskStats
)
