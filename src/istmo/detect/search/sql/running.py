"""Running one statement: read, judged, given its table, executed, and its rows made into JSON.

All of it happens in a thread, so that whoever waits hears that it goes on, and so that time can be up while
DuckDB is at work.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog

from istmo.detect.eventstore.columns import TooWide, duckdb_, quoted
from istmo.detect.eventstore.folder import Closed, EventFolder
from istmo.detect.search.find import OutOfTime
from istmo.detect.search.sql.lines import EVENT
from istmo.detect.search.sql.lines import TooLarge as TooManyLines
from istmo.detect.search.sql.statement import read_statement
from istmo.detect.search.sql.table import FIXED, MOST_COLUMNS, EventTable
from istmo.detect.search.sql.telling import told_of
from istmo.detect.search.stored import Unreadable
from istmo.detect.wire import Position
from istmo.errors import InvalidInput, IstmoError, TooLarge

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

log = structlog.get_logger(__name__)

MEMORY: Final = "256MB"
MOST_BYTES: Final = 32 << 20
"""Of all rows together, as JSON."""
GRACE: Final = 5.0
"""Seconds past its end after which a statement that does not heed the interruption is left to be killed."""
_PORTION_BYTES: Final = 256 << 10
_AT_ONCE: Final = 50
_TELL_SECONDS: Final = 1.0
_AGAIN: Final = 2
"""Files that are gone or damaged are found out by reading them: then the table is made anew."""
_MISSING: Final = re.compile(r'Referenced column "((?:[^"]|"")+)" (?:was )?not found')
_TIME: Final = "'%Y-%m-%dT%H:%M:%S.%fZ'"
_PLAIN: Final = frozenset(
    (
        "BOOLEAN",
        "TINYINT",
        "SMALLINT",
        "INTEGER",
        "BIGINT",
        "UTINYINT",
        "USMALLINT",
        "UINTEGER",
        "UBIGINT",
        "HUGEINT",
        "UHUGEINT",
        "FLOAT",
        "DOUBLE",
        "VARCHAR",
    )
)

Column = tuple[str, str]
"""(name, DuckDB's type)"""


class Stuck(OutOfTime):
    """Time is up, and DuckDB is still at it: the process is of no further use."""


class CutAt(Exception):
    """The rows were more, or larger, than are given."""

    def __init__(self, code: str, limit: int) -> None:
        super().__init__(code)
        self.code, self.limit = code, limit


class SqlQuery:
    """One statement over everything before ``upto``."""

    def __init__(
        self,
        folder: EventFolder,
        text: str,
        upto: Position,
        seconds: float,
        *,
        start: int | None = None,
        end: int | None = None,
        limit: int = 1000,
    ) -> None:
        """``start`` (included), ``end`` (excluded): event time in µs. ``limit``: rows that are given."""
        self._folder, self._text, self._upto = folder, text, upto
        self._start, self._end_time, self._limit = start, end, limit
        self._end = time.monotonic() + seconds
        self._found: Queue[list[bytes] | BaseException | None] = Queue(2)
        self._is_left = False
        self._connection: DuckDBPyConnection | None = None
        self.columns: list[Column] = []
        """Known with the first portion that is not empty, or at the end."""
        self.unreadable = Unreadable()

    def portions(self) -> Iterator[list[bytes]]:
        """Rows as JSON arrays; none of them now and then while it goes on.

        Raises after the last rows OutOfTime, CutAt, and InvalidInput or TooLarge for what is wrong with the
        statement (``detect.sql_…``).
        """
        thread = threading.Thread(target=self._work, name="sql", daemon=True)
        thread.start()
        try:
            while True:
                try:
                    found = self._found.get(timeout=_TELL_SECONDS)
                except Empty:
                    self._hurry()
                    found = []
                if found is None:
                    return
                if isinstance(found, BaseException):
                    raise found
                yield found
        finally:
            self._is_left = True
            self._interrupt()

    def _hurry(self) -> None:
        late = time.monotonic() - self._end
        if late > 0:
            self._interrupt()
        if late > GRACE:
            raise Stuck

    def _interrupt(self) -> None:
        connection = self._connection
        if connection is not None:
            with suppress(duckdb_().Error):  # it may just have been closed
                connection.interrupt()

    def _check(self) -> None:
        if self._is_left or time.monotonic() > self._end:
            raise OutOfTime

    # --- in the thread -------------------------------------------------------------------------

    def _work(self) -> None:
        end: BaseException | None = None
        try:
            self._run()
        except (IstmoError, OutOfTime, CutAt) as error:
            end = error
        except (TooWide, MemoryError):
            end = TooLarge("detect.sql_memory")
        except TooManyLines:
            end = TooLarge("detect.sql_too_many_lines")
        except Exception as error:
            log.exception("sql_failed")
            end = error
        self._give(end)

    def _give(self, found: list[bytes] | BaseException | None) -> None:
        while not self._is_left:
            try:
                self._found.put(found, timeout=_TELL_SECONDS)
            except Full:
                continue
            return

    def _run(self) -> None:
        reading = _connect([])
        try:
            statement = read_statement(reading, self._text)
        finally:
            reading.close()
        without: frozenset[Closed] = frozenset()
        for attempt in range(_AGAIN + 1):
            table = EventTable(
                self._folder,
                statement,
                self._upto,
                start=self._start,
                end=self._end_time,
                check=self._check,
                without_columns=without,
            )
            try:
                table.gather()
                self.unreadable = table.unreadable
                self._execute(table, statement.text)
                return
            except duckdb_().Error as error:
                self._check()
                is_ours = _is_about_files(error) and attempt < _AGAIN and not self.columns
                damaged = table.damaged() if is_ours else frozenset()
                if not damaged:
                    raise _refusal(error, table.known.values()) from None
                log.warning("sql_asked_again", segments=len(damaged), problem=str(error)[:200])
                without |= damaged
            finally:
                table.close()

    def _execute(self, table: EventTable, text: str) -> None:
        connection = self._connection = table.put_into(_connect)
        try:
            found = connection.execute(f"SELECT * FROM ({text}\n) LIMIT 0")  # noqa: S608 - judged before
            columns = [(str(one[0]), str(one[1])) for one in found.description]
            if len(columns) > MOST_COLUMNS:
                raise InvalidInput("detect.sql_too_wide", limit=MOST_COLUMNS)
            names = ", ".join(f"r{number}" for number in range(len(columns)))
            given = ", ".join(_given(kind, f"r{number}") for number, (_, kind) in enumerate(columns))
            # Nothing but the parser's own text of the judged tree, names of ours and numbers.
            statement = f"SELECT {given} FROM ({text}\n) AS given({names}) LIMIT {self._limit + 1}"  # noqa: S608
            rows = connection.execute(statement)
            nested = [number for number, (_, kind) in enumerate(columns) if _is_nested(kind)]
            first = rows.fetchmany(_AT_ONCE)
            self.columns = columns
            self._give([])
            self._hand_on(first, rows, nested)
        finally:
            self._connection = None
            connection.close()

    def _hand_on(self, some: list[tuple[Any, ...]], rows: Any, nested: list[int]) -> None:
        count = size = held_bytes = 0
        held: list[bytes] = []
        told_at = time.monotonic()
        try:
            while some:
                for row in some:
                    self._check()
                    if count >= self._limit:
                        raise CutAt("detect.sql_cut_rows", self._limit)
                    line = _line(row, nested)
                    size += len(line)
                    if size > MOST_BYTES:
                        raise CutAt("detect.sql_cut_bytes", MOST_BYTES >> 20)
                    held.append(line)
                    held_bytes += len(line)
                    count += 1
                if held_bytes >= _PORTION_BYTES or time.monotonic() - told_at >= _TELL_SECONDS:
                    self._give(held)
                    held, held_bytes, told_at = [], 0, time.monotonic()
                some = rows.fetchmany(_AT_ONCE)
        finally:
            if held:
                self._give(held)


def _connect(files: list[Path]) -> DuckDBPyConnection:
    """A connection of its own that can read these files, write nothing, and be told nothing else."""
    connection: DuckDBPyConnection = duckdb_().connect(
        ":memory:",
        config={
            "memory_limit": MEMORY,
            "threads": 1,
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "python_enable_replacements": "false",
            "python_scan_all_frames": "false",
            "temp_directory": "",
            "max_temp_directory_size": "0B",
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET preserve_insertion_order = false")
    if files:
        connection.execute(f"SET allowed_paths = [{', '.join(map(quoted, files))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _is_about_files(error: Exception) -> bool:
    """Whether an error may come from what is stored rather than from what was asked."""
    duckdb = duckdb_()
    asked = (
        duckdb.BinderException,
        duckdb.CatalogException,
        duckdb.ConversionException,
        duckdb.InterruptException,
        duckdb.OutOfMemoryException,
        duckdb.OutOfRangeException,
        duckdb.ParserException,
    )
    return not isinstance(error, asked)


def _refusal(error: Exception, known: Iterable[str]) -> IstmoError | OutOfTime:
    duckdb = duckdb_()
    if isinstance(error, duckdb.InterruptException):
        return OutOfTime()
    if isinstance(error, duckdb.OutOfMemoryException) or "bad_alloc" in str(error):
        return TooLarge("detect.sql_memory")
    if isinstance(error, duckdb.BinderException) and (missing := _MISSING.search(str(error))):
        name = missing[1][:80]
        near = get_close_matches(name, [*known, *FIXED, EVENT], 3)
        return InvalidInput("detect.sql_no_column", name=name, near=", ".join(near) or "—")
    return InvalidInput("detect.sql_failed", detail=told_of(str(error)))


def _is_nested(kind: str) -> bool:
    return kind == "JSON" or kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION"))


def _given(kind: str, column: str) -> str:
    """What is fetched of a column: what JSON has a word for, everything else as text."""
    if kind in _PLAIN:
        return column
    if kind.startswith("DECIMAL"):
        return f"CAST({column} AS DOUBLE)"
    if kind == "TIMESTAMP":
        return f"strftime({column}, {_TIME})"
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"strftime(timezone('UTC', {column}), {_TIME})"
    if _is_nested(kind):
        return f"CAST(to_json({column}) AS VARCHAR)"
    return f"CAST({column} AS VARCHAR)"


def _line(row: tuple[Any, ...], nested: list[int]) -> bytes:
    values = list(row)
    for number in nested:
        if values[number] is not None:
            try:
                values[number] = orjson.loads(values[number])
            except orjson.JSONDecodeError:
                continue  # its text, then
    try:
        return orjson.dumps(values)
    except orjson.JSONEncodeError:
        # Numbers of more than 64 bits.
        return orjson.dumps([_within(one) for one in values])


def _within(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63 else value
