"""``events``, the one table that a statement may read: what a search of the same moment would look at.

Closed segments are read by their columns: files that have the columns asked for are read as one table. What
is not closed yet is read by its lines, and so is what columns do not tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from istmo.detect.eventstore.columns import ColumnsUnreadable, column_name, connect, find_candidates, quoted
from istmo.detect.eventstore.disk import digest_of
from istmo.detect.eventstore.folder import Closed, EventFolder
from istmo.detect.eventstore.frames import FrameReader, Index
from istmo.detect.eventstore.lines import place_of
from istmo.detect.eventstore.sealing import PLAIN, SealedAway
from istmo.detect.search.sql.lines import EVENT, LineRows
from istmo.detect.search.sql.opened import OpenedColumns
from istmo.detect.search.sql.statement import TABLE, Statement
from istmo.detect.search.stored import Unreadable, line_at, open_closed, read_ahead
from istmo.detect.wire import Position
from istmo.errors import InvalidInput

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FIXED: Final = {
    "id": "segment || '-' || place",
    "time": "make_timestamp(time)",
    "received": "make_timestamp(received)",
    "source": "source",
    "host": "nullif(host, '')",
}
"""What every event has, by name, and how it is made of a segment's columns."""
MOST_COLUMNS: Final = 1000
MOST_LINE_BYTES: Final = 256 << 20
"""Of rows made of events that are read line by line."""
_LONGEST_NAME: Final = 200
_SHADOWED: Final = frozenset(
    (
        "user",
        "session_user",
        "current_user",
        "current_role",
        "current_catalog",
        "current_database",
        "current_schema",
    )
)
"""What DuckDB would say of itself where no event has a field of that name."""

_Columns = tuple[tuple[str, tuple[str, ...]], ...]
"""Names of fields in lower case, each with the columns in which it rests."""


