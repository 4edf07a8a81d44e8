"""Alerts, the evidence that is kept of them, and their counts by hour and by host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from istmo.detect.objects import (
    Alert,
    AlertFilter,
    CloseReason,
    Correlated,
    Evidence,
    Level,
    Silence,
    Status,
    Weighed,
)
from istmo.model.markings import Tlp
from istmo.store.columns import BigId, Instant, Json
from istmo.store.engine import metadata

alerts = Table(
    "alerts",
    metadata,
    Column("row", BigId, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("detector", String(16), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("title", Text, nullable=False),
    Column("level", String(16), nullable=False),
    Column("tlp", Integer, nullable=False),
    Column("origin", String(64), nullable=False),
    Column("audience", Json, nullable=True),
    Column("owner", String(96), nullable=False),
    Column("entity", Text, nullable=False),
    Column("first_seen", Instant, nullable=False),
    Column("last_seen", Instant, nullable=False),
    Column("count", BigId, nullable=False),
    Column("stored_count", BigId, nullable=False),
    Column("created", Instant, nullable=False),
    Column("updated", Instant, nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", String(16), nullable=True),
    Column("note", Text, nullable=False),
    Column("worked_by", String(96), nullable=False),
    Column("former", String(64), nullable=True),
    Column("version", Integer, nullable=False),
    Column("search", Text, nullable=False),
    Column("grouped", String(32), nullable=False, server_default=""),
    Column("correlation", Json, nullable=True),
    Column("silence", Json, nullable=True),
    Column("weighed", Json, nullable=True),
    Index("ix_alerts_detector_subject", "detector", "subject"),
    Index("ix_alerts_updated_row", "updated", "row"),
    Index("ix_alerts_created_level", "created", "level"),
)

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
)

_HOSTS = (
    select(func.count())
    .select_from(alert_hosts)
    .where(alert_hosts.c.alert == alerts.c.row, alert_hosts.c.host != "")
    .scalar_subquery()
    .label("hosts")
)


def _about(named: str) -> ColumnElement[bool]:
    same = (alerts.c.detector == bindparam("detector")) & (alerts.c.subject == bindparam("subject"))
    return same & (alerts.c[named] == bindparam(named)) if named else same


_NAMED = ("", "entity", "grouped")
# Built once: these stand between an event and its alert, and building one costs more than running it.
_OPEN = {
    named: select(alerts, _HOSTS)
    .where(_about(named), alerts.c.status != Status.CLOSED)
    .order_by(alerts.c.row.desc())
    .limit(50)
    for named in _NAMED
}
_CLOSED = {
    named: select(alerts.c.id)
    .where(_about(named), alerts.c.status == Status.CLOSED)
    .order_by(alerts.c.row.desc())
    .limit(1)
    for named in _NAMED
}
_ADD = insert(alerts).returning(alerts.c.row)


def open_stories(connection: Connection, detector: str, subject: str, **named: str) -> list[Alert]:
    """The alerts about a subject that are not closed, newest first.

    ``named``: of one ``entity`` (host), or of one group (``grouped``), where there are such.
    """
    about = {"detector": detector, "subject": subject, **named}
    return [_alert(row) for row in connection.execute(_OPEN["".join(named)], about)]


def last_closed(connection: Connection, detector: str, subject: str, **named: str) -> str | None:
    """The id of the alert about a subject that was closed last; ``named`` as in :func:`open_stories`."""
    about = {"detector": detector, "subject": subject, **named}
    found: str | None = connection.execute(_CLOSED["".join(named)], about).scalar()
    return found


def add_alert(connection: Connection, values: Mapping[str, Any]) -> int:
    """Keep a new alert; its row."""
    row: int = connection.execute(_ADD, dict(values)).scalar_one()
    return row


def change_alert(connection: Connection, row: int, values: Mapping[str, Any]) -> None:
    connection.execute(update(alerts).where(alerts.c.row == row).values(**values))


def change_status(connection: Connection, row: int, version: int, values: Mapping[str, Any]) -> bool:
    """False where somebody else changed the status since ``version`` was read."""
    done = connection.execute(
        update(alerts)
        .where(alerts.c.row == row, alerts.c.version == version)
        .values(version=version + 1, **values)
    )
    return done.rowcount == 1


def find_alert(connection: Connection, id: str) -> Alert | None:
    row = connection.execute(select(alerts, _HOSTS).where(alerts.c.id == id)).first()
    return None if row is None else _alert(row)


def list_alerts(
    connection: Connection,
    wanted: AlertFilter,
    *,
    reads: Tlp,
    owners: Sequence[str],
    before: tuple[datetime, int] | None,
    limit: int,
) -> tuple[list[Alert], int]:
    """Alerts, last changed first, and how many there are in all.

    ``reads`` and ``owners`` bound what is counted: a count tells of nothing that one may not read.
    """
    where: list[ColumnElement[bool]] = [
        or_(alerts.c.tlp <= int(reads), alerts.c.owner.in_(owners)),
        *_filters(wanted),
    ]
    total = connection.execute(select(func.count()).select_from(alerts).where(*where)).scalar_one()
    if before is not None:
        updated, row = before
        where.append(or_(alerts.c.updated < updated, (alerts.c.updated == updated) & (alerts.c.row < row)))
    rows = connection.execute(
        select(alerts, _HOSTS)
        .where(*where)
        .order_by(alerts.c.updated.desc(), alerts.c.row.desc())
        .limit(limit)
    )
    return [_alert(one) for one in rows], total


_ABOUT = (
    select(alerts, _HOSTS)
    .where(
        or_(
            alerts.c.tlp <= bindparam("reads"),
            alerts.c.owner.in_(bindparam("owners", expanding=True)),
        ),
        alerts.c.subject == bindparam("subject"),
    )
    .order_by(alerts.c.updated.desc(), alerts.c.row.desc())
    .limit(bindparam("most"))
)


def alerts_about(
    connection: Connection, subject: str, *, reads: Tlp, owners: Sequence[str], limit: int
) -> list[Alert]:
    """The alerts about one indicator or rule, last changed first."""
    asked = {"subject": subject, "reads": int(reads), "owners": list(owners), "most": limit}
    return [_alert(row) for row in connection.execute(_ABOUT, asked)]


def _filters(wanted: AlertFilter) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [
        alerts.c.search.like(f"%{_escaped(word)}%", escape="\\") for word in wanted.words
    ]
    if wanted.status is not None:
        where.append(alerts.c.status == wanted.status)
    if wanted.level is not None:
        where.append(alerts.c.level == wanted.level)
    if wanted.detector:
        where.append(alerts.c.detector == wanted.detector)
    if wanted.subject:
        where.append(alerts.c.subject == wanted.subject)
    if wanted.host:
        on_it = select(alert_hosts.c.host).where(
            alert_hosts.c.alert == alerts.c.row, alert_hosts.c.host == wanted.host
        )
        where.append(exists(on_it))
    return where


def count_alerts(
    connection: Connection, *, reads: Tlp, owners: Sequence[str]
) -> dict[tuple[Status, Level], int]:
    """How many alerts one may read, by status and level."""
    rows = connection.execute(
        select(alerts.c.status, alerts.c.level, func.count().label("number"))
        .where(or_(alerts.c.tlp <= int(reads), alerts.c.owner.in_(owners)))
        .group_by(alerts.c.status, alerts.c.level)
    )
    return {(Status(row.status), Level(row.level)): row.number for row in rows}


# --- evidence and counts ---------------------------------------------------------------------


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


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _alert(row: Any) -> Alert:
    return Alert(
        row=row.row,
        id=row.id,
        detector=row.detector,
        subject=row.subject,
        title=row.title,
        level=Level(row.level),
        tlp=Tlp(row.tlp),
        origin=row.origin,
        audience=None if row.audience is None else frozenset(row.audience),
        owner=row.owner,
        entity=row.entity,
        hosts=row.hosts,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        count=row._mapping["count"],
        stored_count=row.stored_count,
        created=row.created,
        updated=row.updated,
        status=Status(row.status),
        reason=None if row.reason is None else CloseReason(row.reason),
        note=row.note,
        worked_by=row.worked_by,
        former=row.former,
        version=row.version,
        correlation=None if row.correlation is None else Correlated(**row.correlation),
        silence=None if row.silence is None else Silence(**row.silence),
        weighed=None if row.weighed is None else Weighed(**row.weighed),
    )
