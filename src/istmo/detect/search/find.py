"""Finding stored events, newest first: columns where they can tell, the lines where they cannot."""

from __future__ import annotations

import bisect
import time
from collections.abc import Iterator
from contextlib import closing
from operator import itemgetter
from typing import TYPE_CHECKING

import structlog

from istmo.detect.eventstore.columns import ColumnsUnreadable, connect, find_candidates
from istmo.detect.eventstore.folder import Closed, EventFolder
from istmo.detect.eventstore.frames import FrameReader
from istmo.detect.eventstore.lines import place_of
from istmo.detect.eventstore.sealed_columns import ColumnsToAsk
from istmo.detect.eventstore.sealed_wal import DAMAGED
from istmo.detect.eventstore.sealing import SealedAway
from istmo.detect.search.ahead import Ahead, Part
from istmo.detect.search.asking import Seen, question_of
from istmo.detect.search.narrowing import condition_of, line_filter_of, place_asked_for
from istmo.detect.search.query import Query
from istmo.detect.search.stored import Line, Unreadable, line_at, open_closed, open_one, see
from istmo.detect.wire import Position, WireRow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

log = structlog.get_logger(__name__)

_PORTION = 200
_PORTION_BYTES = 4 << 20
_TELL_SECONDS = 0.3
"""After so many a portion without rows says how far it is."""
MOST_BYTES = 128 << 20
"""Of all rows of one search: they wait in memory for those that are newer."""
_Key = tuple[int, int, int]


class OutOfTime(Exception):
    """The search had its seconds; what was found until then is good."""


