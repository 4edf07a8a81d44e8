"""The evidence that is kept of alerts, and their counts by hour and by host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from istmo.detect.objects import Evidence
from istmo.store.columns import BigId, Instant, Json
from istmo.store.engine import metadata

alert_evidence = Table(
    "alert_evidence",
    metadata,
    Column("alert", BigId, primary_key=True, autoincrement=False),
    Column("event", String(48), primary_key=True),
    Column("time", Instant, nullable=False),
    Column("received", Instant, nullable=False),
    Column("host", Text, nullable=False),
    Column("source", String(64), nullable=False),
    Column("fields", Json, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("stored", Boolean, nullable=False),
)

alert_hours = Table(
    "alert_hours",
    metadata,
    Column("alert", BigId, primary_key=True, autoincrement=False),
    Column("hour", BigId, primary_key=True, autoincrement=False),
    Column("count", BigId, nullable=False),
)

alert_hosts = Table(
    "alert_hosts",
    metadata,
    Column("alert", BigId, primary_key=True, autoincrement=False),
    Column("host", String(255), primary_key=True),
    Column("count", BigId, nullable=False),
    Index("ix_alert_hosts_host", "host", "alert"),
)


def evidence_places(connection: Connection, alert: int) -> list[tuple[datetime, str]]:
    """Time and event of the evidence that is kept, the earliest first."""
    rows = connection.execute(
        select(alert_evidence.c.time, alert_evidence.c.event)
        .where(alert_evidence.c.alert == alert)
        .order_by(alert_evidence.c.time, alert_evidence.c.event)
    )
    return [(row.time, row.event) for row in rows]


def replace_evidence(
    connection: Connection, alert: int, gone: Iterable[str], added: Sequence[Evidence]
) -> None:
    """Let go of some evidence and keep other."""
    leaving = list(gone)
    if leaving:
        connection.execute(
            delete(alert_evidence).where(alert_evidence.c.alert == alert, alert_evidence.c.event.in_(leaving))
        )
    if added:
        connection.execute(
            insert(alert_evidence),
            [
                {
                    "alert": alert,
                    "event": one.event,
                    "time": one.time,
                    "received": one.received,
                    "host": one.host,
                    "source": one.source,
                    "fields": dict(one.fields),
                    "raw": one.raw,
                    "stored": one.is_stored,
                }
                for one in added
            ],
        )


def evidence(connection: Connection, alert: int) -> tuple[Evidence, ...]:
    """What is kept of the events of an alert, the earliest first."""
    rows = connection.execute(
        select(alert_evidence)
        .where(alert_evidence.c.alert == alert)
        .order_by(alert_evidence.c.time, alert_evidence.c.event)
    )
    return tuple(
        Evidence(
            event=row.event,
            time=row.time,
            received=row.received,
            host=row.host,
            source=row.source,
            fields=row.fields,
            raw=bytes(row.raw),
            is_stored=row.stored,
        )
        for row in rows
    )


def add_hours(
    connection: Connection, alert: int, counts: Mapping[int, int], most: int, *, is_new: bool = False
) -> None:
    """Count matches by hour since 1970; hours past ``most`` different ones are not told apart any more.

    An alert that ``is_new`` has none yet.
    """
    table = alert_hours
    asked = select(table.c.hour).where(table.c.alert == alert)
    known = set() if is_new else set(connection.execute(asked).scalars())
    _add_counts(connection, table, table.c.hour, alert, counts, known, most)


def add_hosts(
    connection: Connection, alert: int, counts: Mapping[str, int], most: int, *, is_new: bool = False
) -> None:
    """Count matches by host; hosts past ``most`` different ones are counted together as ``""``."""
    table = alert_hosts
    asked = select(table.c.host).where(table.c.alert == alert)
    known = set() if is_new else set(connection.execute(asked).scalars())
    room, kept = most - len(known), dict[str, int]()
    for host, number in counts.items():
        if host not in known and host not in kept:
            room -= 1
            if room < 0:
                host = ""
        kept[host] = kept.get(host, 0) + number
    _add_counts(connection, table, table.c.host, alert, kept, known, most + 1)


def _add_counts(
    connection: Connection,
    table: Table,
    column: Column[Any],
    alert: int,
    counts: Mapping[Any, int],
    known: set[Any],
    most: int,
) -> None:
    new = [key for key in counts if key not in known][: max(0, most - len(known))]
    for key, number in counts.items():
        if key in known:
            connection.execute(
                update(table)
                .where(table.c.alert == alert, column == key)
                .values(count=table.c.count + number)
            )
    if new:
        connection.execute(
            insert(table), [{"alert": alert, column.name: key, "count": counts[key]} for key in new]
        )


def hours(connection: Connection, alert: int) -> tuple[tuple[datetime, int], ...]:
    """Start and count of each hour that had any matches, the earliest first."""
    rows = connection.execute(
        select(alert_hours).where(alert_hours.c.alert == alert).order_by(alert_hours.c.hour)
    )
    return tuple((datetime.fromtimestamp(hour * 3600, UTC), number) for _, hour, number in rows)


def hosts(connection: Connection, alert: int, limit: int) -> tuple[tuple[str, int], ...]:
    """Hosts and counts, the most first."""
    rows = connection.execute(
        select(alert_hosts)
        .where(alert_hosts.c.alert == alert)
        .order_by(alert_hosts.c.count.desc(), alert_hosts.c.host)
        .limit(limit)
    )
    return tuple((host, number) for _, host, number in rows)
