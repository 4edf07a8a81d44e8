"""How often rules raised alerts, as the counts of their alerts by the hour tell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, Select, func, select

from istmo.detect.records.alerts import alerts
from istmo.detect.records.evidence import alert_hours
from istmo.detect.wire import SIGMA
from istmo.model.markings import Tlp

_HOUR: Final = 3600


def counted(since: datetime, *, reads: Tlp | None) -> Select[tuple[str, int]]:
    """``subject`` and ``number``: matches of each rule since then; one without any is not named."""
    return (
        select(alerts.c.subject, func.sum(alert_hours.c.count).label("number"))
        .join(alert_hours, alert_hours.c.alert == alerts.c.row)
        .where(
            alerts.c.detector == SIGMA,
            alerts.c.last_seen >= since,
            alerts.c.tlp <= (-1 if reads is None else int(reads)),
            alert_hours.c.hour >= int(since.timestamp()) // _HOUR,
        )
        .group_by(alerts.c.subject)
    )


def hits(connection: Connection, ids: Sequence[str], since: datetime, *, reads: Tlp) -> dict[str, int]:
    """Matches of each of these rules since then; a rule without any is not named."""
    rows = connection.execute(counted(since, reads=reads).where(alerts.c.subject.in_(list(ids))))
    return {row.subject: int(row.number) for row in rows}


def hits_by_hour(
    connection: Connection, id: str, since: datetime, *, reads: Tlp
) -> list[tuple[datetime, int]]:
    """Matches of one rule in each hour that had any, the earliest first."""
    rows = connection.execute(
        select(alert_hours.c.hour, func.sum(alert_hours.c.count).label("number"))
        .join(alerts, alert_hours.c.alert == alerts.c.row)
        .where(
            alerts.c.detector == SIGMA,
            alerts.c.subject == id,
            alerts.c.last_seen >= since,
            alerts.c.tlp <= int(reads),
            alert_hours.c.hour >= int(since.timestamp()) // _HOUR,
        )
        .group_by(alert_hours.c.hour)
        .order_by(alert_hours.c.hour)
    )
    return [(datetime.fromtimestamp(row.hour * _HOUR, UTC), int(row.number)) for row in rows]
