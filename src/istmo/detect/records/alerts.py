"""Alerts: one row a story."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    String,
    Table,
    Text,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
    update,
)

from istmo.detect.objects import (
    LEVELS,
    Alert,
    CloseReason,
    Correlated,
    Level,
    Silence,
    Status,
    Weighed,
)
from istmo.detect.records.evidence import alert_hosts
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
    Column("rank", Integer, nullable=False),
    Column("assignee", String(96), nullable=False, server_default=""),
    Column("snoozed_until", Instant, nullable=True),
    Column("worked", Instant, nullable=True),
    # One subject's alerts, the last seen first: an alert names those beside it.
    Index("ix_alerts_detector_subject", "detector", "subject", "last_seen", "row"),
    Index("ix_alerts_updated_row", "updated", "row"),
    # What one look at the situation counts, from the index alone: the rows are wide.
    Index("ix_alerts_created", "created", "level", "tlp", "owner", "detector", "subject"),
    Index("ix_alerts_status", "status", "level", "tlp", "owner", "snoozed_until"),
    Index("ix_alerts_queue", "status", "rank", "last_seen", "row"),
    Index("ix_alerts_rank", "rank", "last_seen", "row"),
    # All that the lines of the queue are counted from, and one line's alerts in their order: the index alone.
    Index(
        "ix_alerts_lines",
        "status",
        "detector",
        "subject",
        "rank",
        "last_seen",
        "row",
        "tlp",
        "owner",
        "assignee",
        "snoozed_until",
        "count",
        "entity",
    ),
)
"""``rank`` is the level's place among the levels, so that the gravest can be asked for first."""

HOSTS = (
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
    named: select(alerts, HOSTS)
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
    return [alert_of(row) for row in connection.execute(_OPEN["".join(named)], about)]


def last_closed(connection: Connection, detector: str, subject: str, **named: str) -> str | None:
    """The id of the alert about a subject that was closed last; ``named`` as in :func:`open_stories`."""
    about = {"detector": detector, "subject": subject, **named}
    found: str | None = connection.execute(_CLOSED["".join(named)], about).scalar()
    return found


def add_alert(connection: Connection, values: Mapping[str, Any]) -> int:
    """Keep a new alert; its row."""
    row: int = connection.execute(_ADD, _ranked(values)).scalar_one()
    return row


def change_alert(connection: Connection, row: int, values: Mapping[str, Any]) -> None:
    connection.execute(update(alerts).where(alerts.c.row == row).values(**_ranked(values)))


def _ranked(values: Mapping[str, Any]) -> dict[str, Any]:
    return {**values, "rank": LEVELS.index(values["level"])} if "level" in values else dict(values)


def find_alert(connection: Connection, id: str) -> Alert | None:
    row = connection.execute(select(alerts, HOSTS).where(alerts.c.id == id)).first()
    return None if row is None else alert_of(row)


def find_alerts(connection: Connection, ids: Iterable[str]) -> list[Alert]:
    """Those of these ids that there are, in no particular order."""
    rows = connection.execute(select(alerts, HOSTS).where(alerts.c.id.in_(list(ids))))
    return [alert_of(row) for row in rows]


_ABOUT = (
    select(alerts, HOSTS)
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
    return [alert_of(row) for row in connection.execute(_ABOUT, asked)]


def count_alerts(
    connection: Connection, now: datetime, *, reads: Tlp, owners: Sequence[str]
) -> dict[tuple[Status, Level, bool], int]:
    """How many alerts one may read, by status, level, and whether they are put off."""
    is_off = case((alerts.c.snoozed_until > now, 1), else_=0).label("is_off")
    rows = connection.execute(
        select(alerts.c.status, alerts.c.level, is_off, func.count().label("number"))
        .where(or_(alerts.c.tlp <= int(reads), alerts.c.owner.in_(owners)))
        .group_by(alerts.c.status, alerts.c.level, is_off)
    )
    return {(Status(row.status), Level(row.level), bool(row.is_off)): row.number for row in rows}


def alert_of(row: Any) -> Alert:
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
        assignee=row.assignee,
        snoozed_until=row.snoozed_until,
        worked=row.worked,
    )
