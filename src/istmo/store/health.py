"""Is the database sound? Asked from outside a running node, without writing."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from istmo.errors import Unavailable
from istmo.store.engine import Store
from istmo.store.migrations import current, steps


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
