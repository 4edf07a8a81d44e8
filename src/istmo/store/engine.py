"""The SQL engine: SQLite by default, PostgreSQL by settings, one way to read and one to write.

``Store.read`` gives a consistent snapshot; ``Store.write`` gives the one writer's turn. On SQLite
every write begins with ``BEGIN IMMEDIATE`` (a deferred one fails when a reader turns writer) and
every connection runs with ``synchronous=FULL``: an answer of success means that the data is on disk.
A connection that does not confirm this is refused.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, ExceptionContext, MetaData, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import QueuePool

from istmo.errors import InvalidInput, IstmoError, Unavailable
from istmo.store.changes import Change, Changes

log = structlog.get_logger(__name__)

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=NAMING)
"""Every room's ``records.py`` declares its tables on this one registry."""

_IMPOSSIBLE = ("22003", "22021", "22P05")
"""PostgreSQL's states for a number out of range and a character that is not in the encoding."""

_ADVISORY_LOCK = 0x6973746D6F  # "istmo": one writer at a time on PostgreSQL too, so log order is commit order


class Transaction:
    """One write in progress: a connection, and what to tell the world once it is on disk."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._changes: list[Change] = []
        self._after: list[Callable[[], None]] = []
        self._depth = 0
        """Of savepoints within each other."""

    def notify(self, topic: str, subject: str, **data: Any) -> None:
        """Publish ``Change(topic, subject, data)`` after the commit; nothing if it rolls back."""
        self._changes.append(Change(topic, subject, data))

    def after_commit(self, action: Callable[[], None]) -> None:
        """Run ``action`` once the commit is durable, before the changes are published.

        A failure of it is logged: it can no longer undo the write.
        """
        self._after.append(action)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part that may fail alone: on an exception its writes and its notices are undone."""
        changes, after = len(self._changes), len(self._after)
        # Said to the database as they are: SQLAlchemy's own nesting takes as long as two statements more.
        say = self.connection.exec_driver_sql
        self._depth += 1
        name = f"part_{self._depth}"
        say(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException as error:
            try:
                say(f"ROLLBACK TO SAVEPOINT {name}")
                say(f"RELEASE SAVEPOINT {name}")
            except DBAPIError:
                # The whole transaction is gone (a full disk, a server away): the cause is what to tell.
                if isinstance(error, DBAPIError):
                    raise error from None
                raise
            del self._changes[changes:], self._after[after:]
            raise
        finally:
            self._depth -= 1
        say(f"RELEASE SAVEPOINT {name}")

    def _complete(self, together: Mapping[str, tuple[Follows, ...]]) -> None:
        """Let those who write with each change do so, each in a part that may fail alone."""
        told = 0
        while told < len(self._changes):  # what they write may tell of changes in turn
            change = self._changes[told]
            told += 1
            for follows in together.get(change.topic, ()):
                try:
                    write = follows(change)
                    if write is not None:
                        with self.savepoint():
                            write(self)
                except DBAPIError:
                    raise  # the disk, or the server: the whole write fails with it
                except Exception:
                    # What follows from a change must not undo it.
                    log.exception("not_written_together", topic=change.topic, subject=change.subject)

    def _finish(self, changes: Changes) -> None:
        for action in self._after:
            try:
                action()
            except Exception:
                # The data is on disk: telling the caller of a failure would be a lie.
                log.exception("after_commit_failed")
        for change in self._changes:
            changes.publish(change)


Follows = Callable[[Change], "Callable[[Transaction], None] | None"]
"""What is to be written with a change; None for nothing."""


class Store:
    """The node's database. Thread-safe; one instance a node."""

    def __init__(self, url: str, changes: Changes | None = None) -> None:
        self.url = make_url(url)
        self.changes = changes or Changes()
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self.engine, self.reader = (
                _sqlite_engine(url, reads_only=False),
                _sqlite_engine(url, reads_only=True),
            )
        else:
            self.engine = self.reader = _postgresql_engine(url)
        for engine in {self.engine, self.reader}:
            event.listen(engine, "handle_error", _refuse_impossible)
        self._together: dict[str, tuple[Follows, ...]] = {}
        self._turn = threading.RLock()
        self._writing = threading.local()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read-only snapshot: one instant of the whole database; a write through it fails.

        A statement raises InvalidInput ``store.impossible_value`` for what no column can hold.
        """
        with _explained(), self.reader.connect() as connection:
            if not self.is_sqlite:
                connection = connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            with connection.begin():
                yield connection

    def within(self, follows: Follows, *topics: str) -> None:
        """Write what ``follows(change)`` gives inside the transaction that tells of a change of ``topics``.

        For what must follow from a change even over a crash. It must be quick: the writer's turn is held.
        """
        for topic in topics:
            self._together[topic] = (*self._together.get(topic, ()), follows)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """The writer's turn: commits on leaving, rolls back on an exception. Not re-entrant.

        Raises Unavailable when the disk is full or the database cannot be reached; a statement raises
        InvalidInput ``store.impossible_value`` for what no column can hold.
        """
        with self._turn, _explained():
            if getattr(self._writing, "now", False):
                raise RuntimeError("a write inside a write: pass the Transaction along instead")
            self._writing.now = True
            try:
                with self.engine.connect() as connection, connection.begin():
                    if not self.is_sqlite:
                        connection.execute(
                            text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK}
                        )
                    transaction = Transaction(connection)
                    yield transaction
                    transaction._complete(self._together)
            finally:
                self._writing.now = False
        transaction._finish(self.changes)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()
        self.reader.dispose()


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what an operator can mend (a full disk, a server that is away) into words for people."""
    try:
        yield
    except DBAPIError as error:
        problem = _in_words(error)
        if problem is None:
            raise
        log.error("database_unavailable", code=problem.code, error=str(error.orig))
        raise problem from error


def _refuse_impossible(context: ExceptionContext) -> None:
    """A number past 64 bits, or a text that is none (NUL, half a character): the caller's, not a defect.

    At this depth, because any number or name of a request may come as far as a statement.
    """
    error = context.original_exception
    state = getattr(error, "sqlstate", "")
    # psycopg refuses NUL before the server sees it: a DataError without a state of the server's.
    is_ours = state is None and type(error).__name__ == "DataError"
    if isinstance(error, (OverflowError, UnicodeEncodeError)) or is_ours or state in _IMPOSSIBLE:
        raise InvalidInput("store.impossible_value")


def _in_words(error: DBAPIError) -> IstmoError | None:
    name = getattr(error.orig, "sqlite_errorname", "") or getattr(error.orig, "sqlstate", "") or ""
    if name in ("SQLITE_FULL", "53100"):
        return Unavailable("store.disk_full")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or name == "55P03":
        return Unavailable("store.busy")
    if name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN")):
        return Unavailable("store.disk_error", detail=name)
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or name == "XX001":
        return Unavailable("store.damaged", detail=name)
    if error.connection_invalidated or name.startswith(("08", "57P")):
        return Unavailable("store.unreachable")
    if not name and isinstance(error, OperationalError):  # psycopg: no server answered at all
        return Unavailable("store.unreachable")
    return None


_BUSY_SECONDS = 30
_BUSY_PAUSE = 0.02
_SQLITE_PRAGMAS = (
    "synchronous=FULL",
    "foreign_keys=ON",
    "busy_timeout=30000",
    "cache_size=-4000",
    "temp_store=MEMORY",
    "journal_size_limit=67108864",
)


def _sqlite_engine(url: str, *, reads_only: bool) -> Engine:
    """The connections for reading, or the one that writes.

    Apart, because each keeps its prepared statements and its pages: the one that is used most is the
    quickest, so the last one given back is the next one taken.
    """
    path = make_url(url).database
    if path and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=4 if reads_only else 1,
        # More readers than threads that a web server runs: none waits for another.
        max_overflow=60 if reads_only else 3,
        pool_use_lifo=True,
        connect_args={"timeout": 30, "check_same_thread": False, "cached_statements": 512},
    )
    begin = "BEGIN" if reads_only else "BEGIN IMMEDIATE"

    @event.listens_for(engine, "connect")
    def _on_connect(dbapi: Any, _record: Any) -> None:
        dbapi.isolation_level = None  # we say BEGIN ourselves, below
        cursor = dbapi.cursor()
        _use_wal(cursor)
        for pragma in (*_SQLITE_PRAGMAS, *(["query_only=ON"] if reads_only else [])):
            cursor.execute(f"PRAGMA {pragma}")
        durable = (
            cursor.execute("PRAGMA synchronous").fetchone()[0],
            cursor.execute("PRAGMA journal_mode").fetchone()[0],
        )
        cursor.close()
        if durable != (2, "wal"):
            raise Unavailable("store.not_durable", found=f"synchronous={durable[0]}, {durable[1]}")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Write ahead. Of several that open a new database at once, SQLite turns some away at once."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > deadline:
                raise
        time.sleep(_BUSY_PAUSE)


def _postgresql_engine(url: str) -> Engine:
    engine = create_engine(url, pool_size=8, max_overflow=56, pool_pre_ping=True)

    @event.listens_for(engine, "connect")
    def _on_connect(dbapi: Any, _record: Any) -> None:
        was = dbapi.autocommit
        dbapi.autocommit = True
        with dbapi.cursor() as cursor:
            cursor.execute("SET TIME ZONE 'UTC'")
            cursor.execute("SET synchronous_commit TO on")
            fsync = cursor.execute("SHOW fsync").fetchone()[0]
        dbapi.autocommit = was
        if fsync != "on":
            raise Unavailable("store.not_durable", found=f"fsync={fsync}")

    return engine
