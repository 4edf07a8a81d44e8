"""A database with every table in it, copied: making them takes longer than most tests."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from istmo.store import migrations
from istmo.store.engine import Store

SQLITE = "sqlite:///"


@cache
def _file() -> bytes:
    with tempfile.TemporaryDirectory(prefix="istmo-tables-") as folder:
        path = Path(folder) / "node.db"
        store = Store(f"{SQLITE}{path}")
        migrations.upgrade(store)
        store.close()
        return path.read_bytes()


def with_tables(url: str) -> str:
    """The same URL; where it is that of a SQLite file that is not there yet, it is now, with its tables."""
    path = Path(url.removeprefix(SQLITE))
    if url.startswith(SQLITE) and not path.exists():
        path.write_bytes(_file())
    return url
