"""Stored events that make a STIX pattern true: the live matcher judges each, as if it had just come in.

Of a pattern over time every event that takes part is told, with the fields by which it does. Such a pattern
remembers events within the bounds of the live one; where that was not enough, ``is_forgetful`` says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

import msgspec

from istmo.detect.eventstore.folder import Closed, EventFolder
from istmo.detect.eventstore.frames import FrameReader
from istmo.detect.eventstore.lines import place_of_id
from istmo.detect.eventstore.sealed_wal import DAMAGED
from istmo.detect.indicators import Hit, Matcher
from istmo.detect.search.asking import Seen, question_of
from istmo.detect.search.find import Newest, OutOfTime, row_of
from istmo.detect.search.hunt import needed
from istmo.detect.search.needles import Needles
from istmo.detect.search.passing import Pass
from istmo.detect.search.query import Query
from istmo.detect.search.stored import Unreadable, see
from istmo.detect.wire import Position, WireIndicator, WireRow

MOST_HELD: Final = 64 << 20
"""Bytes of events that a pattern remembers and that may have to be told."""
_SPARE: Final = 256


class PatternFinder:
    """One search for what makes a pattern true, among the events that answer a query, before ``upto``."""

    def __init__(
        self,
        folder: EventFolder,
        pattern: WireIndicator,
        query: Query,
        limit: int,
        upto: Position,
        seconds: float,
        *,
        after: Position | None = None,
        before: int | None = None,
    ) -> None:
        """``after``: events of a stretch of the log alone are told. ``before``: a pattern over time may begin
        with events ahead of it, which happened from then on (µs). Raises ValueError where the pattern
        cannot be served."""
        self._folder, self._query, self._upto = folder, query, upto
        self._after = after or Position()
        self._before = before
        self._matcher = Matcher(lambda: 0)
        self._matcher.put(pattern.id, pattern.terms, None, pattern.plan)
        self._in_time = next((watch.tracker for _, watch in self._matcher.watches.in_time()), None)
        self._needles = Needles(needed([pattern]))
        self._asks = question_of(query)
        self._asks_before = question_of(Query(query.node, before, None))
        self._newest = Newest(limit)
        self._held: dict[str, WireRow] = {}
        """Events that a pattern over time remembers, by id, the oldest first."""
        self._held_bytes = 0
        self._end = time.monotonic() + seconds
        self._is_forgetful = False
        self.looked = self.of = 0
        """As a ``Finder`` tells how far it is; a pattern's search does not, and tells nothing."""
        self.unreadable = Unreadable()
        """What could not be looked at, once the rows have ended."""

    @property
    def cut_at(self) -> int:
        """How many rows there are where more would not have fitted into memory; else 0."""
        return self._newest.cut_at

    @property
    def is_forgetful(self) -> bool:
        """Whether there were more events that may belong together than can be remembered or tried."""
        return self._is_forgetful or (self._in_time is not None and self._in_time.given_up > 0)

    def rows(self) -> Iterator[list[WireRow]]:
        """Rows, newest first. Raises OutOfTime after the last rows when the time was up."""
        try:
            self._look()
        except OutOfTime:
            yield from self._newest.give(None)
            raise
        yield from self._newest.give(None)

    def _look(self) -> None:
        # What is remembered of the log ahead of the stretch is looked at as well.
        is_all = self._in_time is not None and self._before is not None
        lines = Pass(
            self._folder,
            self._upto,
            self.unreadable,
            may_hold=self._may_hold,
            is_wanted=self._is_wanted,
            first=0 if is_all else self._after.segment,
        )
        for segment, some in lines.newest_first() if self._in_time is None else lines.oldest_first():
            for line in some:
                self._judge(segment, line)

    def _may_hold(self, block: bytes) -> bool:
        self._check_time()
        return self._needles.may_hold(block)

    def _is_wanted(self, closed: Closed, reader: FrameReader) -> bool:
        """Whether something in a closed segment may be told, or remembered."""
        self._check_time()
        index = reader.index
        if closed.last < self._after.segment:
            return self._before is not None and index.last >= self._before
        start, end = self._query.start, self._query.end
        is_outside = (start is not None and index.last < start) or (end is not None and index.first >= end)
        return not is_outside and (self._in_time is not None or self._newest.wants(index.last))

    def _judge(self, segment: int, line: bytes) -> None:
        self._check_time()
        if line == DAMAGED:
            self.unreadable.add(segment, "a damaged record")
            return
        if not self._needles.may_hold(line):
            return
        seen = see(line)
        if seen is None:
            self.unreadable.add(segment, "a damaged line")
            return
        place = place_of_id(seen.event.id)
        if seen.normal is None or place >= self._upto:
            return
        if place < self._after:
            if self._in_time is not None and self._before is not None and self._asks_before(seen):
                self._match(seen, seen.event.id)
            return
        if self._in_time is None and not self._newest.wants(seen.time):
            return
        if self._asks(seen) and (found := self._match(seen, seen.event.id)):
            self._tell(seen, place, {hit.field: hit.value for hit in found})

    def _match(self, seen: Seen, id: str) -> list[Hit]:
        assert seen.normal is not None
        fed = self._matcher.watches.fed
        found = self._matcher.match(seen.normal.fields, seen.time, id)
        if self._matcher.watches.fed != fed:
            self._hold(row_of(seen))
        return found

    def _tell(self, seen: Seen, place: Position, fields: dict[str, str]) -> None:
        self._newest.put(msgspec.structs.replace(row_of(seen), fields=fields), place)
        for moment in self._in_time.found if self._in_time is not None else ():
            at = place_of_id(moment.event)
            if moment.event == seen.event.id or at < self._after:
                continue
            row = self._held.get(moment.event)
            if row is None:
                self._is_forgetful = True
            else:
                self._newest.put(msgspec.structs.replace(row, fields=dict(moment.told)), at)

    def _hold(self, row: WireRow) -> None:
        """Keep an event for as long as the pattern remembers it, and there is room."""
        assert self._in_time is not None
        self._held[row.event_id] = row
        self._held_bytes += len(row.raw)
        if len(self._held) > 2 * len(self._in_time) + _SPARE or self._held_bytes > MOST_HELD:
            kept = {one.event for some in self._in_time.kept for one in some}
            self._held = {id: one for id, one in self._held.items() if id in kept}
            self._held_bytes = sum(len(one.raw) for one in self._held.values())
        while self._held_bytes > MOST_HELD and len(self._held) > 1:
            self._held_bytes -= len(self._held.pop(next(iter(self._held))).raw)

    def _check_time(self) -> None:
        if time.monotonic() > self._end:
            raise OutOfTime
