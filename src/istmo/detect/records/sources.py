"""Intake sources: digests of their secrets, and what each has sent."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, LargeBinary, String, Table, func, insert, select, update

from istmo.detect.objects import Source
from istmo.store.columns import BigId, Instant
from istmo.store.engine import metadata

sources = Table(
    "sources",
    metadata,
    Column("row", BigId, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("name", String(100), nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("created", Instant, nullable=False),
    Column("created_by", String(96), nullable=False),
    Column("expires", Instant, nullable=True),
    Column("revoked", Instant, nullable=True),
    Column("accepted", BigId, nullable=False, default=0),
    Column("refused", BigId, nullable=False, default=0),
    Column("last_event", Instant, nullable=True),
)


def add_source(connection: Connection, source: Source, digest: bytes) -> None:
    """Keep a new source; of its secret only the digest."""
    connection.execute(
        insert(sources).values(
            id=source.id,
            name=source.name,
            digest=digest,
            created=source.created,
            created_by=source.created_by,
            expires=source.expires,
            accepted=0,
            refused=0,
        )
    )


def all_sources(connection: Connection) -> list[Source]:
    """Every source, the newest first."""
    rows = connection.execute(select(sources).order_by(sources.c.row.desc()))
    return [_source(row) for row in rows]


def source_names(connection: Connection) -> dict[str, str]:
    """What each source is called, revoked ones too."""
    return {row.id: row.name for row in connection.execute(select(sources.c.id, sources.c.name))}


def valid_digests(connection: Connection, now: datetime) -> list[tuple[Source, bytes]]:
    """The sources that may send, with the digests of their secrets."""
    rows = connection.execute(
        select(sources)
        .where(sources.c.revoked.is_(None), (sources.c.expires.is_(None)) | (sources.c.expires > now))
        .order_by(sources.c.row)
    )
    return [(_source(row), bytes(row.digest)) for row in rows]


def has_valid_name(connection: Connection, name: str) -> bool:
    """Whether a source that is not revoked is called so, in any case."""
    found = connection.execute(
        select(sources.c.row).where(func.lower(sources.c.name) == name.lower(), sources.c.revoked.is_(None))
    )
    return found.first() is not None


def revoke_source(connection: Connection, id: str, now: datetime) -> bool:
    """False where there is no such source that may still send."""
    done = connection.execute(
        update(sources).where(sources.c.id == id, sources.c.revoked.is_(None)).values(revoked=now)
    )
    return done.rowcount == 1


def count_events(connection: Connection, counts: Iterable[tuple[str, int, int, datetime | None]]) -> None:
    """Add (id, accepted, refused, last event) to what each source has sent."""
    for id, accepted, refused, last in counts:
        values: dict[str, Any] = {
            "accepted": sources.c.accepted + accepted,
            "refused": sources.c.refused + refused,
        }
        if last is not None:
            values["last_event"] = last
        connection.execute(update(sources).where(sources.c.id == id).values(**values))


def _source(row: Any) -> Source:
    return Source(
        id=row.id,
        name=row.name,
        created=row.created,
        created_by=row.created_by,
        expires=row.expires,
        revoked=row.revoked,
        accepted=row.accepted,
        refused=row.refused,
        last_event=row.last_event,
    )