class EventTable:
    """The table for one statement, over everything before ``upto``."""

    def __init__(
        self,
        folder: EventFolder,
        statement: Statement,
        upto: Position,
        *,
        start: int | None,
        end: int | None,
        check: Callable[[], None],
        without_columns: frozenset[Closed] = frozenset(),
    ) -> None:
        """``start`` (included), ``end`` (excluded): event time in µs. ``check`` raises when time is up.

        ``without_columns``: segments whose columns are known to be damaged.
        """
        self._folder, self._upto, self._check = folder, upto, check
        self._start, self._end = start, end
        self._names, self._is_all = statement.names - FIXED.keys(), statement.is_all
        self._is_description = statement.is_description
        self._without_columns = without_columns
        self._lines = LineRows(folder, self._names, is_all=self._is_all, most_bytes=MOST_LINE_BYTES)
        self._already: frozenset[int] = frozenset()
        """Segments that were looked at in their write-ahead form."""
        self.known: dict[str, str] = {}
        """Fields of all segments by their names in lower case, whether they were asked for or not."""
        self._groups: dict[_Columns, list[Path]] = {}
        self._told: dict[Closed, bytes] = {}
        self._opened = OpenedColumns(folder) if folder.keys else None
        self.unreadable = Unreadable()

    def gather(self) -> None:
        """Find out what there is, and read what has to be read line by line."""
        waiting = [one for one in self._folder.wal_segments() if one <= self._upto.segment]
        self._already = frozenset(one for one in reversed(waiting) if self._read_ahead(one))
        connection = connect(self._folder.segments)
        try:
            for closed, reader in open_closed(self._folder, self._upto, self.unreadable):
                self._check()
                self._meet(reader.index)
                if closed.generation or closed.first not in self._already:
                    self._closed(connection, closed, reader)
        finally:
            connection.close()
        for low, name in self._lines.fields.items():
            self.known.setdefault(low, name)
        self._bound_width()
        for low in _SHADOWED & self._names:
            self.known.setdefault(low, low)

    def put_into(self, connect_to: Callable[[list[Path]], DuckDBPyConnection]) -> DuckDBPyConnection:
        """A connection that has the table and sees its files alone."""
        files = [path for paths in self._groups.values() for path in paths]
        parts = [self._part(columns, paths) for columns, paths in self._groups.items()]
        if self._lines.count:
            path, columns = self._lines.finish()
            files.append(path)
            own = tuple((low, (column,)) for low, column in columns.items())
            parts.append(self._part(own, [path], is_by_lines=True))
        connection = connect_to(files)
        parts.append(self._nothing())
        connection.execute(f"CREATE VIEW {TABLE} AS {' UNION ALL '.join(parts)}")
        return connection

    def damaged(self) -> frozenset[Closed]:
        """Segments that were asked by their columns, and whose columns are not what was written."""
        return frozenset(one for one, digest in self._told.items() if not self._is_whole(one, digest))

    def close(self) -> None:
        """Let go of the files without names."""
        self._lines.close()
        if self._opened is not None:
            self._opened.close()

    def _is_whole(self, closed: Closed, digest: bytes) -> bool:
        self._check()
        with suppress(OSError):
            return digest_of(self._folder.columns_path(closed)) == digest
        return False

    def _meet(self, index: Index) -> None:
        for name in (*index.columns, *index.others):
            self.known.setdefault(name.lower(), name)
        self._bound_width()

    def _bound_width(self) -> None:
        """Before anything is read for it."""
        if self._is_all and not self._is_description and len(self.known) > MOST_COLUMNS:
            raise InvalidInput("detect.sql_too_wide", limit=MOST_COLUMNS)

    # --- closed segments -----------------------------------------------------------------------

    def _closed(self, connection: DuckDBPyConnection, closed: Closed, reader: FrameReader) -> None:
        index = reader.index
        if self._is_description:
            return
        if (self._start is not None and index.last < self._start) or (
            self._end is not None and index.first >= self._end
        ):
            return
        is_sealed = reader.key_id != PLAIN
        # The connection for odd ones sees files in the folder alone.
        if not self._tells_all(closed, index) or (index.odd and is_sealed):
            self._by_lines(closed.first, reader)
            return
        columns: dict[str, list[str]] = {}
        for name in index.columns:
            if self._is_all or name.lower() in self._names:
                columns.setdefault(name.lower(), []).append(column_name(name))
        path = self._folder.columns_path(closed)
        try:
            if is_sealed and self._opened is not None:
                wanted = None if self._is_all else sorted({one for some in columns.values() for one in some})
                path = self._opened.open(closed, wanted)
            elif index.odd:
                self._odd_ones(connection, path, closed.first, reader)
        except ColumnsUnreadable:
            self._by_lines(closed.first, reader)
            return
        key = tuple((low, tuple(sorted(columns[low]))) for low in sorted(columns))
        self._groups.setdefault(key, []).append(path)
        self._told[closed] = index.columns_digest

    def _tells_all(self, closed: Closed, index: Index) -> bool:
        if EVENT in self._names or closed in self._without_columns:
            return False
        if index.others and (self._is_all or any(name.lower() in self._names for name in index.others)):
            return False
        try:
            return self._folder.columns_path(closed).stat().st_size == index.columns_bytes
        except OSError:
            return False

    def _odd_ones(
        self, connection: DuckDBPyConnection, path: Path, segment: int, reader: FrameReader
    ) -> None:
        cache: dict[int, list[bytes]] = {}
        for portion in find_candidates(connection, path, "false", [], reader.index.lines):
            for _, line, frame in portion:
                self._check()
                try:
                    self._add(segment, line, line_at(reader, cache, frame, line))
                except (ValueError, OSError, IndexError) as error:
                    self.unreadable.add(segment, error)

    # --- lines ---------------------------------------------------------------------------------

    def _read_ahead(self, segment: int) -> bool:
        """Take a segment's write-ahead file; False when it has been closed since it was listed."""
        try:
            for lines in read_ahead(self._folder, segment, self._upto):
                for number, line in lines:
                    self._add(segment, number, line)
        except FileNotFoundError:
            return False
        except (OSError, SealedAway) as error:
            self.unreadable.add(segment, error)
        return True

    def _by_lines(self, segment: int, reader: FrameReader) -> None:
        for number, frame in enumerate(reader.index.frames):
            try:
                lines = reader.lines(number)
            except (ValueError, OSError) as error:
                self.unreadable.add(segment, error)
                continue
            for place, line in enumerate(lines):
                self._add(segment, frame.line + place, line)

    def _add(self, segment: int, number: int, line: bytes) -> None:
        self._check()
        if self._already:
            place = place_of(line)
            if place is not None and place.segment in self._already:
                return
        if not self._lines.add(line, self._start, self._end):
            self.unreadable.add(segment, f"line {number}")

    # --- SQL: every piece of it is ours, but for names, which are quoted -------------------------

    def _shown(self) -> Iterator[tuple[str, str]]:
        """Columns of the table that are fields: (name in lower case, name)."""
        if EVENT in self._names:
            yield EVENT, EVENT
        for low in sorted(self.known if self._is_all else self.known.keys() & self._names):
            name = self.known[low]
            if low not in FIXED and low != EVENT and 0 < len(name) <= _LONGEST_NAME and "\x00" not in name:
                yield low, name

    def _part(self, columns: _Columns, files: list[Path], *, is_by_lines: bool = False) -> str:
        known = dict(columns)
        chosen = [f'{made} AS "{name}"' for name, made in FIXED.items()]
        chosen += [f"{_value(known.get(low, ()))} AS {_named(name)}" for low, name in self._shown()]
        conditions = ["NOT odd"]
        if self._start is not None:
            conditions.append(f"time >= {int(self._start)}")
        if self._end is not None:
            conditions.append(f"time < {int(self._end)}")
        if self._already and not is_by_lines:
            conditions.append(f"segment NOT IN ({', '.join(str(int(one)) for one in sorted(self._already))})")
        where = " AND ".join(conditions)
        listed = ", ".join(map(quoted, files))
        return f"SELECT {', '.join(chosen)} FROM read_parquet([{listed}]) WHERE {where}"  # noqa: S608

    def _nothing(self) -> str:
        kinds = {"time": "TIMESTAMP", "received": "TIMESTAMP"}
        names = [(name, kinds.get(name, "VARCHAR")) for name in FIXED]
        chosen = [f'NULL::{kind} AS "{name}"' for name, kind in names]
        chosen += [f"NULL::VARCHAR AS {_named(name)}" for _, name in self._shown()]
        return f"SELECT {', '.join(chosen)} WHERE false"


def _value(columns: tuple[str, ...]) -> str:
    if not columns:
        return "NULL::VARCHAR"
    if len(columns) == 1:
        return columns[0]
    # Fields that differ by case alone are one to whoever asks: all their values.
    some = " OR ".join(f"{column} IS NOT NULL" for column in columns)
    return f"CASE WHEN {some} THEN concat_ws(chr(10), {', '.join(columns)}) END"


def _named(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
