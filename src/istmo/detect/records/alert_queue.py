"""The alerts that wait for somebody: filtered, in the order of the queue, and by the line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    distinct,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from istmo.detect.objects import LEVELS, Alert, AlertFilter, CloseReason, Level, Snoozed, Status
from istmo.detect.objects_triage import COUNTED, NO_HOST, AlertGroup, AlertState
from istmo.detect.records.alerts import HOSTS, alert_of, alerts
from istmo.detect.records.evidence import alert_hosts
from istmo.model.markings import Tlp

Readable = tuple[Tlp, Sequence[str]]
"""The strictest marking that one may read, and the owners as which one may read more."""
_STATE: Final = (
    "row", "id", "detector", "subject", "level", "tlp", "owner", "version", "status", "reason", "note",
    "assignee", "snoozed_until", "worked",
)  # fmt: skip
_CHUNK: Final = 500


def readable(reads: Readable, of: Any = alerts) -> ColumnElement[bool]:
    """What bounds every count: it tells of nothing that one may not read."""
    return or_(of.c.tlp <= int(reads[0]), of.c.owner.in_(reads[1]))


def list_alerts(
    connection: Connection,
    wanted: AlertFilter,
    *,
    reads: Readable,
    now: datetime,
    before: tuple[Any, ...] | None,
    limit: int,
    is_queue: bool = False,
) -> tuple[list[Alert], int | None]:
    """Alerts, last changed first or in the order of the queue, and how many; None where past counting.

    The queue: the gravest level first, in each what was seen last. ``before``: where the page before ended.
    """
    bounds = [readable(reads), *filters(wanted, now)]
    queue, changed = (alerts.c.rank, alerts.c.last_seen, alerts.c.row), (alerts.c.updated, alerts.c.row)
    order: tuple[Any, ...] = queue if is_queue else changed
    where = list(bounds)
    if before is not None:
        ended = tuple_(*(_bound(column, one) for column, one in zip(order, before, strict=True)))
        where.append(tuple_(*order) < ended)
    # Which ones, from an index alone; then they.
    asked = select(alerts.c.row).where(*where).order_by(*(one.desc() for one in order)).limit(limit)
    if wanted.words and before is None:
        # For words the whole table is read: once, and what is found is counted on the way.
        looked = connection.execute(asked.add_columns(func.count().over().label("number"))).all()
        rows, number = [one.row for one in looked], looked[0].number if looked else 0
        total = number if number <= COUNTED else None
    else:
        rows = list(connection.execute(asked).scalars())
        total = count(connection, select(alerts.c.row).where(*bounds))
    found = alerts_by_row(connection, rows)
    return [found[row] for row in rows], total


def count(connection: Connection, wanted: Select[Any]) -> int | None:
    """How many rows there are, as long as they are not past :data:`COUNTED`."""
    some = wanted.limit(COUNTED + 1).subquery()
    number: int = connection.execute(select(func.count()).select_from(some)).scalar_one()
    return number if number <= COUNTED else None


def filters(wanted: AlertFilter, now: datetime, of: Any = alerts) -> list[ColumnElement[bool]]:
    """What a filter asks, as conditions on ``alerts`` (``of``: under another name)."""
    where: list[ColumnElement[bool]] = []
    if wanted.words:
        text = alerts.alias("text")
        words = [text.c.search.like(f"%{_escaped(word)}%", escape="\\") for word in wanted.words]
        # Found in one pass over the table, and not row by row through an index on something else.
        where.append(of.c.row.in_(select(text.c.row).where(*words)))
    if wanted.status is not None:
        where.append(of.c.status == wanted.status)
    if wanted.level is not None:
        where.append(of.c.rank == LEVELS.index(wanted.level))
    if wanted.detector:
        where.append(of.c.detector == wanted.detector)
    if wanted.subject:
        where.append(of.c.subject == wanted.subject)
    if wanted.assignee is not None:
        where.append(of.c.assignee == wanted.assignee)
    if wanted.snoozed is Snoozed.NO:
        where.append(or_(of.c.snoozed_until.is_(None), of.c.snoozed_until <= now))
    elif wanted.snoozed is Snoozed.ONLY:
        where.append(of.c.snoozed_until > now)
    if wanted.host:
        where.append(_on_host(wanted.host, of))
    return where


def _on_host(host: str, of: Any = alerts) -> ColumnElement[bool]:
    named = "" if host == NO_HOST else host
    found: ColumnElement[bool] = of.c.row.in_(select(alert_hosts.c.alert).where(alert_hosts.c.host == named))
    return found


# --- lines ------------------------------------------------------------------------------------


def list_subjects(
    connection: Connection,
    wanted: AlertFilter,
    *,
    reads: Readable,
    now: datetime,
    before: tuple[Any, ...] | None,
    limit: int,
) -> tuple[list[AlertGroup], int | None]:
    """A line for each subject, the gravest first and then what was seen last; and how many lines there are.

    ``before``: rank, instant, detector and subject of the line at which the page before ended.
    """
    lines = (
        select(
            *_COUNTED,
            alerts.c.detector,
            alerts.c.subject,
            func.count(distinct(alerts.c.entity)).label("others"),
        )
        .where(readable(reads), *filters(wanted, now))
        .group_by(alerts.c.detector, alerts.c.subject)
        .cte("lines")
    )
    keys = (lines.c.detector, lines.c.subject)
    asked = select(lines, select(func.count()).select_from(lines).scalar_subquery().label("total"))
    if before is not None:
        rank, last, *key = before
        same = and_(lines.c.rank == rank, lines.c.last_seen == last)
        ended = tuple_(literal(rank), _bound(alerts.c.last_seen, last))
        after = tuple_(*keys) > tuple_(*(literal(one) for one in key))
        asked = asked.where(or_(tuple_(lines.c.rank, lines.c.last_seen) < ended, and_(same, after)))
    order = (lines.c.rank.desc(), lines.c.last_seen.desc(), *keys)
    rows = connection.execute(asked.order_by(*order).limit(limit)).all()
    newest = alerts_by_row(connection, [one.newest for one in rows])
    found = [_group(one, newest[one.newest], one.detector, one.subject, "") for one in rows]
    return found, rows[0].total if rows else None if before else 0


def list_hosts(
    connection: Connection,
    wanted: AlertFilter,
    *,
    reads: Readable,
    now: datetime,
    before: tuple[Any, ...] | None,
    limit: int,
) -> tuple[list[AlertGroup], tuple[Any, ...] | None]:
    """A line for each host, in the order of its gravest alert that was seen last; and where the page ends.

    Not counted: only as many alerts are looked at as it takes to fill the page.
    """
    bounds = [readable(reads), *filters(wanted, now)]
    rows: list[Any] = []
    for some in _new_hosts(connection, bounds, before, limit):
        rows += some[: limit - len(rows)]
        if len(rows) == limit:
            break
    counted = connection.execute(
        select(*_COUNTED, alert_hosts.c.host, func.count(distinct(alerts.c.subject)).label("others"))
        .join(alert_hosts, alert_hosts.c.alert == alerts.c.row)
        .where(*bounds, alert_hosts.c.host.in_([one.host for one in rows]))
        .group_by(alert_hosts.c.host)
    )
    by_host = {one.host: one for one in counted}
    newest = alerts_by_row(connection, [one.newest for one in by_host.values()])
    found = [
        _group(line, newest[line.newest], "", "", one.host or NO_HOST)
        for one in rows
        if (line := by_host.get(one.host)) is not None
    ]
    last = rows[-1] if len(rows) == limit else None
    return found, None if last is None else (last.rank, last.last_seen, last.row, last.host)


def _new_hosts(
    connection: Connection, bounds: list[ColumnElement[bool]], before: tuple[Any, ...] | None, limit: int
) -> Iterator[list[Any]]:
    """Hosts as they come up first in the queue, without those that came up on a page ``before``."""
    order = (alerts.c.rank, alerts.c.last_seen, alerts.c.row, alert_hosts.c.host)
    asked = (
        select(*order)
        .join(alert_hosts, alert_hosts.c.alert == alerts.c.row)
        .where(*bounds)
        .order_by(*(one.desc() for one in order))
        .execution_options(yield_per=_CHUNK)
    )
    if before is None:
        ended = None
    else:
        ended = tuple_(*(_bound(column, one) for column, one in zip(order, before, strict=True)))
        asked = asked.where(tuple_(*order) < ended)
    seen: set[str] = set()
    fresh: list[Any] = []

    def without_earlier(some: list[Any]) -> list[Any]:
        if ended is None or not some:
            return some
        again = (
            select(alert_hosts.c.host)
            .distinct()
            .join(alerts, alert_hosts.c.alert == alerts.c.row)
            .where(*bounds, alert_hosts.c.host.in_([one.host for one in some]), tuple_(*order) >= ended)
        )
        known = set(connection.execute(again).scalars())
        return [one for one in some if one.host not in known]

    with connection.execute(asked) as found:
        for row in found:
            if row.host in seen:
                continue
            seen.add(row.host)
            fresh.append(row)
            if len(fresh) == limit:
                yield without_earlier(fresh)
                fresh = []
        yield without_earlier(fresh)


_COUNTED = (
    func.count().label("alerts"),
    func.sum(alerts.c.count).label("events"),
    func.max(alerts.c.rank).label("rank"),
    func.max(alerts.c.last_seen).label("last_seen"),
    func.max(alerts.c.tlp).label("tlp"),
    func.max(alerts.c.row).label("newest"),
    func.sum(case((alerts.c.assignee != "", 1), else_=0)).label("taken"),
    func.min(alerts.c.assignee).label("least"),
    func.max(alerts.c.assignee).label("most"),
)
"""What is told of a line."""


def _group(row: Any, newest: Alert, detector: str, subject: str, host: str) -> AlertGroup:
    return AlertGroup(
        detector=detector,
        subject=subject,
        host=host,
        title=newest.title,
        newest=newest.id,
        version=newest.version,
        alerts=row.alerts,
        hosts=1 if host else newest.hosts if row.alerts == 1 else row.others,
        subjects=row.others if host else 1,
        events=int(row.events),
        level=LEVELS[row.rank],
        tlp=Tlp(row.tlp),
        last_seen=row.last_seen,
        taken=int(row.taken),
        assignee=row.least if row.least == row.most else "",
    )


def alerts_by_row(connection: Connection, rows: Iterable[int]) -> dict[int, Alert]:
    """Alerts by their rows."""
    found = connection.execute(select(alerts, HOSTS).where(alerts.c.row.in_(list(rows))))
    return {one.row: alert_of(one) for one in found}


def related(
    connection: Connection, alert: Alert, *, reads: Readable, around: timedelta, limit: int
) -> tuple[list[Alert], list[Alert]]:
    """Other alerts on the host where this one began, about the same time; and other ones of its subject."""
    bounds = readable(reads), alerts.c.row != alert.row

    def ask(*where: ColumnElement[bool]) -> list[Alert]:
        rows = connection.execute(
            select(alerts, HOSTS)
            .where(*bounds, *where)
            .order_by(alerts.c.last_seen.desc(), alerts.c.row.desc())
            .limit(limit)
        )
        return [alert_of(one) for one in rows]

    near: list[Alert] = []
    if alert.entity:
        near = ask(
            _on_host(alert.entity),
            alerts.c.last_seen >= alert.first_seen - around,
            alerts.c.first_seen <= alert.last_seen + around,
            or_(alerts.c.detector != alert.detector, alerts.c.subject != alert.subject),
        )
    return near, ask(alerts.c.detector == alert.detector, alerts.c.subject == alert.subject)


# --- what a change is about -------------------------------------------------------------------


def states(
    connection: Connection, where: Sequence[ColumnElement[bool]], *, reads: Readable, limit: int
) -> list[AlertState]:
    """What work may change of the alerts that a condition names, the oldest first."""
    asked = select(*(alerts.c[name] for name in _STATE)).where(readable(reads), *where)
    return [_state(row) for row in connection.execute(asked.order_by(alerts.c.row).limit(limit))]


def states_of(
    connection: Connection, column: str, values: Sequence[Any], *, reads: Readable
) -> list[AlertState]:
    """The same of alerts by ``id`` or ``row``."""
    found: list[AlertState] = []
    for start in range(0, len(values), _CHUNK):
        some = alerts.c[column].in_(values[start : start + _CHUNK])
        found += states(connection, [some], reads=reads, limit=_CHUNK)
    return found


def of_lines(
    wanted: AlertFilter,
    now: datetime,
    subjects: Sequence[tuple[str, str]],
    hosts: Sequence[str],
    seen: datetime | None,
) -> list[ColumnElement[bool]]:
    """The alerts behind lines of the queue, but for what came or was changed after ``seen``."""
    # One condition for each detector, however many lines there are: a database reads no chain of thousands.
    by_detector: dict[str, list[str]] = {}
    for detector, subject in subjects:
        by_detector.setdefault(detector, []).append(subject)
    lines = [and_(alerts.c.detector == one, alerts.c.subject.in_(some)) for one, some in by_detector.items()]
    if hosts:
        named = ["" if one == NO_HOST else one for one in hosts]
        lines.append(alerts.c.row.in_(select(alert_hosts.c.alert).where(alert_hosts.c.host.in_(named))))
    where = [*filters(wanted, now), or_(*lines)]
    if seen is not None:
        where += [alerts.c.created <= seen, or_(alerts.c.worked.is_(None), alerts.c.worked <= seen)]
    return where


def _state(row: Any) -> AlertState:
    return AlertState(
        **{
            **row._mapping,
            "level": Level(row.level),
            "tlp": Tlp(row.tlp),
            "status": Status(row.status),
            "reason": None if row.reason is None else CloseReason(row.reason),
        }
    )


def _bound(column: Any, value: Any) -> Any:
    """A value as a column would be compared with it: in a tuple it does not know of its neighbour."""
    return literal(value, column.type)


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
