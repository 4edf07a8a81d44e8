"""Warning lists as they came: what each is about, and its entries, packed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import orjson
import zstandard
from sqlalchemy import Column, Connection, Integer, LargeBinary, String, Table, Text, delete, insert, select

from istmo.detect.objects import KeptWarningList
from istmo.detect.warnings import WarningList
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
    Column("entries", LargeBinary, nullable=False),
    Column("changed", Instant, nullable=False),
    Column("changed_by", String(96), nullable=False),
)
_SHOWN: Final = [column for column in warning_lists.c if column.name != "entries"]
_MOST_UNPACKED: Final = 1 << 30


def put_list(
    connection: Connection, one: WarningList, number: int, unusable: int, by: str, now: datetime
) -> KeptWarningList:
    """A new list, or the new entries of one. ``number``: entries that are used."""
    drop_list(connection, one.name)
    packed = zstandard.ZstdCompressor(level=3).compress(orjson.dumps(one.entries))
    kinds = sorted(one.kinds)
    stamp = hashlib.blake2b(packed, digest_size=16)
    stamp.update("\0".join((one.name, one.type, *kinds)).encode())
    kept = {
        "name": one.name,
        "type": one.type,
        "description": one.description,
        "version": one.version,
        "kinds": kinds,
        "number": number,
        "unusable": unusable,
        "digest": stamp.hexdigest(),
        "entries": packed,
        "changed": now,
        "changed_by": by,
    }
    connection.execute(insert(warning_lists), kept)
    return KeptWarningList(
        one.name, one.type, one.description, one.version, tuple(kinds), number, unusable, now, by
    )


def drop_list(connection: Connection, name: str) -> bool:
    """Forget a list; False where there is none."""
    return connection.execute(delete(warning_lists).where(warning_lists.c.name == name)).rowcount == 1


def all_lists(connection: Connection) -> list[KeptWarningList]:
    """Every list by name, without its entries."""
    return [_kept(row) for row in connection.execute(select(*_SHOWN).order_by(warning_lists.c.name))]


def numbers(connection: Connection) -> dict[str, int]:
    """How many entries each list has."""
    rows = connection.execute(select(warning_lists.c.name, warning_lists.c.number))
    return {row.name: row.number for row in rows}


def digests(connection: Connection) -> dict[str, str]:
    """What tells one version of a list from another, by name."""
    rows = connection.execute(select(warning_lists.c.name, warning_lists.c.digest))
    return {row.name: row.digest for row in rows}


def read_lists(connection: Connection, names: list[str]) -> Iterator[WarningList]:
    """Some lists with their entries, one at a time."""
    for name in names:
        row = connection.execute(select(warning_lists).where(warning_lists.c.name == name)).first()
        if row is not None:
            unpacked = zstandard.ZstdDecompressor().decompress(
                bytes(row.entries), max_output_size=_MOST_UNPACKED
            )
            entries = tuple(orjson.loads(unpacked))
            yield WarningList(row.name, row.type, entries, frozenset(row.kinds))


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
    )
