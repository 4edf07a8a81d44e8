"""Sightings, received and our own, and the tallies that ours are told from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Index,
    Integer,
    Row,
    String,
    Table,
    and_,
    bindparam,
    delete,
    insert,
    select,
)

from istmo.intel.objects import Sighting
from istmo.intel.records.objects import chunks
from istmo.store.columns import BigId, Instant
from istmo.store.engine import metadata

sightings = Table(
    "intel_sightings",
    metadata,
    Column("sighting", String(300), primary_key=True),
    Column("origin", String(64), primary_key=True),
    Column("object", String(300), nullable=False),
    Column("sequence", BigId, nullable=False),
    Column("version", Instant, nullable=False),
    Column("first_seen", Instant, nullable=True),
    Column("last_seen", Instant, nullable=True),
    Column("number", BigId, nullable=False),
    Column("received", Instant, nullable=False),
    Index("ix_intel_sightings_object", "object"),
)

tallies = Table(
    "intel_tallies",
    metadata,
    Column("object", String(300), primary_key=True),
    Column("origin", String(64), primary_key=True),
    Column("sighting", String(300), nullable=False),
    Column("created", Instant, nullable=False),
    Column("first_seen", Instant, nullable=False),
    Column("last_seen", Instant, nullable=False),
    Column("number", BigId, nullable=False),
    Column("told_number", BigId, nullable=False),
    Column("told", Instant, nullable=True),
    Column("round", Integer, nullable=False),
)
"""What this node has seen of each indicator, and how much of that its origin has been told."""


def put_sighting(connection: Connection, sighting: Sighting) -> bool:
    """Keep a sighting if it is newer than what is known under its id; False when it is not."""
    where = and_(sightings.c.sighting == sighting.id, sightings.c.origin == sighting.origin)
    known = connection.execute(select(sightings.c.version).where(where)).scalar()
    if known is not None and known >= sighting.version:
        return False
    connection.execute(delete(sightings).where(where))
    connection.execute(
        insert(sightings).values(
            sighting=sighting.id,
            origin=sighting.origin,
            object=sighting.object,
            sequence=sighting.sequence,
            version=sighting.version,
            first_seen=sighting.first_seen,
            last_seen=sighting.last_seen,
            number=sighting.count,
            received=sighting.received,
        )
    )
    return True


def sightings_of(connection: Connection, ids: Iterable[str]) -> dict[str, list[Sighting]]:
    """The sightings of each object, the earliest first."""
    found: dict[str, list[Sighting]] = {}
    for some in chunks(ids):
        rows = connection.execute(
            select(sightings)
            .where(sightings.c.object.in_(some))
            .order_by(sightings.c.first_seen, sightings.c.received)
        )
        for row in rows:
            found.setdefault(row.object, []).append(
                Sighting(
                    row.sighting,
                    row.object,
                    row.origin,
                    row.sequence,
                    row.version,
                    row.first_seen,
                    row.last_seen,
                    row.number,
                    row.received,
                )
            )
    return found


_FIND_TALLY = select(tallies).where(
    tallies.c.object == bindparam("object"), tallies.c.origin == bindparam("origin")
)
_DELETE_TALLY = delete(tallies).where(
    tallies.c.object == bindparam("object"), tallies.c.origin == bindparam("origin")
)


def find_tally(connection: Connection, object: str, origin: str) -> Row[Any] | None:
    """What this node has seen of an indicator of ``origin``."""
    return connection.execute(_FIND_TALLY, {"object": object, "origin": origin}).first()


_IS_SEEN = select(tallies.c.origin).where(tallies.c.object == bindparam("object")).limit(1)


def is_seen(connection: Connection, object: str) -> bool:
    """Whether this node's own detection saw an object, whoever's it is."""
    return connection.execute(_IS_SEEN, {"object": object}).first() is not None


def put_tally(connection: Connection, values: Mapping[str, Any], *, is_new: bool = False) -> None:
    """Write a tally, anew unless it ``is_new``."""
    if not is_new:
        connection.execute(_DELETE_TALLY, {"object": values["object"], "origin": values["origin"]})
    connection.execute(insert(tallies), dict(values))
