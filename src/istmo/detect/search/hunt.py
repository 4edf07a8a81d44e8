"""Hunting: indicators that have just become live, in everything that is stored already.

The live matcher itself judges each event, so a hunt finds exactly what the stage would have found.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

import structlog

from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.frames import FrameReader
from istmo.detect.eventstore.lines import parse, place_of_id
from istmo.detect.eventstore.sealed_wal import DAMAGED
from istmo.detect.eventstore.sealing import SealedAway
from istmo.detect.eventstore.times import event_micros
from istmo.detect.hits import indicator_hits
from istmo.detect.indicators import Matcher, anchor_terms
from istmo.detect.normalise import normalise
from istmo.detect.search.needles import ANYTHING, Needles
from istmo.detect.search.stored import Unreadable, open_closed, read_ahead
from istmo.detect.wire import Position, WireHit, WireIndicator

log = structlog.get_logger(__name__)

MOST_HITS = 1000
"""For one indicator: what an alert's timeline can use. The newest events come first."""


class Hunter:
    """One pass over the store for a few indicators, each up to where it became live."""

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
        self._matcher = Matcher(lambda: now)
        for one in indicators:
            with suppress(ValueError):  # the stage has told of it
                self._matcher.put(one.id, one.terms, one.until, one.plan)
        self._needles = Needles(_needed(indicators))
        self._farthest = max(upto.values(), default=Position())
        self._end = time.monotonic() + seconds
        self._count: Counter[str] = Counter()
        self._hits: list[WireHit] = []
        self.is_cut = False
        """Some indicator had more hits than are told, or the time was up."""
        self.unreadable = Unreadable()
        """What could not be looked at, once the hits are there."""

    def hits(self) -> list[WireHit]:
        """Every hit, in the order of event time."""
        if len(self._matcher):
            self._look()
        self._hits.sort(key=lambda hit: (hit.time, hit.event_id))
        return self._hits

    def _look(self) -> None:
        waiting = [one for one in self._folder.wal_segments() if one <= self._farthest.segment]
        already = {segment for segment in reversed(waiting) if self._read_ahead(segment)}
        for closed, reader in open_closed(self._folder, self._farthest, self.unreadable):
            if closed.first not in already:
                self._closed(closed.first, reader)

    def _read_ahead(self, segment: int) -> bool:
        """Look at a segment's write-ahead file; False when it has been closed since it was listed."""
        try:
            for lines in read_ahead(self._folder, segment, self._farthest):
                if self._is_late():
                    break
                self._judge(segment, [line for _, line in lines])
        except FileNotFoundError:
            return False
        except (OSError, SealedAway) as error:
            self.unreadable.add(segment, error)
        return True

    def _closed(self, segment: int, reader: FrameReader) -> None:
        for number in range(len(reader.index.frames)):
            if self._is_late():
                return
            try:
                block = reader.block(number)
            except (ValueError, OSError) as error:
                self.unreadable.add(segment, error)
                continue
            if b"\0" in block and DAMAGED in block:  # the first alone is quick, and JSON has none
                self.unreadable.add(segment, f"frame {number}")
            if self._needles.may_hold(block):
                self._judge(segment, [line + b"\n" for line in block[:-1].split(b"\n")])

    def _is_late(self) -> bool:
        self.is_cut = self.is_cut or time.monotonic() > self._end
        return time.monotonic() > self._end

    def _judge(self, segment: int, lines: list[bytes]) -> None:
        for line in lines:
            if line == DAMAGED:
                self.unreadable.add(segment, "a damaged record")
            if self._needles.may_hold(line):
                self._hits.extend(self._hits_of(line, segment))

    def _hits_of(self, line: bytes, segment: int) -> Iterator[WireHit]:
        try:
            event = parse(line)
            data = event.data
            place = place_of_id(event.id)
        except ValueError as error:
            self.unreadable.add(segment, error)
            return
        try:
            normal = normalise(data)
            found = self._matcher.match(normal.fields, event_micros(normal, event.received), event.id)
        except Exception as error:
            log.warning("event_not_hunted", place=f"{place.segment}-{place.line}", problem=repr(error))
            return
        for hit in indicator_hits(found, event, normal, is_stored=True):
            if place >= self._upto.get(hit.subject, Position()):
                continue  # the stage saw it, or will
            if self._takes(hit):
                yield hit

    def _takes(self, hit: WireHit) -> bool:
        """Whether a hit is among those that are told."""
        self._count[hit.subject] += 1
        self.is_cut = self.is_cut or self._count[hit.subject] > MOST_HITS
        return self._count[hit.subject] <= MOST_HITS


def _needed(indicators: Iterable[WireIndicator]) -> Iterator[tuple[str, str]]:
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
