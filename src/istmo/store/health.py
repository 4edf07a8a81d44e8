"""Is the database sound? Asked from outside a running node, without writing."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from istmo.errors import Unavailable
from istmo.store.engine import Store
from istmo.store.migrations import current, steps


def is_missing(url: str) -> bool:
    """Whether the file of a SQLite database is not there. Asked before opening: that would make it."""
    path = make_url(url)
    return path.get_backend_name() == "sqlite" and not (path.database and Path(path.database).is_file())


def is_empty(url: str) -> bool:
    """Whether the database has no tables at all: nobody has founded a node in it."""
    store = Store(url)
    try:
        with store.read() as connection:
            return not inspect(connection).get_table_names()
    finally:
        store.close()


def database_problem(url: str) -> str:
    """What is wrong with the database, in its own words; empty when it is sound."""
    store = Store(url)
    try:
        with store.read() as connection:
            if not store.is_sqlite:
                connection.execute(text("SELECT 1"))
                return ""
            found = connection.execute(text("PRAGMA quick_check(1)")).scalar()
            return "" if found == "ok" else str(found)
    except (SQLAlchemyError, Unavailable) as error:
        cause = error.__cause__ or error
        return str(cause.__cause__ or cause)
    finally:
        store.close()


def needs_upgrade(url: str) -> bool:
    """Whether the database has the shape of an earlier version."""
    store = Store(url)
    try:
        with store.read() as connection:
            return current(connection) != steps()[-1]
    finally:
        store.close()
