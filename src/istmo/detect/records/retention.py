"""How long and in how much room each source's events are kept, where it has a word of its own."""

from __future__ import annotations

from sqlalchemy import Column, Connection, Integer, String, Table, delete, insert, select

from istmo.detect.objects_kept import SourceKeep
from istmo.store.columns import BigId
from istmo.store.engine import metadata

source_retention = Table(
    "source_retention",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("days", Integer, nullable=False),
    Column("budget", BigId, nullable=False),
)


def retention_by_source(connection: Connection) -> dict[str, SourceKeep]:
    """What was said of each source of which something was said."""
    rows = connection.execute(select(source_retention))
    return {row.source: SourceKeep(row.days, row.budget) for row in rows}


def put_retention(connection: Connection, source: str, keep: SourceKeep) -> None:
    """Keep what is said of a source from now on; nothing, where it sets no bound."""
    connection.execute(delete(source_retention).where(source_retention.c.source == source))
    if keep.days or keep.budget:
        connection.execute(insert(source_retention).values(source=source, days=keep.days, budget=keep.budget))
