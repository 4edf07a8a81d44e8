"""What was done to alerts, by whom and when: what an alert's page tells, and what can be taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    String,
    Table,
    case,
    insert,
    literal,
    select,
    update,
)

from istmo.detect.objects import Alert, CloseReason, Status
from istmo.detect.objects_triage import AlertState, Deed, Past
from istmo.detect.records.alerts import alerts
from istmo.model import instants
from istmo.store.columns import BigId, Instant, Json
from istmo.store.engine import metadata

alert_history = Table(
    "alert_history",
    metadata,
    Column("row", BigId, primary_key=True, autoincrement=True),
    Column("alert", BigId, nullable=False),
    Column("change", String(64), nullable=False),
    Column("at", Instant, nullable=False),
    Column("by", String(96), nullable=False),
    Column("deed", String(16), nullable=False),
    Column("before", Json, nullable=False),
    Column("after", Json, nullable=False),
    Column("version", Integer, nullable=False),
    Column("undone", Boolean, nullable=False),
    Index("ix_alert_history_alert", "alert", "row"),
    Index("ix_alert_history_change", "change"),
    Index("ix_alert_history_by", "by", "row"),
)

CHANGED: Final = ("status", "reason", "note", "assignee", "snoozed_until")
"""What work on an alert changes."""
ITSELF: Final = "system:detect"
_CHUNK: Final = 500
_CHANGES: Final = UUID("8a1f4f0e-5a47-4a3e-9a3e-6f2f6c1d0b7e")


def change_id(alert: str, version: int, *more: str) -> str:
    """The id of a change, from the first of its alerts and the version that it found: there is one such."""
    return f"change--{uuid5(_CHANGES, '/'.join((alert, str(version), *more)))}"


def change_alerts(
    connection: Connection,
    found: Sequence[tuple[AlertState, Mapping[str, Any]]],
    *,
    change: str,
    by: str,
    deed: Deed,
    now: datetime,
    is_work: bool = True,
) -> None:
    """Give alerts new values, each a line in its history; the alerts are as this transaction read them.

    ``is_work``: somebody did it, so that what others saw of the alert is no longer what there is.
    """
    same: dict[tuple[Any, ...], list[AlertState]] = {}
    for state, values in found:
        same.setdefault(tuple(sorted(values.items(), key=lambda one: one[0])), []).append(state)
    for items, states in same.items():
        values = dict(items)
        if is_work:
            values |= {"worked": now, "worked_by": by, "version": alerts.c.version + 1}
        for start in range(0, len(states), _CHUNK):
            rows = [one.row for one in states[start : start + _CHUNK]]
            connection.execute(
                update(alerts).where(alerts.c.row.in_(rows)).values(updated=_not_before(now), **values)
            )
    lines = [
        {
            "alert": state.row,
            "change": change,
            "at": now,
            "by": by,
            "deed": str(deed),
            "before": {name: _plain(state.value(name)) for name in values},
            "after": {name: _plain(value) for name, value in values.items()},
            "version": state.version + is_work,
            "undone": False,
        }
        for state, values in found
    ]
    if lines:
        connection.execute(insert(alert_history), lines)


def come_back(connection: Connection, alert: Alert, now: datetime) -> None:
    """An alert that was put off is in the queue again, by itself; nobody has worked on it by that."""
    change_alerts(
        connection,
        [(AlertState.of(alert), {"snoozed_until": None})],
        change=change_id(alert.id, alert.version, instants.format(now)),
        by=ITSELF,
        deed=Deed.WAKE,
        now=now,
        is_work=False,
    )


def close_itself(connection: Connection, alert: Alert, by: str, now: datetime) -> None:
    """An alert is closed as resolved by a part of the node, whatever note stands in it."""
    values = {"status": Status.CLOSED, "reason": CloseReason.RESOLVED, "snoozed_until": None}
    change_alerts(
        connection,
        [(AlertState.of(alert), values)],
        change=change_id(alert.id, alert.version),
        by=by,
        deed=Deed.CLOSE,
        now=now,
    )


def history_of(connection: Connection, alert: int, limit: int) -> tuple[Past, ...]:
    """What was done to an alert, the last first."""
    asked = select(alert_history).where(alert_history.c.alert == alert)
    rows = connection.execute(asked.order_by(alert_history.c.row.desc()).limit(limit))
    return tuple(_past(row) for row in rows)


def last_change(connection: Connection, by: str) -> str | None:
    """The id of somebody's last change that can still be taken back."""
    asked = (
        select(alert_history.c.change)
        .where(alert_history.c.by == by, alert_history.c.deed != Deed.UNDO, ~alert_history.c.undone)
        .order_by(alert_history.c.row.desc())
        .limit(1)
    )
    found: str | None = connection.execute(asked).scalar()
    return found


def lines_of(connection: Connection, change: str) -> list[Past]:
    """A change, a line for each alert."""
    asked = select(alert_history).where(alert_history.c.change == change)
    return [_past(row) for row in connection.execute(asked.order_by(alert_history.c.row))]


def mark_undone(connection: Connection, change: str) -> None:
    connection.execute(update(alert_history).where(alert_history.c.change == change).values(undone=True))


def columns_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a history line as the columns take them."""
    return {
        name: instants.parse(value) if name == "snoozed_until" and value else value
        for name, value in values.items()
    }


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return instants.format(value)
    return None if value is None else str(value)


def _past(row: Any) -> Past:
    return Past(
        row.change, row.at, row.by, Deed(row.deed), row.before, row.after, row.version, row.undone, row.alert
    )


def _not_before(now: datetime) -> Any:
    """Alerts are told in the order of ``updated``, which never goes back, whatever the clock does."""
    return case((alerts.c.updated > now, alerts.c.updated), else_=literal(now, Instant))
