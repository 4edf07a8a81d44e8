"""The columns of a closed segment: Parquet through DuckDB. Beside this, ``search.sql`` alone touches either.

Fields rest in columns named by a digest of the field's name (``column_name``): names come from events, so
they never become part of a statement, and ``Payload`` and ``payload`` stay apart. The same field has the
same column in every segment, so that many files are read as one table. Beside them: ``line``, ``frame``,
``segment`` and ``place`` (the event's place in the log: its id), ``time`` (event time, µs), ``received``
(µs), ``host``, ``source`` and ``odd`` (true where normalising failed, so that the columns say nothing).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FIXED: Final = {
    "line": "BIGINT",
    "frame": "INTEGER",
    "segment": "BIGINT",
    "place": "BIGINT",
    "time": "BIGINT",
    "received": "BIGINT",
    "host": "VARCHAR",
    "source": "VARCHAR",
    "odd": "BOOLEAN",
}
ROW_GROUP: Final = 4_096
"""Rows that are gathered before they are written: hundreds of columns of text must fit into memory."""
MOST_COLUMNS: Final = 400
FEWER_COLUMNS: Final = 100
CLOSING_MEMORY: Final = "200MB"
"""What writing may take, in a process that ends afterwards; reading takes the standard of ``connect``."""
LONGEST_ROW: Final = 4 << 20
"""Bytes of one row as JSON; DuckDB sets aside twice as much."""
SEPARATOR: Final = "\n"
"""Between the values of a list in its one cell."""

Candidate = tuple[int, int, int]
"""(time, line, frame) of an event that may be meant."""


def column_name(field: str) -> str:
    """The column of a field. Where two fields would have the same one, a segment has it for one of them."""
    return "c" + blake2b(field.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()


class TooWide(Exception):
    """So many columns of so much text do not fit into the memory that writing may take."""


class ColumnsUnreadable(Exception):
    """A Parquet file is damaged, is not there, or does not say what its segment's index says."""


def connect(folder: Path, memory: str = "100MB", files: Sequence[Path] = ()) -> DuckDBPyConnection:
    """A connection that sees ``folder`` and ``files``, and nothing else of the machine."""
    connection: DuckDBPyConnection = duckdb_().connect(
        ":memory:",
        config={
            "memory_limit": memory,
            "threads": 1,
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        },
    )
    connection.execute(f"SET allowed_directories = [{quoted(folder)}]")
    if files:
        connection.execute(f"SET allowed_paths = [{', '.join(map(quoted, files))}]")
        # They are in memory because what is in them is not to be on the disk.
        connection.execute("SET temp_directory = ''")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET preserve_insertion_order = false")  # each row says its line
    connection.execute("SET lock_configuration = true")
    return connection


def write_columns(
    connection: DuckDBPyConnection,
    rows: Path,
    columns: Mapping[int, str],
    target: Path,
    *,
    is_odd: bool = False,
    is_packed: bool = False,
) -> int:
    """Turn newline JSON (fixed names, and fields by number) into Parquet; the number of rows.

    ``columns``: what those fields that get one have for a column. ``is_odd`` marks every row as one of which
    the columns say nothing; ``is_packed``: the rows are packed with zstd. Raises TooWide.
    """
    read = FIXED | {str(number): "VARCHAR" for number in columns}
    fixed = ", ".join("true AS odd" if is_odd and name == "odd" else name for name in FIXED)
    chosen = fixed + "".join(f', "{number}" AS {name}' for number, name in columns.items())
    given = ", ".join(f"'{name}': '{kind}'" for name, kind in read.items())
    # Every piece of this statement is ours: numbers, fixed names, and paths below the data folder.
    statement = f"""
        COPY (SELECT {chosen} FROM read_json({quoted(rows)}, columns = {{{given}}},
              format = 'newline_delimited', maximum_object_size = {LONGEST_ROW},
              compression = '{"zstd" if is_packed else "none"}'))
        TO {quoted(target)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP},
            STRING_DICTIONARY_PAGE_SIZE_LIMIT 131072, USE_TMP_FILE false)"""  # noqa: S608
    try:
        (count,) = connection.execute(statement).fetchone() or (0,)
    except duckdb_().OutOfMemoryException as error:
        raise TooWide from error
    return int(count)


