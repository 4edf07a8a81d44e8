"""Tables of ways, notices and what waits to be told, and every statement on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    delete,
    func,
    insert,
    select,
    update,
)

from istmo.notices.objects import CONSOLE, Cause, Kind, Letter, Notice, Plan, Way
from istmo.store.columns import BigId, Instant, Json
from istmo.store.engine import metadata

ways = Table(
    "notice_ways",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("account", String(64), nullable=False, index=True),
    Column("notifier", String(32), nullable=False),
    Column("address", Text, nullable=False),
    Column("kinds", Json, nullable=False),
    Column("level", String(16), nullable=False),
    Column("quiet", String(16), nullable=False),
    Column("wakes", Boolean, nullable=False),
    Column("every", Integer, nullable=False),
    Column("nonce", String(64), nullable=False),
    Column("is_on", Boolean, nullable=False),
    Column("created", Instant, nullable=False),
    Column("sent", Instant, nullable=True),
    Column("tried", Instant, nullable=True),
    Column("problem", Json, nullable=True),
    Column("version", Integer, nullable=False),
)

notices = Table(
    "notices",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("account", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("family", String(256), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at", Instant, nullable=False),
    Column("read", Instant, nullable=True),
    Index("ix_notices_account_id", "account", "id"),
    Index("ix_notices_account_read", "account", "read", "id"),
)

causes = Table(
    "notice_causes",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("person", String(64), nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("kind", "subject", "person"),
)

letters = Table(
    "notice_letters",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("way", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("level", String(16), nullable=False),
    Column("at", Instant, nullable=False),
    Column("batch", String(64), nullable=False),
    Index("ix_notice_letters_way_batch", "way", "batch", "id"),
)

troubles = Table(
    "notice_troubles",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("subject", String(128), primary_key=True),
    Column("since", Instant, nullable=False),
)

# Ways


def add_way(connection: Connection, way: Way) -> None:
    connection.execute(
        insert(ways).values(
            id=way.id,
            account=way.account,
            nonce=way.nonce,
            is_on=way.is_on,
            created=way.created,
            version=way.version,
            **_plan_values(way.plan),
        )
    )


def change_plan(connection: Connection, id: str, version: int, plan: Plan) -> bool:
    """False where somebody else changed it since ``version`` was read."""
    done = connection.execute(
        update(ways)
        .where(ways.c.id == id, ways.c.version == version)
        .values(version=version + 1, **_plan_values(plan))
    )
    return done.rowcount == 1


def change_way(connection: Connection, id: str, **values: Any) -> None:
    connection.execute(update(ways).where(ways.c.id == id).values(**values))


def drop_way(connection: Connection, id: str) -> None:
    connection.execute(delete(letters).where(letters.c.way == id))
    connection.execute(delete(ways).where(ways.c.id == id))


def find_way(connection: Connection, id: str) -> Way | None:
    row = connection.execute(select(ways).where(ways.c.id == id)).first()
    return _way(row) if row else None


def all_ways(connection: Connection) -> list[Way]:
    return [_way(row) for row in connection.execute(select(ways).order_by(ways.c.created, ways.c.id))]


def console_way(connection: Connection, account: str) -> Way | None:
    row = connection.execute(
        select(ways).where(ways.c.account == account, ways.c.notifier == CONSOLE)
    ).first()
    return _way(row) if row else None


# Notices


def add_notices(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Of one ``family`` that is told of and unread there is one: it tells of the latest, and of how many.

    It is written anew, under an id of its own: the newest on top, and who marks all that they saw as read
    leaves it.
    """
    alone: list[dict[str, Any]] = []
    together: dict[tuple[str, str, str], dict[str, Any]] = {}
    gone: list[int] = []
    for row in rows:
        key = (row["account"], row["kind"], row["family"])
        if not row["family"]:
            alone.append({**row, "number": 1})
        elif key in together:
            together[key] = {**row, "number": together.pop(key)["number"] + 1}
        else:
            before = _unread_of(connection, *key)
            gone += before
            together[key] = {**row, "number": 1 + sum(before.values())}
    if found := [*alone, *together.values()]:
        connection.execute(insert(notices), found)
    # Only now: SQLite gives the id of a last row that is gone to the next one.
    if gone:
        connection.execute(delete(notices).where(notices.c.id.in_(gone)))


def _unread_of(connection: Connection, account: str, kind: str, family: str) -> dict[int, int]:
    """What somebody has not read of a family: of how many things each notice tells, by its id."""
    asked = select(notices.c.id, notices.c.number).where(
        notices.c.account == account,
        notices.c.read.is_(None),
        notices.c.kind == kind,
        notices.c.family == family,
    )
    return {row.id: row.number for row in connection.execute(asked)}


def list_notices(
    connection: Connection, account: str, *, unread: bool, before: int | None, limit: int
) -> list[Notice]:
    """Newest first."""
    asked = select(notices).where(notices.c.account == account).order_by(notices.c.id.desc()).limit(limit)
    if unread:
        asked = asked.where(notices.c.read.is_(None))
    if before is not None:
        asked = asked.where(notices.c.id < before)
    return [
        Notice(row.id, Kind(row.kind), row.subject, row.at, row.read, row.number)
        for row in connection.execute(asked)
    ]


def count_notices(connection: Connection, account: str, *, unread: bool) -> int:
    asked = select(func.count()).select_from(notices).where(notices.c.account == account)
    if unread:
        asked = asked.where(notices.c.read.is_(None))
    return connection.execute(asked).scalar_one()


