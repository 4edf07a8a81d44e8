"""Hunting: indicators that have just become live, in everything that is stored already.

The live matcher itself judges each event, so a hunt finds exactly what the stage would have found. Patterns
over time let go of the oldest events that they remember, and so are shown events in the order in which these
came; of all others the newest are looked at first, as an answer may have to end before its end.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

import structlog

from istmo.detect.eventstore.folder import Closed, EventFolder
from istmo.detect.eventstore.frames import FrameReader, Index
from istmo.detect.eventstore.lines import parse, place_of_id
from istmo.detect.eventstore.sealed_wal import DAMAGED
from istmo.detect.eventstore.times import event_micros
from istmo.detect.hits import indicator_hits
from istmo.detect.indicators import Matcher, Moment, anchor_terms, is_over_time
from istmo.detect.normalise import normalise
from istmo.detect.search.needles import ANYTHING, Needles
from istmo.detect.search.passing import Pass
from istmo.detect.search.stored import Unreadable
from istmo.detect.wire import Position, WireHit, WireIndicator

log = structlog.get_logger(__name__)

MOST_HITS = 1000
"""For one indicator: what an alert's timeline can use, the newest events."""


class Hunter:
    """One look through the store for a few indicators, each up to where it became live."""

    def __init__(
        self,
        folder: EventFolder,
        indicators: list[WireIndicator],
        upto: Mapping[str, Position],
        now: int,
        seconds: float,
    ) -> None:
        self._folder = folder
        self._upto = upto
        self._alone = _Sought([one for one in indicators if not is_over_time(one.plan)], now)
        self._in_time = _Sought([one for one in indicators if is_over_time(one.plan)], now)
        self._farthest = max(upto.values(), default=Position())
        self._end = time.monotonic() + seconds
        self._hits: dict[str, deque[WireHit]] = {}
        self.is_cut = False
        """Some indicator had more hits than are told, or the time was up."""
        self.unreadable = Unreadable()
        """What could not be looked at, once the hits are there."""

    def hits(self) -> list[WireHit]:
        """Every hit, in the order of event time."""
        for sought in (self._alone, self._in_time):
            if len(sought.matcher):
                self._look(sought)
        return sorted(
            (hit for some in self._hits.values() for hit in some), key=lambda hit: (hit.time, hit.event_id)
        )

    def memory(self) -> dict[str, list[list[Moment]]]:
        """What patterns over time remember of all that, by indicator: the stage goes on from there."""
        return self._in_time.matcher.moments()

    def _look(self, sought: _Sought) -> None:
        def may_hold(block: bytes) -> bool:
            return not self._is_late() and sought.needles.may_hold(block)

        def is_wanted(_: Closed, reader: FrameReader) -> bool:
            return self._is_wanted(reader.index)

        lines = Pass(self._folder, self._farthest, self.unreadable, may_hold=may_hold, is_wanted=is_wanted)
        is_in_time = sought is self._in_time
        for segment, some in lines.oldest_first() if is_in_time else lines.newest_first():
            if self._is_late():
                return
            self._judge(sought, segment, some)

    def _is_wanted(self, index: Index) -> bool:
        """Whether a closed segment is looked at."""
        return True

    def _is_late(self) -> bool:
        self.is_cut = self.is_cut or time.monotonic() > self._end
        return time.monotonic() > self._end

    def _judge(self, sought: _Sought, segment: int, lines: list[bytes]) -> None:
        for line in lines:
            if line == DAMAGED:
                self.unreadable.add(segment, "a damaged record")
            if sought.needles.may_hold(line):
                for hit in self._hits_of(sought, line, segment):
                    self._keep(hit, is_newer=sought is self._in_time)

    def _keep(self, hit: WireHit, *, is_newer: bool) -> None:
        """``is_newer``: than those of its indicator that are kept already."""
        kept = self._hits.setdefault(hit.subject, deque(maxlen=MOST_HITS))
        is_full = len(kept) == MOST_HITS
        self.is_cut = self.is_cut or is_full
        if is_newer or not is_full:
            kept.append(hit)

    def _hits_of(self, sought: _Sought, line: bytes, segment: int) -> Iterator[WireHit]:
        try:
            event = parse(line)
            data = event.data
            place = place_of_id(event.id)
        except ValueError as error:
            self.unreadable.add(segment, error)
            return
        try:
            normal = normalise(data)
            found = sought.matcher.match(normal.fields, event_micros(normal, event.received), event.id)
        except Exception as error:
            log.warning("event_not_hunted", place=f"{place.segment}-{place.line}", problem=repr(error))
            return
        for hit in indicator_hits(found, event, normal, is_stored=True):
            if place < self._upto.get(hit.subject, Position()):  # else the stage saw it, or will
                yield hit


class _Sought:
    """Some indicators, and what must stand in a line that one of them looks at."""

    def __init__(self, indicators: list[WireIndicator], now: int) -> None:
        self.matcher = Matcher(lambda: now)
        for one in indicators:
            with suppress(ValueError):  # the stage has told of it
                self.matcher.put(one.id, one.terms, one.until, one.plan)
        self.needles = Needles(needed(indicators))


def needed(indicators: Iterable[WireIndicator]) -> Iterator[tuple[str, str]]:
    """Values of which one is in every line that an indicator looks at."""
    for one in indicators:
        if one.plan is None:
            yield from one.terms
            continue
        try:
            anchors = anchor_terms(one.plan)
        except ValueError:
            continue
        yield from [ANYTHING] if anchors is None else anchors