def find_candidates(
    connection: DuckDBPyConnection,
    path: Path,
    condition: str,
    values: Sequence[object],
    most: int,
    *,
    has_odd: bool = True,
) -> Iterator[list[Candidate]]:
    """Events that may satisfy ``condition``, newest first, in portions.

    Odd ones may satisfy anything. Where there are none (not ``has_odd``) Parquet's own statistics and
    dictionaries decide what is read: that takes a third less time.

    ``condition`` is SQL made by us over column names made by us; what a user gave is in ``values``.
    Raises ColumnsUnreadable, also after some portions.
    """
    cursor = connection.cursor()
    try:
        cursor.execute(
            f"""SELECT time, line, frame FROM read_parquet({quoted(path)})
                WHERE {"odd OR" if has_odd else ""} ({condition})
                ORDER BY time DESC, line DESC LIMIT {int(most)}""",  # noqa: S608
            list(values),
        )
        while portion := cursor.fetchmany(2048):
            yield portion
    except duckdb_().Error as error:
        raise ColumnsUnreadable(str(error)) from error


def count_by(
    connection: DuckDBPyConnection,
    path: Path,
    condition: str,
    values: Sequence[object],
    column: str,
    bucket: int,
    most: int,
) -> tuple[int, int, list[tuple[str, int]], list[tuple[int, int]]]:
    """How many events ``condition`` holds for, and how many of them have nothing in ``column``.

    Then how many there are by its most frequent texts, and by stretches of time.

    ``column`` is a column's name, ``NULL`` or empty; ``bucket`` in microseconds, 0 for no stretches. As for
    ``find_candidates`` every piece of SQL is ours. Raises ColumnsUnreadable.
    """
    events = f"FROM read_parquet({quoted(path)}) WHERE ({condition})"
    given = list(values)
    try:
        has = f"count({column})" if column not in ("", "NULL") else "0"
        found = connection.execute(f"SELECT count(*), {has} {events}", given).fetchone()
        total, having = found or (0, 0)
        by_value: list[tuple[str, int]] = []
        by_time: list[tuple[int, int]] = []
        if column not in ("", "NULL"):
            by_value = connection.execute(
                f"""SELECT {column}, count(*) {events} AND {column} IS NOT NULL
                    GROUP BY 1 ORDER BY 2 DESC LIMIT {int(most)}""",
                given,
            ).fetchall()
        if bucket:
            by_time = connection.execute(
                f"SELECT time - time % {int(bucket)}, count(*) {events} GROUP BY 1",
                given,
            ).fetchall()
    except duckdb_().Error as error:
        raise ColumnsUnreadable(str(error)) from error
    return int(total), int(total - having), by_value, by_time


def count_rows(connection: DuckDBPyConnection, path: Path) -> int:
    """How many rows a Parquet file says that it has: only its footer is read. Raises ColumnsUnreadable."""
    try:
        found = connection.execute(f"SELECT num_rows FROM parquet_file_metadata({quoted(path)})")  # noqa: S608
        (count,) = found.fetchone() or (0,)
    except duckdb_().Error as error:
        raise ColumnsUnreadable(str(error)) from error
    return int(count)


def duckdb_() -> Any:
    """DuckDB itself."""
    # Loaded by the process that first reads or writes columns: a hunt through what is still in the
    # write-ahead needs none, and begins a third of a second earlier with 30 MB less.
    import duckdb  # noqa: PLC0415

    return duckdb


def quoted(path: Path) -> str:
    """A path as it stands in a statement."""
    return "'" + str(path).replace("'", "''") + "'"
