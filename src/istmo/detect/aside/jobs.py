"""What a process aside is asked, and what it answers: length-prefixed msgpack over its pipes."""

from __future__ import annotations

from typing import BinaryIO

import msgspec
from msgspec import Struct

from istmo.detect.indicators import Moment
from istmo.detect.wire import (
    Fields,
    PastFound,
    Position,
    Problem,
    RuleHits,
    SqlRows,
    Tally,
    WireHit,
    WireIndicator,
    WireRow,
    WireRule,
)

_LENGTH = 4


class CloseSegment(Struct, tag=True, frozen=True):
    segment: int


class Rewrite(Struct, tag=True, frozen=True):
    """Neighbours (first, last, generation) to write as one; ``without`` each one's sources, by place."""

    closed: list[tuple[int, int, int]]
    without: list[list[str]]


class FindRows(Struct, tag=True, frozen=True):
    """``after``: where a stretch of the log begins, of which each event is told in no other stretch.

    ``pattern`` and ``before`` as of ``wire.Search``.
    """

    query: str
    start: int | None
    end: int | None
    limit: int
    upto: Position
    seconds: float
    after: Position | None = None
    scheduled: bool = False
    pattern: WireIndicator | None = None
    before: int | None = None


class CountEvents(Struct, tag=True, frozen=True):
    """``by`` a field (or empty), ``bucket`` in µs (or 0)."""

    query: str
    start: int | None
    end: int | None
    by: str
    top: int
    bucket: int
    upto: Position
    seconds: float


class FindHits(Struct, tag=True, frozen=True):
    """``upto`` by indicator: the position from which the live stage sees it. ``now`` in µs."""

    indicators: list[WireIndicator]
    upto: dict[str, Position]
    now: int
    seconds: float


class FindPast(Struct, tag=True, frozen=True):
    """``start`` and ``now`` in µs."""

    indicators: list[WireIndicator]
    upto: Position
    start: int
    now: int
    seconds: float


class FindByRules(Struct, tag=True, frozen=True):
    """``plans``: where compiled rules are kept; empty for nowhere. Times in µs. ``after`` as of rows.

    ``scheduled``: matches bring their events along.
    """

    rules: list[WireRule]
    lists: dict[str, list[str]]
    start: int | None
    end: int | None
    limit: int
    upto: Position
    seconds: float
    plans: str = ""
    after: Position | None = None
    scheduled: bool = False


class FindBySql(Struct, tag=True, frozen=True):
    """One SELECT over the table ``events``. Times in µs; ``limit``: rows that are given."""

    sql: str
    start: int | None
    end: int | None
    limit: int
    upto: Position
    seconds: float
    scheduled: bool = False


class FindFields(Struct, tag=True, frozen=True):
    """Which fields stored events have."""

    upto: Position
    seconds: float


class Found(Struct, tag=True, frozen=True):
    """Part of an answer; the last one is ``done``.

    ``memory``, of hits: what patterns over time remember of all that was looked at, by indicator.
    """

    done: bool
    rows: list[WireRow] = []
    looked: int = 0
    of: int = 0
    hits: list[WireHit] = []
    tally: Tally | None = None
    by_rules: RuleHits | None = None
    table: SqlRows | None = None
    fields: Fields | None = None
    memory: dict[str, list[list[Moment]]] = {}
    past: PastFound | None = None
    problem: Problem | None = None


Job = (
    CloseSegment
    | Rewrite
    | FindRows
    | CountEvents
    | FindHits
    | FindPast
    | FindByRules
    | FindBySql
    | FindFields
)

_encoder = msgspec.msgpack.Encoder()
_jobs: msgspec.msgpack.Decoder[Job] = msgspec.msgpack.Decoder(Job)
_answers: msgspec.msgpack.Decoder[Found] = msgspec.msgpack.Decoder(Found)


def encode(message: Job | Found) -> bytes:
    """A message with its length in front."""
    body = _encoder.encode(message)
    return len(body).to_bytes(_LENGTH, "big") + body


def decode_answer(body: bytes) -> Found:
    return _answers.decode(body)


def read_job(pipe: BinaryIO) -> Job | None:
    """The next job; None when whoever asked has gone."""
    head = pipe.read(_LENGTH)
    if len(head) < _LENGTH:
        return None
    body = pipe.read(int.from_bytes(head, "big"))
    return _jobs.decode(body)
