"""What the web process and the detection worker say to one another.

The web process listens on ``run/worker.sock``; the worker dials, again and again. A message is a
4-byte big-endian length and msgpack of one tagged struct. A conversation goes:

1. worker: ``Ready``.
2. web: ``Welcome`` (the positions that it stored), then its whole state as ``PutIndicators``,
   ``PutRules``, ``PutSources`` with ``reset`` on the first of each, then ``Synced``. The detecting
   stages rest from the moment the connection breaks until ``Synced``; intake goes on with the
   sources last known.
3. From then on each side speaks when it has something to say. Every put and drop carries a
   ``generation``; ``Live`` says that it counts from the next event on. Every request carries a
   number chosen by the web process, and its answers repeat it.

``Hits`` carry the stage's position *after* the events looked at: the web process stores alerts and
position in one transaction. What it did not store is matched again from there, so an event may
be told twice after a crash, never lost: (detector, subject, event id) is the key of a hit. A
stored position also moves without hits, by an empty ``Hits`` about once a second.

Correlations remember, so their memory is stored too, less often than the position: a worker that starts
takes it up, feeds itself again what lies between it and the stored position without telling anything,
and goes on from there. A match is new when its (``at``, ``last``) lies after the stored (position, judged).
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from typing import Final

import msgspec
from msgspec import Struct, field

LONGEST: Final = 64 << 20
"""Bytes that one message may have; senders split lists well below it."""

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


# From the web process to the worker


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

    ``scheduled``: nobody waits for it; it has a place of its own, and as long as a hunt.
    """

    request: int
    query: str
    start: int | None = None
    end: int | None = None
    limit: int = 100
    stretch: Stretch | None = None
    scheduled: bool = False


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
    """One SELECT over stored events. ``start`` (included) and ``end`` (excluded) in µs since 1970."""

    request: int
    sql: str
    start: int | None = None
    end: int | None = None
    limit: int = 1000


class Cancel(Struct, tag=True, frozen=True):
    """Stop a hunt or a search; it still answers with ``done``."""

    request: int


class AskStats(Struct, tag=True, frozen=True):
    request: int


# From the worker to the web process


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
    """Part of a search's answer, newest first; the last one is ``done``, with a problem if cut short."""

    request: int
    rows: list[WireRow]
    done: bool
    problem: Problem | None = None


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
    | Keeping
    | Cancel
    | AskStats
)
ToWeb = (
    Ready
    | Live
    | Hits
    | Costs
    | HuntHits
    | Rows
    | Tally
    | RuleHits
    | SqlRows
    | Counted
    | Lags
    | AskKeeping
    | LetGo
    | Stats
    | Notice
)

_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_to_web: msgspec.msgpack.Decoder[ToWeb] = msgspec.msgpack.Decoder(ToWeb)
_LENGTH = struct.Struct(">I")


def encode(message: ToWorker | ToWeb) -> bytes:
    """One message with its length in front."""
    body = _encoder.encode(message)
    if len(body) > LONGEST:
        raise ValueError(f"a message of {len(body)} bytes: split it")
    return _LENGTH.pack(len(body)) + body


def decode_to_worker(body: bytes) -> ToWorker:
    """The message without its length; raises msgspec.DecodeError."""
    return _to_worker.decode(body)


def decode_to_web(body: bytes) -> ToWeb:
    """The message without its length; raises msgspec.DecodeError."""
    return _to_web.decode(body)


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """The next message's bytes; None when the other side has gone."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > LONGEST:
            return None
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


class Channel:
    """The web process's end, for threads: one may receive while any number send."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._turn = threading.Lock()

    def send(self, message: ToWorker) -> None:
        """Raises OSError when the worker has gone."""
        data = encode(message)
        with self._turn:
            self._socket.sendall(data)

    def receive(self) -> ToWeb | None:
        """The next message; None when the worker has gone."""
        head = self._read(_LENGTH.size)
        if head is None:
            return None
        (length,) = _LENGTH.unpack(head)
        body = self._read(length) if length <= LONGEST else None
        return None if body is None else decode_to_web(body)

    def close(self) -> None:
        """Wake whoever receives, and let go."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            self._socket.close()  # the other side was faster
        else:
            self._socket.close()

    def _read(self, wanted: int) -> bytes | None:
        parts = bytearray()
        while len(parts) < wanted:
            try:
                part = self._socket.recv(min(wanted - len(parts), 1 << 18))
            except OSError:
                return None
            if not part:
                return None
            parts += part
        return bytes(parts)