def count_unread(connection: Connection, account: str, most: int) -> int:
    """At most ``most``: what is past it is not counted."""
    some = select(notices.c.id).where(notices.c.account == account, notices.c.read.is_(None)).limit(most)
    return connection.execute(select(func.count()).select_from(some.subquery())).scalar_one()


def mark_read(
    connection: Connection, account: str, now: datetime, *, id: int | None, upto: int | None
) -> int:
    asked = update(notices).where(notices.c.account == account, notices.c.read.is_(None)).values(read=now)
    if id is not None:
        asked = asked.where(notices.c.id == id)
    if upto is not None:
        asked = asked.where(notices.c.id <= upto)
    return connection.execute(asked).rowcount


def drop_old_notices(connection: Connection, before: datetime) -> None:
    connection.execute(delete(notices).where(notices.c.at < before))


# What happened and was not told yet


def add_cause(connection: Connection, kind: Kind, subject: str, person: str, at: datetime) -> None:
    """What waits to be told already is told once."""
    same = (causes.c.kind == kind, causes.c.subject == subject, causes.c.person == person)
    if connection.execute(select(causes.c.id).where(*same)).first() is None:
        connection.execute(insert(causes), {"kind": kind, "subject": subject, "person": person, "at": at})


def first_causes(connection: Connection, limit: int) -> list[Cause]:
    rows = connection.execute(select(causes).order_by(causes.c.id).limit(limit))
    return [Cause(row.id, Kind(row.kind), row.subject, row.person, row.at) for row in rows]


def drop_causes(connection: Connection, ids: Sequence[int]) -> None:
    connection.execute(delete(causes).where(causes.c.id.in_(ids)))


# What waits for a way


def add_letters(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    found = [{**row, "batch": ""} for row in rows]
    if found:
        connection.execute(insert(letters), found)


def drop_letters_past(connection: Connection, way: str, most: int) -> int:
    """Keep the last ``most`` that wait: the number of those that were let go of."""
    last = (
        select(letters.c.id)
        .where(letters.c.way == way, letters.c.batch == "")
        .order_by(letters.c.id.desc())
        .offset(most)
        .limit(1)
    )
    found = connection.execute(last).scalar()
    if found is None:
        return 0
    gone = delete(letters).where(letters.c.way == way, letters.c.batch == "", letters.c.id <= found)
    return connection.execute(gone).rowcount


def batch_of(connection: Connection, way: str) -> tuple[str, list[Letter]]:
    """What was put together for one message and is not known to have arrived."""
    rows = connection.execute(
        select(letters).where(letters.c.way == way, letters.c.batch != "").order_by(letters.c.id)
    ).all()
    return (rows[0].batch if rows else "", [_letter(row) for row in rows])


def waiting(connection: Connection, way: str, limit: int) -> list[Letter]:
    rows = connection.execute(
        select(letters).where(letters.c.way == way, letters.c.batch == "").order_by(letters.c.id).limit(limit)
    )
    return [_letter(row) for row in rows]


def count_waiting(connection: Connection, way: str) -> int:
    asked = select(func.count()).where(letters.c.way == way, letters.c.batch == "")
    return connection.execute(asked).scalar_one()


def has_waiting(connection: Connection, way: str, level: str = "") -> bool:
    asked = select(letters.c.id).where(letters.c.way == way, letters.c.batch == "").limit(1)
    if level:
        asked = asked.where(letters.c.level == level)
    return connection.execute(asked).first() is not None


def put_together(connection: Connection, ids: Sequence[int], batch: str) -> None:
    connection.execute(update(letters).where(letters.c.id.in_(ids)).values(batch=batch))


def drop_batch(connection: Connection, way: str, batch: str) -> None:
    connection.execute(delete(letters).where(letters.c.way == way, letters.c.batch == batch))


def drop_letters(connection: Connection, way: str) -> None:
    connection.execute(delete(letters).where(letters.c.way == way))


# Trouble that lasts, and was told of


def known_troubles(connection: Connection) -> set[tuple[Kind, str]]:
    return {(Kind(row.kind), row.subject) for row in connection.execute(select(troubles))}


def add_trouble(connection: Connection, kind: Kind, subject: str, since: datetime) -> None:
    connection.execute(insert(troubles), {"kind": kind, "subject": subject, "since": since})


def drop_trouble(connection: Connection, kind: Kind, subject: str) -> None:
    connection.execute(delete(troubles).where(troubles.c.kind == kind, troubles.c.subject == subject))


def _plan_values(plan: Plan) -> dict[str, Any]:
    return {
        "notifier": plan.notifier,
        "address": plan.address,
        "kinds": sorted(plan.kinds),
        "level": plan.level,
        "quiet": plan.quiet,
        "wakes": plan.wakes,
        "every": plan.every,
    }


def _way(row: Row[Any]) -> Way:
    known = {str(kind): kind for kind in Kind}
    plan = Plan(
        frozenset(known[one] for one in row.kinds if one in known),
        row.level,
        row.notifier,
        row.address,
        row.quiet,
        row.wakes,
        row.every,
    )
    problem = (row.problem[0], row.problem[1]) if row.problem else None
    return Way(
        row.id,
        row.account,
        plan,
        row.nonce,
        row.is_on,
        row.created,
        row.sent,
        row.tried,
        problem,
        row.version,
    )


def _letter(row: Row[Any]) -> Letter:
    return Letter(row.id, Kind(row.kind), row.subject, row.level, row.at)
