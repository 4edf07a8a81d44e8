"""How far each detector's hits are stored, which hits are, and which indicators were hunted for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    LargeBinary,
    String,
    Table,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from istmo.detect.wire import BEFORE, Position, StoredState, WireState
from istmo.store.columns import BigId, Instant
from istmo.store.engine import metadata

DUE, DONE = "due", "done"
MOST_CHANGE_HUNTED = 100_000
"""Hits of one indicator whose events are remembered, so that a second hunt counts none of them twice."""

detector_positions = Table(
    "detector_positions",
    metadata,
    Column("detector", String(16), primary_key=True),
    Column("segment", BigId, nullable=False),
    Column("line", BigId, nullable=False),
    Column("stored", Instant, nullable=False),
    Column("judged", BigId, nullable=False, server_default=str(BEFORE)),
)

detector_states = Table(
    "detector_states",
    metadata,
    Column("detector", String(16), primary_key=True),
    Column("segment", BigId, nullable=False),
    Column("line", BigId, nullable=False),
    Column("digest", String(32), nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("stored", Instant, nullable=False),
)

hunts = Table(
    "hunts",
    metadata,
    Column("watch", BigId, primary_key=True, autoincrement=True),
    Column("indicator", String(128), nullable=False, unique=True),
    Column("terms", String(32), nullable=False, default=""),
    Column("state", String(8), nullable=False, default=DUE),
    Column("problem", String(64), nullable=True),
    Column("remembered", Integer, nullable=False, default=0),
    Column("finished", Instant, nullable=True),
)

indicator_hits = Table(
    "indicator_hits",
    metadata,
    Column("watch", BigId, primary_key=True, autoincrement=False),
    Column("segment", BigId, primary_key=True, autoincrement=False),
    Column("line", BigId, primary_key=True, autoincrement=False),
)

_MANY = 500


@dataclass(frozen=True)
class Watch:
    """The place of one indicator's hits."""

    number: int
    remembered: int
    """How many of its hits are remembered by their event."""


# Built once: these stand between an event and its alert, and building one costs more than running it.
_POSITIONS = select(detector_positions)
_JUDGED = select(detector_positions.c.judged).where(detector_positions.c.detector == bindparam("detector"))
_STATE = select(detector_states).where(detector_states.c.detector == bindparam("detector"))
_MOVE_STATE = update(detector_states).where(
    detector_states.c.detector == bindparam("of_detector"),
    detector_states.c.digest == bindparam("of_digest"),
)
_MOVE = update(detector_positions).where(detector_positions.c.detector == bindparam("of_detector"))
_WATCHES = select(hunts.c.indicator, hunts.c.watch, hunts.c.remembered).where(
    hunts.c.indicator.in_(bindparam("indicators", expanding=True))
)
_ADD_WATCHES = insert(hunts).returning(hunts.c.indicator, hunts.c.watch)
_KNOWN = select(indicator_hits.c.line).where(
    indicator_hits.c.watch == bindparam("watch"),
    indicator_hits.c.segment == bindparam("segment"),
    indicator_hits.c.line.in_(bindparam("lines", expanding=True)),
)
_CHANGE_HUNT = update(hunts).where(hunts.c.watch == bindparam("of_watch"))
_HUNTED = select(hunts.c.indicator, hunts.c.terms).where(hunts.c.state == DONE)
_HUNTED_AMONG = _HUNTED.where(hunts.c.indicator.in_(bindparam("indicators", expanding=True)))
_PROBLEM = select(hunts.c.problem).where(hunts.c.indicator == bindparam("indicator"))


def positions(connection: Connection) -> dict[str, Position]:
    """The stored position of each detector that ever had one."""
    rows = connection.execute(_POSITIONS)
    return {row.detector: Position(row.segment, row.line) for row in rows}


def judged(connection: Connection, detector: str) -> int:
    """µs since 1970: up to when correlations were judged at the stored position."""
    found: int | None = connection.execute(_JUDGED, {"detector": detector}).scalar()
    return BEFORE if found is None else found


def put_position(
    connection: Connection, detector: str, position: Position, now: datetime, judged: int = BEFORE
) -> None:
    """Everything before ``position`` is stored, of correlations what happened up to ``judged``."""
    values = {"segment": position.segment, "line": position.line, "stored": now, "judged": judged}
    done = connection.execute(_MOVE, {"of_detector": detector, **values})
    if not done.rowcount:
        connection.execute(insert(detector_positions), {"detector": detector, **values})


