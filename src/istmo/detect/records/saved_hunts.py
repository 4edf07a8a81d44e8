"""Saved hunts, their runs, and the events that an unfinished run has told already."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

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
    UniqueConstraint,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.exc import IntegrityError

from istmo.detect.objects import Level
from istmo.detect.objects_hunt import FAILED_TOO_OFTEN, HuntKind, HuntPlan, HuntRun, SavedHunt
from istmo.detect.wire import Position
from istmo.errors import Conflict
from istmo.store.columns import BigId, Instant, Json
from istmo.store.engine import metadata

MOST_RUNS: Final = 50
"""Runs of one hunt that are kept, the newest."""
_MANY: Final = 500

saved_hunts = Table(
    "saved_hunts",
    metadata,
    Column("row", BigId, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("name", String(100), nullable=False),
    Column("description", Text, nullable=False),
    Column("kind", String(8), nullable=False),
    Column("text", Text, nullable=False),
    Column("looks_back", BigId, nullable=False),
    Column("every", BigId, nullable=False),
    Column("is_on", Boolean, nullable=False),
    Column("is_alerting", Boolean, nullable=False),
    Column("level", String(16), nullable=False),
    Column("is_shared", Boolean, nullable=False),
    Column("owner", String(96), nullable=False),
    Column("owner_name", String(64), nullable=False),
    Column("created", Instant, nullable=False),
    Column("changed", Instant, nullable=False),
    Column("version", Integer, nullable=False),
    Column("due", Instant, nullable=True),
    Column("segment", BigId, nullable=True),
    Column("line", BigId, nullable=True),
    Column("failures", Integer, nullable=False),
    Index("ix_saved_hunts_due", "due"),
    UniqueConstraint("owner", "name"),
)

hunt_runs = Table(
    "hunt_runs",
    metadata,
    Column("row", BigId, primary_key=True, autoincrement=True),
    Column("hunt", BigId, nullable=False),
    Column("by", String(96), nullable=False),
    Column("name", String(64), nullable=False),
    Column("begun", Instant, nullable=False),
    Column("ended", Instant, nullable=False),
    Column("found", BigId, nullable=False),
    Column("is_whole", Boolean, nullable=False),
    Column("problem", String(64), nullable=False),
    Column("params", Json, nullable=True),
    Index("ix_hunt_runs_hunt_row", "hunt", "row"),
)

hunt_told = Table(
    "hunt_told",
    metadata,
    Column("hunt", BigId, primary_key=True, autoincrement=False),
    Column("segment", BigId, primary_key=True, autoincrement=False),
    Column("line", BigId, primary_key=True, autoincrement=False),
)

hunt_rows = Table(
    "hunt_rows",
    metadata,
    Column("hunt", BigId, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary(16), primary_key=True),
)
"""What the last run of a hunt by SQL gave."""


def add_hunt(
    connection: Connection,
    id: str,
    plan: HuntPlan,
    owner: tuple[str, str],
    due: datetime | None,
    now: datetime,
) -> None:
    """Keep a new hunt. ``owner``: who it is and what they are called.

    Raises Conflict("detect.hunt_exists").
    """
    told, name = owner
    kept = {
        "id": id,
        "owner": told,
        "owner_name": name[:64],
        "created": now,
        "changed": now,
        "version": 1,
        "due": due,
    }
    try:
        connection.execute(insert(saved_hunts), {**kept, **_columns(plan), "failures": 0})
    except IntegrityError:  # whoever asked is_named a moment before may have been told that there is none
        raise Conflict("detect.hunt_exists", name=plan.name) from None


def change_hunt(
    connection: Connection,
    row: int,
    version: int,
    plan: HuntPlan,
    due: datetime | None,
    now: datetime,
) -> bool:
    """Give a plan anew, its failures forgotten. False where somebody changed it since ``version``.

    Raises Conflict("detect.hunt_exists").
    """
    try:
        done = connection.execute(
            update(saved_hunts)
            .where(saved_hunts.c.row == row, saved_hunts.c.version == version)
            .values(version=version + 1, changed=now, due=due, failures=0, **_columns(plan))
        )
    except IntegrityError:
        raise Conflict("detect.hunt_exists", name=plan.name) from None
    return done.rowcount == 1


def drop_hunt(connection: Connection, row: int) -> None:
    """Forget a hunt and its runs."""
    connection.execute(delete(saved_hunts).where(saved_hunts.c.row == row))
    connection.execute(delete(hunt_runs).where(hunt_runs.c.hunt == row))
    forget_told(connection, row)
    keep_rows(connection, row, ())


def find_hunt(connection: Connection, id: str) -> SavedHunt | None:
    row = connection.execute(select(saved_hunts).where(saved_hunts.c.id == id)).first()
    return None if row is None else _with_last(connection, [row])[0]


def list_hunts(
    connection: Connection,
    *,
    owners: Sequence[str],
    every: bool,
    words: Iterable[str] = (),
    failing: bool = False,
) -> list[SavedHunt]:
    """Hunts by name: those of ``owners`` and those that are shared, or ``every`` one."""
    of_owners = saved_hunts.c.owner.in_(list(owners))
    where: list[ColumnElement[bool]] = [true() if every else or_(of_owners, saved_hunts.c.is_shared)]
    for word in words:
        where.append(func.lower(saved_hunts.c.name).contains(word, autoescape=True))
    if failing:
        where.append(saved_hunts.c.failures >= FAILED_TOO_OFTEN)
    ordered = select(saved_hunts).where(*where).order_by(func.lower(saved_hunts.c.name), saved_hunts.c.row)
    return _with_last(connection, connection.execute(ordered).all())


def is_named(connection: Connection, owner: str, name: str, but: int = 0) -> bool:
    """Whether an owner has a hunt of this name, other than the one in row ``but``."""
    asked = select(saved_hunts.c.row).where(
        saved_hunts.c.owner == owner, saved_hunts.c.name == name, saved_hunts.c.row != but
    )
    return connection.execute(asked).first() is not None


def count_hunts(connection: Connection, owner: str = "") -> int:
    """How many there are, of one owner or of all."""
    counted = select(func.count()).select_from(saved_hunts)
    found: int = connection.execute(
        counted.where(saved_hunts.c.owner == owner) if owner else counted
    ).scalar_one()
    return found


# --- runs ------------------------------------------------------------------------------------


def due_hunts(connection: Connection, now: datetime) -> list[str]:
    """Ids of the hunts that are to run by themselves by now, the longest overdue first."""
    asked = select(saved_hunts.c.id, saved_hunts.c.due, saved_hunts.c.every).where(
        saved_hunts.c.due.is_not(None)
    )
    rows = connection.execute(asked.order_by(saved_hunts.c.due, saved_hunts.c.row))
    # Further away than a whole interval: that was said by a clock that has been put right since.
    return [one.id for one in rows if one.due <= now or one.due > now + timedelta(seconds=one.every)]


def finish_run(
    connection: Connection, row: int, *, due: datetime | None, upto: Position | None, failures: int
) -> None:
    """How a hunt stands after a run by itself; ``upto`` None leaves its place where it was."""
    values: dict[str, Any] = {"due": due, "failures": failures}
    if upto is not None:
        values |= {"segment": upto.segment, "line": upto.line}
    connection.execute(update(saved_hunts).where(saved_hunts.c.row == row).values(**values))


def add_run(connection: Connection, row: int, run: HuntRun) -> None:
    """Keep a run; the oldest past the bound go."""
    connection.execute(
        insert(hunt_runs),
        {
            "hunt": row,
            "by": run.by[:96],
            "name": run.name[:64],
            "begun": run.begun,
            "ended": run.ended,
            "found": run.found,
            "is_whole": run.is_whole,
            "problem": run.problem[:64],
            "params": None if run.params is None else dict(run.params),
        },
    )
    oldest = (
        select(hunt_runs.c.row)
        .where(hunt_runs.c.hunt == row)
        .order_by(hunt_runs.c.row.desc())
        .offset(MOST_RUNS - 1)
        .limit(1)
        .scalar_subquery()
    )
    connection.execute(delete(hunt_runs).where(hunt_runs.c.hunt == row, hunt_runs.c.row < oldest))


def runs(connection: Connection, row: int) -> list[HuntRun]:
    """What is kept of a hunt's runs, the newest first."""
    asked = select(hunt_runs).where(hunt_runs.c.hunt == row).order_by(hunt_runs.c.row.desc())
    return [_run(one) for one in connection.execute(asked)]


