"""Value lists: what ``%name%`` stands for in Sigma rules that say ``expand``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, String, Table, delete, func, insert, select

from istmo.detect.objects import ValueList
from istmo.store.columns import Instant, Json
from istmo.store.engine import metadata

value_lists = Table(
    "value_lists",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("entries", Json, nullable=False),
    Column("changed", Instant, nullable=False),
    Column("changed_by", String(96), nullable=False),
)


def put_list(connection: Connection, name: str, values: Sequence[str], by: str, now: datetime) -> None:
    """A new list, or the new values of one."""
    drop_list(connection, name)
    kept = {"name": name, "entries": list(values), "changed": now, "changed_by": by}
    connection.execute(insert(value_lists), kept)


def drop_list(connection: Connection, name: str) -> bool:
    """Forget a list; False where there is none."""
    return connection.execute(delete(value_lists).where(value_lists.c.name == name)).rowcount == 1


def all_lists(connection: Connection) -> list[ValueList]:
    """Every list by name."""
    return [_list(row) for row in connection.execute(select(value_lists).order_by(value_lists.c.name))]


def find_list(connection: Connection, name: str) -> ValueList | None:
    row = connection.execute(select(value_lists).where(value_lists.c.name == name)).first()
    return None if row is None else _list(row)


def names(connection: Connection) -> set[str]:
    """What the lists are called."""
    return set(connection.execute(select(value_lists.c.name)).scalars())


def count_lists(connection: Connection) -> int:
    found: int = connection.execute(select(func.count()).select_from(value_lists)).scalar_one()
    return found


def values_by_name(connection: Connection) -> dict[str, list[str]]:
    """The values of each list."""
    return {one.name: list(one.values) for one in all_lists(connection)}


def _list(row: Any) -> ValueList:
    return ValueList(row.name, tuple(row.entries), row.changed, row.changed_by)
