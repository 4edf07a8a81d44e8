"""Which object points to which, and which indicators are about a value: found from either side."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Column, Connection, Index, String, Table, and_, delete, insert, or_, select

from istmo.intel.records.objects import chunks, objects
from istmo.model.patterns import Term
from istmo.store.columns import BigId
from istmo.store.engine import metadata

links = Table(
    "intel_links",
    metadata,
    Column("origin", String(64), primary_key=True),
    Column("sequence", BigId, primary_key=True, autoincrement=False),
    Column("target", String(300), primary_key=True),
    Column("property", String(80), primary_key=True),
    Column("object", String(300), nullable=False),
    Index("ix_intel_links_target", "target"),
    Index("ix_intel_links_object", "object"),
)

values = Table(
    "intel_values",
    metadata,
    Column("digest", String(32), primary_key=True),
    Column("origin", String(64), primary_key=True),
    Column("sequence", BigId, primary_key=True, autoincrement=False),
    Index("ix_intel_values_entry", "origin", "sequence"),
)
"""By digest: a value may be longer than what an index holds."""

ENDS: Final = ("source_ref", "target_ref")
"""By what a relation points to what it connects."""
MOST_OF_ONE: Final = 1000
"""Links and values of one object that are kept."""


class Link(NamedTuple):
    """``object`` points to ``target`` by ``property`` (``source_ref``, ``object_refs`` …)."""

    object: str
    property: str
    target: str


def insert_links(connection: Connection, origin: str, sequence: int, found: Sequence[Link]) -> None:
    """Keep to what the object of an entry points."""
    if found:
        rows = [
            {**one._asdict(), "origin": origin, "sequence": sequence}
            for one in dict.fromkeys(found[:MOST_OF_ONE])
        ]
        connection.execute(insert(links), rows)


def insert_values(connection: Connection, origin: str, sequence: int, found: Iterable[Term]) -> None:
    """Keep what values the indicator of an entry is about."""
    digests = dict.fromkeys(_digest(one.kind, one.value) for one in list(found)[:MOST_OF_ONE])
    if digests:
        connection.execute(
            insert(values), [{"digest": one, "origin": origin, "sequence": sequence} for one in digests]
        )


def delete_links(connection: Connection, origin: str, sequence: int) -> None:
    """Forget both of an erased entry."""
    for table in (links, values):
        connection.execute(delete(table).where(table.c.origin == origin, table.c.sequence == sequence))


def links_to(connection: Connection, target: str, limit: int) -> list[Link]:
    """What points to an object, of what is current and not taken back; the latest first."""
    return _links(connection, links.c.target == target, limit)


def links_from(connection: Connection, ids: Iterable[str], limit: int) -> list[Link]:
    """To what these objects point, of what is current and not taken back."""
    found: list[Link] = []
    for some in chunks(ids):
        found += _links(connection, links.c.object.in_(some), limit)
    return found[:limit]


def ends_of(
    connection: Connection, entries: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], dict[str, str]]:
    """To what the relations in these entries (origin, sequence) point, by property."""
    by_origin: dict[str, list[int]] = {}
    for origin, sequence in entries:
        by_origin.setdefault(origin, []).append(sequence)
    if not by_origin:
        return {}
    rows = connection.execute(
        select(links.c.origin, links.c.sequence, links.c.property, links.c.target).where(
            or_(
                *(
                    and_(links.c.origin == origin, links.c.sequence.in_(sequences))
                    for origin, sequences in by_origin.items()
                )
            ),
            links.c.property.in_(ENDS),
        )
    )
    found: dict[tuple[str, int], dict[str, str]] = {}
    for row in rows:
        found.setdefault((row.origin, row.sequence), {})[row.property] = row.target
    return found


def known(connection: Connection, terms: Iterable[tuple[str, str]]) -> dict[tuple[str, str], list[str]]:
    """Of these values (kind, normal form) the ids of current indicators that are about them."""
    wanted = {_digest(kind, value): (kind, value) for kind, value in terms}
    found: dict[tuple[str, str], list[str]] = {}
    same = and_(objects.c.origin == values.c.origin, objects.c.sequence == values.c.sequence)
    for some in chunks(wanted):
        rows = connection.execute(
            select(values.c.digest, objects.c.object)
            .select_from(values.join(objects, same))
            .where(values.c.digest.in_(some), objects.c.current, objects.c.retracted.is_(False))
            .order_by(objects.c.row)
        )
        for row in rows:
            ids = found.setdefault(wanted[row.digest], [])
            if row.object not in ids and len(ids) < MOST_OF_ONE:
                ids.append(row.object)
    return found


def _links(connection: Connection, condition: object, limit: int) -> list[Link]:
    same = and_(objects.c.origin == links.c.origin, objects.c.sequence == links.c.sequence)
    rows = connection.execute(
        select(links.c.object, links.c.property, links.c.target)
        .select_from(links.join(objects, same))
        .where(condition, objects.c.current, objects.c.retracted.is_(False))  # type: ignore[arg-type]
        .order_by(objects.c.row.desc())
        .limit(limit)
    )
    return [Link(*row) for row in rows]


def _digest(kind: str, value: str) -> str:
    return hashlib.sha256(f"{kind}\n{value}".encode()).hexdigest()[:32]