def told_among(connection: Connection, row: int, events: Iterable[Position]) -> set[Position]:
    """Those of ``events`` that runs which did not get through have told already."""
    wanted = set(events)
    if not wanted:
        return set()
    rows = connection.execute(select(hunt_told).where(hunt_told.c.hunt == row))
    return wanted & {Position(one.segment, one.line) for one in rows}


def remember_told(connection: Connection, row: int, events: Collection[Position]) -> None:
    """These were told by a run that did not get through."""
    rows = [{"hunt": row, "segment": one.segment, "line": one.line} for one in events]
    for start in range(0, len(rows), _MANY):
        connection.execute(insert(hunt_told), rows[start : start + _MANY])


def forget_told(connection: Connection, row: int) -> None:
    """A run got through: its place says what was told."""
    connection.execute(delete(hunt_told).where(hunt_told.c.hunt == row))


def rows_before(connection: Connection, row: int) -> set[bytes]:
    """Digests of the rows that the last run of a hunt by SQL gave."""
    found = connection.execute(select(hunt_rows.c.digest).where(hunt_rows.c.hunt == row))
    return {bytes(one) for one in found.scalars()}


def keep_rows(connection: Connection, row: int, digests: Collection[bytes]) -> None:
    """What a run of a hunt by SQL gave, in the place of what the one before it gave."""
    connection.execute(delete(hunt_rows).where(hunt_rows.c.hunt == row))
    rows = [{"hunt": row, "digest": one} for one in digests]
    for start in range(0, len(rows), _MANY):
        connection.execute(insert(hunt_rows), rows[start : start + _MANY])


