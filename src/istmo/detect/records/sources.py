"""Intake sources: digests of their secrets, and what each has sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    LargeBinary,
    String,
    Table,
    bindparam,
    func,
    insert,
    select,
    update,
)

from istmo.detect.objects_source import Sent, Source, SourceSettings
from istmo.store.columns import BigId, Instant, Json
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
    Column("networks", Json, nullable=True),
    Column("certificate", String(64), nullable=False, server_default=""),
    Column("form", String(32), nullable=False, server_default=""),
    Column("zone", String(64), nullable=False, server_default=""),
    Column("rate", Integer, nullable=False, server_default="0"),
    Column("silent_after", Integer, nullable=False, server_default="0"),
    Column("doubled", BigId, nullable=False, server_default="0"),
    Column("unreadable", BigId, nullable=False, server_default="0"),
    Column("reasons", Json, nullable=True),
    Column("first_event", Instant, nullable=True),
    Column("lag", BigId, nullable=True),
    Column("silence", String(64), nullable=True),
    Column("paused", Instant, nullable=True),
    Column("switched", Instant, nullable=True),
)
MOST_REASONS = 64
"""Different reasons that are counted apart for a source."""

_COUNT = (
    update(sources)
    .where(sources.c.id == bindparam("source"))
    .values(
        accepted=sources.c.accepted + bindparam("more_accepted"),
        refused=sources.c.refused + bindparam("more_refused"),
        unreadable=sources.c.unreadable + bindparam("more_unreadable"),
        doubled=sources.c.doubled + bindparam("more_doubled"),
        first_event=func.coalesce(sources.c.first_event, bindparam("last", type_=Instant)),
        last_event=func.coalesce(bindparam("last", type_=Instant), sources.c.last_event),
    )
)
"""Built once: it runs once a second for each source that sends."""


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
            **_settings_values(source.settings),
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
    """Whether a source that is not revoked is called so, in any case.

    Compared here: to SQLite's ``lower`` Á and á are two letters.
    """
    found = connection.execute(select(sources.c.name).where(sources.c.revoked.is_(None)))
    return name.casefold() in {one.casefold() for one in found.scalars()}


def revoke_source(connection: Connection, id: str, now: datetime) -> bool:
    """False where there is no such source that may still send."""
    done = connection.execute(
        update(sources).where(sources.c.id == id, sources.c.revoked.is_(None)).values(revoked=now)
    )
    return done.rowcount == 1


def put_digest(connection: Connection, id: str, digest: bytes) -> bool:
    """The digest of a new secret in place of the old; False where there is no source that may send."""
    done = connection.execute(
        update(sources).where(sources.c.id == id, sources.c.revoked.is_(None)).values(digest=digest)
    )
    return done.rowcount == 1


def set_paused(connection: Connection, id: str, is_paused: bool, now: datetime) -> None:
    """Take nothing of a source for now, or again."""
    values = {"paused": now if is_paused else None, "switched": now}
    connection.execute(update(sources).where(sources.c.id == id).values(**values))


def find_source(connection: Connection, id: str) -> Source | None:
    """A source, revoked or not."""
    row = connection.execute(select(sources).where(sources.c.id == id)).first()
    return None if row is None else _source(row)


def not_revoked(connection: Connection) -> list[Source]:
    """The sources that were not revoked; some may have expired."""
    rows = connection.execute(select(sources).where(sources.c.revoked.is_(None)).order_by(sources.c.row))
    return [_source(row) for row in rows]


def put_name(connection: Connection, id: str, name: str) -> None:
    connection.execute(update(sources).where(sources.c.id == id).values(name=name))


def put_settings(connection: Connection, id: str, settings: SourceSettings) -> None:
    connection.execute(update(sources).where(sources.c.id == id).values(**_settings_values(settings)))


def count_events(connection: Connection, sent: Iterable[Sent]) -> None:
    """Add to what each source has sent."""
    for one in sent:
        connection.execute(
            _COUNT,
            {
                "source": one.id,
                "more_accepted": one.accepted,
                "more_refused": one.refused,
                "more_unreadable": one.unreadable,
                "more_doubled": one.doubled,
                "last": one.last,
            },
        )
        if one.reasons:
            _count_reasons(connection, one.id, one.reasons)


def _count_reasons(connection: Connection, id: str, more: Mapping[str, int]) -> None:
    held = connection.execute(select(sources.c.reasons).where(sources.c.id == id)).scalar()
    counts: dict[str, int] = dict(held or {})
    for code, number in more.items():
        if code in counts or len(counts) < MOST_REASONS:
            counts[code] = counts.get(code, 0) + number
    connection.execute(update(sources).where(sources.c.id == id).values(reasons=counts))


def set_lags(connection: Connection, lags: Mapping[str, int]) -> None:
    """How late events of each source come, in µs."""
    for id, lag in lags.items():
        connection.execute(update(sources).where(sources.c.id == id).values(lag=lag))


def watched_for_silence(connection: Connection) -> list[Source]:
    """The sources of which silence is told, and those about whose silence an alert was made."""
    rows = connection.execute(
        select(sources)
        .where(
            sources.c.silence.is_not(None)
            | (sources.c.silent_after > 0) & sources.c.revoked.is_(None) & sources.c.paused.is_(None),
        )
        .order_by(sources.c.row)
    )
    return [_source(row) for row in rows]


def set_silence(connection: Connection, id: str, alert: str | None) -> None:
    """Which alert is about a source's present silence; None once it is over."""
    connection.execute(update(sources).where(sources.c.id == id).values(silence=alert))


def _settings_values(settings: SourceSettings) -> dict[str, Any]:
    return {
        "networks": list(settings.networks),
        "certificate": settings.certificate,
        "form": settings.form,
        "zone": settings.zone,
        "rate": settings.rate,
        "silent_after": settings.silent_after,
    }


def _source(row: Any) -> Source:
    return Source(
        id=row.id,
        name=row.name,
        created=row.created,
        created_by=row.created_by,
        expires=row.expires,
        revoked=row.revoked,
        settings=SourceSettings(
            tuple(row.networks or ()),
            row.certificate,
            row.form,
            row.zone,
            row.rate,
            row.silent_after,
        ),
        accepted=row.accepted,
        doubled=row.doubled,
        unreadable=row.unreadable,
        refused=row.refused,
        reasons=dict(row.reasons or {}),
        first_event=row.first_event,
        last_event=row.last_event,
        lag=row.lag,
        silence=row.silence,
        paused=row.paused,
        switched=row.switched,
    )
