"""The SQL engine: SQLite by default, PostgreSQL by settings, one way to read and one to write.

``Store.read`` gives a consistent snapshot; ``Store.write`` gives the one writer's turn. On SQLite
every write begins with ``BEGIN IMMEDIATE`` (a deferred one fails when a reader turns writer) and
every connection runs with ``synchronous=FULL``: an answer of success means that the data is on disk.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, create_engine, event, text
from sqlalchemy.engine import make_url

from istmo.store.changes import Change, Changes

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=NAMING)
"""Every room's ``records.py`` declares its tables on this one registry."""

_WRITE = "istmo_write"
_ADVISORY_LOCK = 0x6973746D6F  # "istmo": one writer at a time on PostgreSQL too, so log order is commit order


class Transaction:
    """One write in progress: a connection, and what to tell the world once it is on disk."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._changes: list[Change] = []
        self._after: list[Callable[[], None]] = []

    def notify(self, topic: str, subject: str, **data: Any) -> None:
        """Publish ``Change(topic, subject, data)`` after the commit; nothing if it rolls back."""
        self._changes.append(Change(topic, subject, data))

    def after_commit(self, action: Callable[[], None]) -> None:
        """Run ``action`` once the commit is durable, before the changes are published."""
        self._after.append(action)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part that may fail alone: on an exception its writes and its notices are undone."""
        changes, after = len(self._changes), len(self._after)
        nested = self.connection.begin_nested()
        try:
            yield
        except BaseException:
            nested.rollback()
            del self._changes[changes:], self._after[after:]
            raise
        nested.commit()

    def _finish(self, changes: Changes) -> None:
        for action in self._after:
            action()
        for change in self._changes:
            changes.publish(change)


class Store:
    """The node's database. Thread-safe; one instance a node."""

    def __init__(self, url: str, changes: Changes | None = None) -> None:
        self.url = make_url(url)
        self.changes = changes or Changes()
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _sqlite_engine(url) if self.is_sqlite else _postgresql_engine(url)
        self._turn = threading.RLock()
        self._writing = threading.local()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read-only snapshot. Never write through it."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """The writer's turn: commits on leaving, rolls back on an exception. Not re-entrant."""
        with self._turn:
            if getattr(self._writing, "now", False):
                raise RuntimeError("a write inside a write: pass the Transaction along instead")
            self._writing.now = True
            try:
                with self.engine.connect() as connection:
                    connection.info[_WRITE] = True
                    try:
                        with connection.begin():
                            if not self.is_sqlite:
                                connection.execute(
                                    text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK}
                                )
                            transaction = Transaction(connection)
                            yield transaction
                    finally:
                        connection.info.pop(_WRITE, None)
            finally:
                self._writing.now = False
        transaction._finish(self.changes)

    def close(self) -> None:
        """Close every connection of the pool."""
        self.engine.dispose()


def _sqlite_engine(url: str) -> Engine:
    path = make_url(url).database
    if path and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": 30, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _on_connect(dbapi: Any, _record: Any) -> None:
        dbapi.isolation_level = None  # we say BEGIN ourselves, below
        cursor = dbapi.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "busy_timeout=30000",
            "cache_size=-8000",
            "temp_store=MEMORY",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.info.get(_WRITE) else "BEGIN")

    return engine


def _postgresql_engine(url: str) -> Engine:
    engine = create_engine(url, pool_size=8, max_overflow=8, pool_pre_ping=True)

    @event.listens_for(engine, "connect")
    def _on_connect(dbapi: Any, _record: Any) -> None:
        was = dbapi.autocommit
        dbapi.autocommit = True
        with dbapi.cursor() as cursor:
            cursor.execute("SET TIME ZONE 'UTC'")
            cursor.execute("SET synchronous_commit TO on")
        dbapi.autocommit = was

    return engine
