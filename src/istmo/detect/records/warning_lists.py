"""Warning lists: what each is about, and its entries made ready to be looked up in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from istmo.detect.objects import KeptWarningList
from istmo.detect.warnings import Prepared, WarningList
from istmo.store.columns import Instant, Json
from istmo.store.engine import metadata

warning_lists = Table(
    "warning_lists",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("type", String(16), nullable=False),
    Column("description", Text, nullable=False),
    Column("version", String(40), nullable=False),
    Column("kinds", Json, nullable=False),
    Column("number", Integer, nullable=False),
    Column("unusable", Integer, nullable=False),
    Column("digest", String(32), nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("changed", Instant, nullable=False),
    Column("changed_by", String(96), nullable=False),
    Column("enabled", Boolean, nullable=False),
)
_SHOWN: Final = [column for column in warning_lists.c if column.name not in ("key", "data")]


def put_list(
    connection: Connection, one: WarningList, ready: Prepared, by: str, now: datetime
) -> KeptWarningList:
    """A new list, or the new entries of one; one that is switched off stays so."""
    was = connection.execute(select(warning_lists.c.enabled).where(warning_lists.c.name == one.name)).scalar()
    is_enabled = was is not False
    drop_list(connection, one.name)
    stamp = hashlib.blake2b(ready.key + ready.data, digest_size=16)
    stamp.update("\0".join((one.name, one.type, *sorted(one.kinds))).encode())
    kept = {
        "name": one.name,
        "type": one.type,
        "description": one.description,
        "version": one.version,
        "kinds": sorted(one.kinds),
        "number": ready.entries,
        "unusable": ready.unusable,
        "digest": stamp.hexdigest(),
        "changed": now,
        "changed_by": by,
        "enabled": is_enabled,
    }
    connection.execute(insert(warning_lists), kept | {"key": ready.key, "data": ready.data})
    return KeptWarningList(
        one.name,
        one.type,
        one.description,
        one.version,
        tuple(sorted(one.kinds)),
        ready.entries,
        ready.unusable,
        now,
        by,
        is_enabled,
    )


def switch_list(connection: Connection, name: str, is_enabled: bool, by: str, now: datetime) -> None:
    """Put a list in force, or out of it."""
    values = {"enabled": is_enabled, "changed": now, "changed_by": by}
    connection.execute(update(warning_lists).where(warning_lists.c.name == name).values(**values))


def drop_list(connection: Connection, name: str) -> bool:
    """Forget a list; False where there is none."""
    return connection.execute(delete(warning_lists).where(warning_lists.c.name == name)).rowcount == 1


def find_list(connection: Connection, name: str) -> KeptWarningList | None:
    """A list without its entries."""
    row = connection.execute(select(*_SHOWN).where(warning_lists.c.name == name)).first()
    return None if row is None else _kept(row)


def all_lists(connection: Connection) -> list[KeptWarningList]:
    """Every list by name, without its entries."""
    return [_kept(row) for row in connection.execute(select(*_SHOWN).order_by(warning_lists.c.name))]


def numbers(connection: Connection) -> dict[str, int]:
    """How many entries each list has."""
    rows = connection.execute(select(warning_lists.c.name, warning_lists.c.number))
    return {row.name: row.number for row in rows}


def digests(connection: Connection) -> dict[str, str]:
    """What tells one version of a list from another, by name; of those that are in force."""
    rows = connection.execute(
        select(warning_lists.c.name, warning_lists.c.digest).where(warning_lists.c.enabled.is_(True))
    )
    return {row.name: row.digest for row in rows}


def read_lists(connection: Connection, names: list[str]) -> Iterator[Prepared]:
    """Some lists with their entries, one at a time."""
    for name in names:
        row = connection.execute(select(warning_lists).where(warning_lists.c.name == name)).first()
        if row is not None:
            kinds, key, data = frozenset(row.kinds), bytes(row.key), bytes(row.data)
            yield Prepared(row.name, row.type, kinds, row.number, row.unusable, key, data)


def _kept(row: Any) -> KeptWarningList:
    return KeptWarningList(
        row.name,
        row.type,
        row.description,
        row.version,
        tuple(row.kinds),
        row.number,
        row.unusable,
        row.changed,
        row.changed_by,
        row.enabled,
    )