class Newest:
    """The newest rows so far, at most ``limit``; gives away those that nothing newer can precede."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._keys: list[_Key] = []  # negated, so ascending is newest first
        self._rows: list[WireRow] = []
        self._given = self._bytes = 0
        self.cut_at = 0
        """How many are given where they would be more than memory is for; 0 where that did not happen."""

    @property
    def is_complete(self) -> bool:
        return self._given >= self._limit

    def wants(self, when: int) -> bool:
        """Whether an event of that time could still be among the newest."""
        return len(self._keys) < self._limit or -when <= self._keys[-1][0]

    def add(self, seen: Seen, segment: int, line: int) -> None:
        key = (-seen.time, -segment, -line)
        place = bisect.bisect(self._keys, key, lo=self._given)
        if place > self._given and self._keys[place - 1] == key:
            return  # found by its columns already, before they failed
        self._put(place, key, row_of(seen))

    def put(self, row: WireRow, place: Position) -> None:
        """A row that is made already; one of the same place is in once."""
        key = (-row.time, -place.segment, -place.line)
        at = bisect.bisect_left(self._keys, key, lo=self._given)
        if at == len(self._keys) or self._keys[at] != key:
            self._put(at, key, row)

    def _put(self, place: int, key: _Key, row: WireRow) -> None:
        self._keys.insert(place, key)
        self._rows.insert(place, row)
        self._bytes += len(row.raw)
        while len(self._keys) > self._limit or (self._bytes > MOST_BYTES and len(self._keys) > 1):
            if len(self._keys) <= self._limit:
                # The oldest go, and with them the room for any other that is as old.
                self._limit = self.cut_at = len(self._keys) - 1
            self._keys.pop()
            self._bytes -= len(self._rows.pop().raw)

    def give(self, newer_than: int | None) -> Iterator[list[WireRow]]:
        """Rows newer than a time (all of them: None) that were not given yet, in portions."""
        upto = len(self._keys)
        if newer_than is not None:
            upto = bisect.bisect_left(self._keys, (-newer_than, -(1 << 62), 0), lo=self._given)
        while self._given < upto:
            end, size = self._given, 0
            while end < min(upto, self._given + _PORTION) and (not size or size < _PORTION_BYTES):
                size += len(self._rows[end].raw)
                end += 1
            portion = self._rows[self._given : end]
            self._given = end
            yield portion


def row_of(seen: Seen) -> WireRow:
    """An event as it is told."""
    event = seen.event
    return WireRow(event.id, seen.time, event.received, event.source, seen.host, event.raw)


class Finder:
    """One search over everything before ``upto``."""

    def __init__(
        self,
        folder: EventFolder,
        query: Query,
        limit: int,
        upto: Position,
        seconds: float,
        after: Position | None = None,
    ) -> None:
        """``after``: look at the events of a stretch of the log alone, by the place of each."""
        self._folder = folder
        self._columns = ColumnsToAsk(folder)
        self._query = query
        self._asks = question_of(query)
        self._filter = line_filter_of(query)
        self._newest = Newest(limit)
        self._upto = upto
        self._after = after
        self._end = time.monotonic() + seconds
        self._place = place_asked_for(query)
        self._already: frozenset[int] = frozenset()
        """Segments that were looked at in their write-ahead form."""
        self.looked = 0
        """Events among which was looked so far, also where their columns or a text alone told enough."""
        self.of = 0
        """How many there are in the stretch of time, as far as segments tell; 0 while it is not known."""
        self.unreadable = Unreadable()
        """What could not be looked at, once the rows have ended."""

    @property
    def cut_at(self) -> int:
        """How many rows there are where more would not have fitted into memory; else 0."""
        return self._newest.cut_at

    def rows(self) -> Iterator[list[WireRow]]:
        """Rows, newest first; none now and then, while it goes on.

        Raises OutOfTime after the last rows when the time was up.
        """
        try:
            yield from self._all()
        except OutOfTime:
            yield from self._newest.give(None)
            raise

    def segments(self) -> Iterator[Closed | None]:
        """Look at everything, whatever is found: first at what is ahead of the closed segments, then at each.

        Raises OutOfTime.
        """
        with closing(self._open_ahead()) as ahead:
            for part in self._parts(ahead):
                for _ in self._look_ahead(ahead, part):
                    pass
        self.of = self.looked
        yield None
        connection = connect(self._folder.segments, files=self._columns.files)
        try:
            for _, closed in reversed(self._closed_by_time()):
                self._closed(connection, closed)
                yield closed
        finally:
            connection.close()
            self._columns.close()

    def _all(self) -> Iterator[list[WireRow]]:
        with closing(self._open_ahead()) as ahead:
            known: list[tuple[int, Part]] = []
            for part in self._parts(ahead):
                if part.latest is not None:
                    known.append((part.latest, part))
                    continue
                for _ in self._look_ahead(ahead, part):
                    yield []
            self.of = self.looked + sum(part.stretch.lines for _, part in known)
            yield from self._by_time(ahead, known)
        yield from self._newest.give(None)

    def _by_time(self, ahead: Ahead, known: list[tuple[int, Part]]) -> Iterator[list[WireRow]]:
        """Look at what says its times, the newest first, as far as it can still count."""
        waiting: list[tuple[int, Part | Closed]] = [*known, *self._closed_by_time()]
        waiting.sort(key=itemgetter(0))
        connection = connect(self._folder.segments, files=self._columns.files)
        told_at = time.monotonic()
        try:
            while waiting:
                last, some = waiting.pop()
                yield from self._newest.give(last)
                if time.monotonic() - told_at >= _TELL_SECONDS:
                    told_at = time.monotonic()
                    yield []
                if self._newest.is_complete or not self._newest.wants(last):
                    return
                if isinstance(some, Closed):
                    self._closed(connection, some)
                    continue
                for _ in self._look_ahead(ahead, some):
                    yield []
        finally:
            connection.close()
            self._columns.close()

    def _open_ahead(self) -> Ahead:
        first = self._after.segment if self._after is not None else 0
        return Ahead(self._folder, self._upto, self.unreadable, first)

    def _parts(self, ahead: Ahead) -> Iterator[Part]:
        """Those parts of what is not closed that the query's times meet."""
        for part in ahead.parts():
            self._already = frozenset(ahead.segments)
            if self._place is not None and not part.holds(self._place):
                continue
            if not part.is_outside(self._query.start, self._query.end):
                yield part

    def _look_ahead(self, ahead: Ahead, part: Part) -> Iterator[None]:
        """Look at some lines of what is not closed. Comes back now and then."""
        told_at = time.monotonic()
        try:
            for lines in ahead.read(part):
                self._check_time()
                self._judge(part.segment, lines, is_ahead=True)
                self.looked += len(lines)
                if time.monotonic() - told_at >= _TELL_SECONDS:
                    told_at = time.monotonic()
                    yield
        except (OSError, SealedAway) as error:
            self.unreadable.add(part.segment, error)

    def _closed_by_time(self) -> list[tuple[int, Closed]]:
        """(time of the newest event, segment) of closed segments that the query's times meet."""
        start, end = self._query.start, self._query.end
        found = []
        for closed, reader in open_closed(self._folder, self._upto, self.unreadable):
            self._check_time()
            index = reader.index
            is_outside = (start is not None and index.last < start) or (
                end is not None and index.first >= end
            )
            if self._place is not None and not closed.first <= self._place.segment <= closed.last:
                continue
            if self._after is not None and closed.last < self._after.segment:
                continue
            is_told = not closed.generation and closed.first in self._already
            if not is_told and not is_outside:
                found.append((index.last, closed))
                self.of += index.lines
        return sorted(found)

    def _closed(self, connection: DuckDBPyConnection, closed: Closed) -> None:
        reader = open_one(self._folder, closed, self.unreadable)
        if reader is None:
            return
        segment = closed.first
        self.looked += reader.index.lines
        try:
            with reader:
                if self._place is not None:
                    self._by_lines(segment, reader, reader.frame_at(self._place))
                    return
                if self._filter is not None:
                    self._by_lines(segment, reader)
                    return
                try:
                    self._by_columns(connection, closed, reader)
                except ColumnsUnreadable as error:
                    # The lines are the events; the columns only spare reading them.
                    log.error("event_columns_unreadable", segment=segment, problem=str(error))
                    self._by_lines(segment, reader)
        except (ValueError, OSError) as error:
            self.unreadable.add(segment, error)

    def _by_lines(self, segment: int, reader: FrameReader, only: int | None = None) -> None:
        """Look at every line, or at those of one frame."""
        for number, frame in enumerate(reader.index.frames):
            if only not in (None, number):
                continue
            self._check_time()
            try:
                if self._filter is not None:
                    block = reader.block(number)
                    if b"\0" in block and DAMAGED in block:  # the first alone is quick, and JSON has none
                        self.unreadable.add(segment, f"frame {number}")
                    lines = self._filter.lines_in(block)
                else:
                    lines = list(enumerate(reader.lines(number)))
            except (ValueError, OSError) as error:
                self.unreadable.add(segment, error)
                continue
            self._judge(segment, [(frame.line + place, line) for place, line in lines])

    def _by_columns(self, connection: DuckDBPyConnection, closed: Closed, reader: FrameReader) -> None:
        segment = closed.first
        index = reader.index
        condition, values = condition_of(self._query, index)
        cache: dict[int, list[bytes]] = {}
        damaged: set[int] = set()
        looked = 0
        has_odd = bool(index.odd) or not index.columns
        for portion in find_candidates(
            connection, self._columns.path_of(closed), condition, values, index.lines, has_odd=has_odd
        ):
            for when, line, frame in portion:
                if not self._newest.wants(when):
                    return
                if looked % 64 == 0:
                    self._check_time()
                looked += 1
                if frame in damaged:
                    continue
                try:
                    found = line_at(reader, cache, frame, line)
                except IndexError:
                    raise ColumnsUnreadable(f"no line {line} in frame {frame}") from None
                except (ValueError, OSError) as error:
                    self.unreadable.add(segment, error)
                    damaged.add(frame)
                    continue
                self._judge(segment, [(line, found)])

    def _judge(self, segment: int, lines: list[Line], *, is_ahead: bool = False) -> None:
        for number, line in lines:
            self._check_time()  # at each event: one may be a megabyte
            if self._filter is not None and line != DAMAGED and not self._filter.may_hold(line):
                continue
            if self._after is not None and not self._is_in_stretch(line, self._after):
                continue
            seen = see(line)
            if seen is None:
                self.unreadable.add(segment, f"line {number}")
            elif self._newest.wants(seen.time) and self._asks(seen) and (is_ahead or not self._is_told(line)):
                self._newest.add(seen, segment, number)

    def _is_in_stretch(self, line: bytes, after: Position) -> bool:
        """Whether a line stands in the stretch; one that does not tell its place is looked at."""
        place = place_of(line)
        return place is None or after <= place < self._upto

    def _is_told(self, line: bytes) -> bool:
        """Whether a line was looked at while its segment was still in the write-ahead."""
        place = place_of(line) if self._already else None
        return place is not None and place.segment in self._already

    def _check_time(self) -> None:
        if time.monotonic() > self._end:
            raise OutOfTime
