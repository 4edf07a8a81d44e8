"""Finding objects: filters, orders, and pages that go on from a row (never by counting rows away)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, exists, func, literal, or_, select, tuple_

from istmo.intel.objects import Order, Sought, StoredObject
from istmo.intel.records.objects import COLUMNS, joined, objects, plainly, state_filter, stored, texts
from istmo.model.markings import Tlp

MOST_COUNTED: Final = 10_000
"""Up to here results are counted; past it they are only said to be more."""
_RARE: Final = 1_000
"""Words that are found no more often than this are looked for first, and then what else was asked."""

_KEYS: Final = {
    Order.NEWEST: (objects.c.received, True),
    Order.OLDEST: (objects.c.received, False),
    Order.NAME: (objects.c.sorting, False),
}
"""By order: what rows are sorted by, and whether the greatest comes first. The row itself settles ties."""


@dataclass(frozen=True)
class Readable:
    """What bounds each answer, and each count: a level, and who one is as an author."""

    reads: Tlp
    owners: Sequence[str]

    @property
    def condition(self) -> ColumnElement[bool]:
        return or_(objects.c.tlp <= int(self.reads), objects.c.owner.in_(self.owners))


def search(
    connection: Connection,
    readable: Readable,
    sought: Sought,
    *,
    now: datetime,
    cursor: int | None = None,
    limit: int = 50,
) -> tuple[list[StoredObject], int, bool]:
    """At most ``limit`` objects after the row ``cursor``, in the order that was asked for; how many there
    are in all, counted up to a bound; and whether there are more than that.

    Of a rare word the texts are read one after the other, and what was found is all that is looked at.
    """
    where = _conditions(readable, sought, now)
    counted, most = select(objects.c.row).where(*where), MOST_COUNTED
    if sought.words:
        holds = [texts.c.text.like(f"%{_escaped(word)}%", escape="\\") for word in sought.words]
        rows = connection.execute(select(texts.c.row).where(*holds).limit(_RARE + 1)).scalars().all()
        if not rows:
            return [], 0, False
        if len(rows) <= _RARE:
            where.append(objects.c.row.in_(rows))
            counted = counted.where(where[-1])
        else:
            # Found soon in whatever order is asked for; counted in the order of the texts, which are narrow.
            where.append(exists().where(texts.c.row == objects.c.row, *holds))
            counted, most = counted.join(texts, objects.c.row == plainly(texts.c.row)).where(*holds), _RARE
    found = _page(connection, readable, sought, where, cursor, limit)
    if cursor is None and len(found) < limit:
        return found, len(found), False
    some = counted.limit(most + 1).subquery()
    total = connection.execute(select(func.count()).select_from(some)).scalar_one()
    return found, min(total, most), total > most


def _page(
    connection: Connection,
    readable: Readable,
    sought: Sought,
    where: list[ColumnElement[bool]],
    cursor: int | None,
    limit: int,
) -> list[StoredObject]:
    key, is_descending = _KEYS[sought.order]
    after = [] if cursor is None else [_after(connection, readable, cursor, key, is_descending)]
    order = (key.desc(), objects.c.row.desc()) if is_descending else (key, objects.c.row)
    rows = connection.execute(
        select(*COLUMNS).select_from(joined()).where(*where, *after).order_by(*order).limit(limit)
    )
    return [stored(row) for row in rows]


def _conditions(readable: Readable, sought: Sought, now: datetime) -> list[ColumnElement[bool]]:
    where = [readable.condition]
    where.append(objects.c.current if sought.state is None else state_filter(sought.state, now))
    if sought.type:
        where.append(objects.c.type == sought.type)
    if sought.without:
        where.append(objects.c.type.not_in(sorted(sought.without)))
    if sought.tlp is not None:
        where.append(objects.c.tlp == int(sought.tlp))
    if sought.origin:
        where.append(objects.c.origin == sought.origin)
    if sought.is_seen is not None:
        where.append(objects.c.seen if sought.is_seen else plainly(objects.c.seen).is_(False))
    if sought.since is not None:
        where.append(objects.c.received >= sought.since)
    return where


def _after(
    connection: Connection, readable: Readable, cursor: int, key: ColumnElement[Any], is_descending: bool
) -> ColumnElement[bool]:
    """What comes after a row. Of one that the asker may not read, or that is gone, nothing but its number
    counts: where it stands among the others would tell what it is called.
    """
    found = connection.execute(select(key).where(objects.c.row == cursor, readable.condition)).first()
    if found is None:
        return objects.c.row < cursor if is_descending else objects.c.row > cursor
    here, place = tuple_(key, objects.c.row), tuple_(literal(found[0], key.type), literal(cursor))
    return here < place if is_descending else here > place


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