def _columns(plan: HuntPlan) -> dict[str, Any]:
    return {
        "name": plan.name,
        "description": plan.description,
        "kind": str(plan.kind),
        "text": plan.text,
        "looks_back": plan.window,
        "every": plan.every,
        "is_on": plan.is_on,
        "is_alerting": plan.is_alerting,
        "level": str(plan.level),
        "is_shared": plan.is_shared,
    }


def _with_last(connection: Connection, rows: Sequence[Any]) -> list[SavedHunt]:
    newest = select(func.max(hunt_runs.c.row)).group_by(hunt_runs.c.hunt)
    where = hunt_runs.c.hunt == rows[0].row if len(rows) == 1 else true() if rows else false()
    found = connection.execute(select(hunt_runs).where(hunt_runs.c.row.in_(newest.where(where))))
    last: Mapping[int, HuntRun] = {one.hunt: _run(one) for one in found}
    return [_hunt(row, last.get(row.row)) for row in rows]


def _hunt(row: Any, last: HuntRun | None) -> SavedHunt:
    plan = HuntPlan(
        row.name,
        HuntKind(row.kind),
        row.text,
        row.description,
        row.looks_back,
        row.every,
        row.is_on,
        row.is_alerting,
        Level(row.level),
        row.is_shared,
    )
    upto = None if row.segment is None else Position(row.segment, row.line)
    return SavedHunt(
        row.row,
        row.id,
        plan,
        row.owner,
        row.owner_name,
        row.created,
        row.changed,
        row.version,
        row.due,
        upto,
        row.failures,
        last,
    )


def _run(row: Any) -> HuntRun:
    return HuntRun(row.by, row.name, row.begun, row.ended, row.found, row.is_whole, row.problem, row.params)
