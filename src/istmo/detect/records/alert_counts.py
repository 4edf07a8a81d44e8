"""Alerts counted: by time and level, since somebody looked, by the techniques of their rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, func, or_, select

from istmo.detect.objects import Level
from istmo.detect.records.alerts import alerts
from istmo.detect.records.rules import rules
from istmo.model.markings import Tlp
from istmo.store.columns import BigId

_SUBJECTS = 300
"""Rules that are looked at for their techniques: those with the most alerts."""


def by_time(
    connection: Connection, since: datetime, step: timedelta, *, reads: Tlp, owners: Sequence[str]
) -> dict[tuple[int, Level], int]:
    """How many alerts arose in each step since 1970 that has any, by level."""
    width = step // timedelta(microseconds=1)
    at = func.floor(alerts.c.created.cast(BigId) / width).cast(BigId).label("at")
    rows = connection.execute(
        select(at, alerts.c.level, func.count().label("number"))
        .where(_arisen(since, reads, owners))
        .group_by(at, alerts.c.level)
    )
    return {(row.at, Level(row.level)): row.number for row in rows}


def since(
    connection: Connection, instant: datetime, *, reads: Tlp, owners: Sequence[str]
) -> dict[Level, int]:
    """How many alerts arose since then, by level."""
    rows = connection.execute(
        select(alerts.c.level, func.count().label("number"))
        .where(_arisen(instant, reads, owners))
        .group_by(alerts.c.level)
    )
    return {Level(row.level): row.number for row in rows}


def tags_since(
    connection: Connection, instant: datetime, *, reads: Tlp, owners: Sequence[str]
) -> list[tuple[Sequence[str], int]]:
    """The tags of the rules that raised alerts since then, and how many alerts each raised."""
    found = (
        select(alerts.c.subject, func.count().label("number"))
        # Written so that no index of detectors is used: the one by time holds all that is asked for.
        .where(_arisen(instant, reads, owners), func.coalesce(alerts.c.detector, "") == "sigma")
        .group_by(alerts.c.subject)
        .order_by(func.count().desc())
        .limit(_SUBJECTS)
        .subquery()
    )
    rows = connection.execute(select(rules.c.tags, found.c.number).join(found, found.c.subject == rules.c.id))
    return [(tuple(tags), number) for tags, number in rows]


def _arisen(since: datetime, reads: Tlp, owners: Sequence[str]) -> ColumnElement[bool]:
    may_read = or_(alerts.c.tlp <= int(reads), alerts.c.owner.in_(owners))
    return may_read & (alerts.c.created > since)
