"""Counting stored events: how many answer a query, by the values of a field, and over time.

Where a segment's columns tell the whole truth about a query (``exactly``), they are asked; everywhere else
each event that may be meant is read. Both count the same.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from istmo.detect.eventstore.columns import count_by
from istmo.detect.eventstore.folder import Closed, EventFolder
from istmo.detect.eventstore.frames import FrameReader
from istmo.detect.search.asking import Seen
from istmo.detect.search.exactly import column_of, exact_condition
from istmo.detect.search.find import Finder, OutOfTime
from istmo.detect.search.query import Query
from istmo.detect.wire import Position, Tally, WireRow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MOST_VALUES: Final = 100_000
"""Values that are told apart while counting; what comes after them is counted together."""
MOST_BUCKETS: Final = 10_000
_TELL_SECONDS: Final = 0.5


class Counts:
    """What was counted so far. Values in lower case, since case matters nowhere."""

    def __init__(self, by: str, top: int, bucket: int) -> None:
        self.by, self._top, self._bucket = by.lower(), top, bucket
        self.total = 0
        self.missing = 0
        """Events that have no such field."""
        self._looked_at: tuple[int, set[int]] = (0, set())
        """Lines of one segment that were read: what its columns found before they failed counts once."""
        self._values: Counter[str] = Counter()
        self._rest = 0
        self._buckets: Counter[int] = Counter()

    @property
    def bucket(self) -> int:
        """Microseconds of one stretch of time; 0 where time is not asked for."""
        return self._bucket

    def wants(self, when: int) -> bool:
        """Every event counts."""
        return True

    def add(self, seen: Seen, segment: int, line: int) -> None:
        """Count one event that the query means."""
        if self._looked_at[0] != segment:
            self._looked_at = segment, set()
        if line in self._looked_at[1]:
            return
        self._looked_at[1].add(line)
        self.add_many(1, set(seen.texts(self.by)) if self.by else (), seen.time)

    def add_many(self, count: int, texts: set[str] | tuple[str, ...], when: int) -> None:
        """Count so many events alike."""
        self.total += count
        if self._bucket:
            self.add_bucket(when - when % self._bucket, count)
        if self.by and not texts:
            self.missing += count
        for text in texts:
            self.add_value(text, count)

    def add_value(self, text: str, count: int) -> None:
        """Count a value."""
        if text in self._values or len(self._values) < MOST_VALUES:
            self._values[text] += count
        else:
            self._rest += count

    def add_rest(self, count: int) -> None:
        """Count events whose values are too many to be told apart."""
        self._rest += count

    def add_bucket(self, start: int, count: int) -> None:
        """Count a stretch of time."""
        if start in self._buckets or len(self._buckets) < MOST_BUCKETS:
            self._buckets[start] += count

    def told(self) -> Tally:
        """What there is to tell now."""
        top = sorted(self._values.items(), key=lambda one: (-one[1], one[0]))[: self._top]
        rest = self._values.total() - sum(count for _, count in top) + self._rest
        return Tally(0, False, self.total, top, rest, self.missing, sorted(self._buckets.items()))


class CountingFinder(Finder):
    """A look at everything that answers a query, to count it."""

    def __init__(
        self, folder: EventFolder, query: Query, counts: Counts, upto: Position, seconds: float
    ) -> None:
        super().__init__(folder, query, 1, upto, seconds)
        self._counts = counts
        self._newest = counts  # type: ignore[assignment]  # what is found goes there

    def tallies(self) -> Iterator[Tally]:
        """What was counted, now and then while it goes on. Raises OutOfTime after the last one."""
        told_at = time.monotonic()
        try:
            for _ in self.segments():
                if time.monotonic() - told_at >= _TELL_SECONDS:
                    told_at = time.monotonic()
                    yield self._counts.told()
        except OutOfTime:
            yield self._counts.told()
            raise
        yield self._counts.told()

    def rows(self) -> Iterator[list[WireRow]]:
        """There are none: events are counted."""
        raise TypeError("events are counted, not given")

    def _by_columns(self, connection: DuckDBPyConnection, closed: Closed, reader: FrameReader) -> None:
        index = reader.index
        exact = exact_condition(self._query, index)
        column = column_of(self._counts.by, index) if self._counts.by else ""
        if exact is None or column is None:
            super()._by_columns(connection, closed, reader)
            return
        self._check_time()
        condition, values = exact
        path = self._columns.path_of(closed)
        total, missing, by_value, by_time = count_by(
            connection, path, condition, values, column, self._counts.bucket, MOST_VALUES + 1
        )
        counts = self._counts
        counts.total += total
        for start, count in by_time:
            counts.add_bucket(start, count)
        if counts.by:
            found = 0
            for text, count in by_value:
                counts.add_value(text.lower(), count)
                found += count
            counts.missing += missing
            counts.add_rest(total - missing - found)