def state(connection: Connection, detector: str) -> StoredState | None:
    """What a detector remembered, and where."""
    row = connection.execute(_STATE, {"detector": detector}).first()
    return None if row is None else StoredState(Position(row.segment, row.line), bytes(row.data))


def put_state(
    connection: Connection, detector: str, position: Position, state: WireState, now: datetime
) -> None:
    """Keep what a detector remembers at ``position``; without data, what is kept stands for it too."""
    where = {"of_detector": detector, "of_digest": state.digest}
    values = {"segment": position.segment, "line": position.line, "stored": now}
    if state.data is None:
        connection.execute(_MOVE_STATE, where | values)
        return
    connection.execute(delete(detector_states).where(detector_states.c.detector == detector))
    if state.data:
        kept = {"detector": detector, "digest": state.digest, "data": state.data, **values}
        connection.execute(insert(detector_states), kept)


def watches(connection: Connection, indicators: Iterable[str]) -> dict[str, Watch]:
    """Where the hits of these indicators are remembered; made where there is no place yet."""
    wanted = list(dict.fromkeys(indicators))
    found: dict[str, Watch] = {}
    for some in _parts(wanted):
        rows = connection.execute(_WATCHES, {"indicators": some})
        found |= {row.indicator: Watch(row.watch, row.remembered) for row in rows}
    for some in _parts([one for one in wanted if one not in found]):
        new = [{"indicator": one, "terms": "", "state": DUE, "remembered": 0} for one in some]
        rows = connection.execute(_ADD_WATCHES, new)
        found |= {row.indicator: Watch(row.watch, 0) for row in rows}
    return found


def known_hits(connection: Connection, watch: Watch, events: Iterable[Position]) -> set[Position]:
    """Those of ``events`` that are stored as hits already."""
    known: set[Position] = set()
    if not watch.remembered:
        return known
    by_segment: dict[int, list[int]] = {}
    for event in events:
        by_segment.setdefault(event.segment, []).append(event.line)
    for segment, lines in by_segment.items():
        for some in _parts(lines):
            rows = connection.execute(_KNOWN, {"watch": watch.number, "segment": segment, "lines": some})
            known |= {Position(segment, row.line) for row in rows}
    return known


def remember_hits(connection: Connection, watch: Watch, events: Iterable[Position]) -> None:
    """Remember that these events are counted, up to the bound."""
    some = sorted(events)[: max(0, MOST_CHANGE_HUNTED - watch.remembered)]
    if not some:
        return
    connection.execute(
        insert(indicator_hits),
        [{"watch": watch.number, "segment": one.segment, "line": one.line} for one in some],
    )
    held = watch.remembered + len(some)
    connection.execute(_CHANGE_HUNT, {"of_watch": watch.number, "remembered": held})


def hunted(connection: Connection, indicators: Iterable[str] | None = None) -> dict[str, str]:
    """The digest of the terms that each indicator was hunted for with; those still due are left out."""
    if indicators is None:
        return {row.indicator: row.terms for row in connection.execute(_HUNTED)}
    found: dict[str, str] = {}
    for some in _parts(list(indicators)):
        rows = connection.execute(_HUNTED_AMONG, {"indicators": some})
        found |= {row.indicator: row.terms for row in rows}
    return found


def finish_hunts(
    connection: Connection, terms: Mapping[str, str], problem: str | None, now: datetime
) -> None:
    """The hunts for these indicators, with these digests of their terms, are done."""
    known = watches(connection, terms)
    for indicator, digest in terms.items():
        values = {"terms": digest, "state": DONE, "problem": problem, "finished": now}
        connection.execute(_CHANGE_HUNT, {"of_watch": known[indicator].number, **values})


def forget_hunts(connection: Connection, indicators: Iterable[str]) -> None:
    """Indicators that are watched for no more: should one come back, it is hunted for again."""
    for some in _parts(list(indicators)):
        connection.execute(
            update(hunts)
            .where(hunts.c.indicator.in_(some), hunts.c.state == DONE)
            .values(state=DUE, problem=None)
        )


def hunt_problem(connection: Connection, indicator: str) -> str | None:
    """Why the hunt for an indicator did not see everything; None where it did, or is still due."""
    found: str | None = connection.execute(_PROBLEM, {"indicator": indicator}).scalar()
    return found


def _parts(items: list[str] | list[int]) -> Iterator[list[str] | list[int]]:
    for start in range(0, len(items), _MANY):
        yield items[start : start + _MANY]
