"""Hunting by Sigma rules: a rule set asked about everything that is stored, at the engine's full speed.

Lines are looked at as they rest, and only those are parsed that a rule may match. What is found is told and
no more: a hunt raises no alert. Correlations are not evaluated here, and their silent parts are not told.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import structlog

from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.frames import FrameReader
from istmo.detect.eventstore.lines import StoredEvent, parse, place_of
from istmo.detect.eventstore.sealing import SealedAway
from istmo.detect.eventstore.times import event_micros
from istmo.detect.hits import LONGEST_RAW
from istmo.detect.normalise import NormalEvent, normalise
from istmo.detect.normalise.windows import line_logsources
from istmo.detect.search.stored import Unreadable, open_closed, read_ahead
from istmo.detect.sigma import Rule, RuleSet
from istmo.detect.sigma.engine import BLOCK, Engine, PlanFolder, RawScan
from istmo.detect.wire import Position, RuleFound, RuleMatch

log = structlog.get_logger(__name__)

MOST_BYTES: Final = 64 << 20
"""Of the events that matches bring along, all together."""
PORTION_BYTES: Final = 4 << 20
"""Those of the matches that are told at once, about."""
EXAMPLES: Final = 10
"""Events of one rule that its sum names, the first that were met."""
_TELL_SECONDS: Final = 1.0
_MARK: Final = b',"event":'


class RuleHunter:
    """One pass over the store for a rule set, newest segments first."""

    def __init__(
        self,
        folder: EventFolder,
        ruleset: RuleSet,
        upto: Position,
        seconds: float,
        *,
        start: int | None = None,
        end: int | None = None,
        limit: int = 1000,
        plans: PlanFolder | None = None,
        after: Position | None = None,
        with_events: bool = False,
    ) -> None:
        """``start`` (included), ``end`` (excluded): event time in µs. ``limit``: matches told one by one.

        ``after``: look at what stands in the log from this place on. ``with_events``: matches bring them.
        """
        self._folder = folder
        self._scan = RawScan(Engine(ruleset, plans=plans), self._read, line_logsources)
        self._silent = ruleset.silent
        self._rules = {rule.id: rule for rule in ruleset.rules}
        self._upto = upto
        self._after = after or Position()
        self._with_events = with_events
        self._start, self._end_time, self._limit = start, end, limit
        self._end = time.monotonic() + seconds
        self._lines: dict[int, bytes] = {}
        """Stored lines of the block in work, by where their events begin in it."""
        self._segment = 0
        self._told = self._told_bytes = 0
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}
        self._events: dict[int, StoredEvent] = {}
        self.looked = 0
        """Events that were looked at."""
        self.is_cut = False
        """The time was up."""
        self.unreadable = Unreadable()

    def matches(self) -> Iterator[list[RuleMatch]]:
        """Matches as they are found, also none of them now and then; after them ``found`` has all counts."""
        told_at = time.monotonic()
        for block in self._blocks():
            some = self._judge(block)
            if some or time.monotonic() - told_at >= _TELL_SECONDS:
                told_at = time.monotonic()
                yield from _told_at_once(some)
            if time.monotonic() > self._end:
                self.is_cut = True
                return

    def found(self) -> list[RuleFound]:
        """Each rule that matched something: how often, and in which events at first. Frequent ones first."""
        return [
            RuleFound(id_, self._rules[id_].title, self._rules[id_].level, count, self._examples[id_])
            for id_, count in sorted(self._counts.items(), key=lambda one: (-one[1], one[0]))
        ]

    def _blocks(self) -> Iterator[list[bytes]]:
        """Stored lines, so many as the engine likes to have at a time."""
        first, last = self._after.segment, self._upto.segment
        waiting = [one for one in self._folder.wal_segments() if first <= one <= last]
        already: set[int] = set()
        for segment in reversed(waiting):
            self._segment = segment
            try:
                for lines in read_ahead(self._folder, segment, self._upto):
                    already.add(segment)
                    yield from _portions(line for _, line in lines)
                already.add(segment)
            except FileNotFoundError:
                continue
            except (OSError, SealedAway) as error:
                already.add(segment)
                self.unreadable.add(segment, error)
        for closed, reader in open_closed(self._folder, self._upto, self.unreadable):
            index = reader.index
            is_outside = (self._start is not None and index.last < self._start) or (
                self._end_time is not None and index.first >= self._end_time
            )
            is_outside = is_outside or closed.last < first
            if is_outside or (not closed.generation and closed.first in already):
                continue
            self._segment = closed.first
            for stored in self._frames(reader):
                # Merged segments hold several: those that were read ahead are not told twice.
                is_mixed = bool(already) and bool(closed.generation)
                yield [one for one in stored if _segment_of(one) not in already] if is_mixed else stored

    def _frames(self, reader: FrameReader) -> Iterator[list[bytes]]:
        for number in range(len(reader.index.frames)):
            try:
                block = reader.block(number)
            except (ValueError, OSError) as error:
                self.unreadable.add(self._segment, error)
                continue
            yield block[:-1].split(b"\n")

    def _judge(self, lines: list[bytes]) -> list[RuleMatch]:
        events: list[bytes] = []
        self._lines, self._events = {}, {}
        start = 0
        for line in lines:
            line = line.removesuffix(b"\n")
            at = line.find(_MARK)  # a source's name is JSON: no bare quote of it comes before
            if at < 0 or not line.endswith(b"}"):
                self.unreadable.add(self._segment, "a damaged line")
                continue
            raw = line[at + len(_MARK) : -1]
            self._lines[start] = line
            events.append(raw)
            start += len(raw) + 1
        self.looked += len(events)
        told: list[RuleMatch] = []
        for found in self._scan.find(b"\n".join(events)) if events else ():
            rule, stored = found.rule, self._events[found.start]
            if rule.id in self._silent:
                continue
            assert isinstance(found.event, NormalEvent)
            when = event_micros(found.event, stored.received)
            if not self._is_wanted(when):
                continue
            self._counts[rule.id] += 1
            examples = self._examples.setdefault(rule.id, [])
            if len(examples) < EXAMPLES:
                examples.append(stored.id)
            if self._told < self._limit and self._told_bytes < MOST_BYTES:
                self._told += 1
                told.append(self._match(rule, stored, when, found.event.host[:256]))
        return told

    def _match(self, rule: Rule, stored: StoredEvent, when: int, host: str) -> RuleMatch:
        if not self._with_events:
            return RuleMatch(rule.id, rule.title, rule.level, stored.id, when, host)
        event = (stored.received, stored.source, stored.raw[:LONGEST_RAW])
        self._told_bytes += len(event[2])
        return RuleMatch(rule.id, rule.title, rule.level, stored.id, when, host, *event)

    def _is_wanted(self, when: int) -> bool:
        return (self._start is None or when >= self._start) and (
            self._end_time is None or when < self._end_time
        )

    def _read(self, _line: bytes, start: int) -> NormalEvent | None:
        """One event that some rule may match; None where it cannot be read, or came at another time."""
        try:
            stored = parse(self._lines[start] + b"\n")
            if not self._after <= _place(self._lines[start]) < self._upto:
                return None
            data = stored.data
        except ValueError as error:
            self.unreadable.add(self._segment, error)
            return None
        self._events[start] = stored
        try:
            return normalise(data, stored.raw)
        except Exception:
            log.exception("event_not_hunted", place=stored.id)
            return None


def _told_at_once(some: list[RuleMatch]) -> Iterator[list[RuleMatch]]:
    """Matches as they fit into one message each; one empty list where there are none."""
    held: list[RuleMatch] = []
    size = 0
    for one in some:
        if size >= PORTION_BYTES:
            yield held
            held, size = [], 0
        held.append(one)
        size += len(one.raw)
    yield held


def _place(line: bytes) -> Position:
    """A stored line's place in the log; the first of all where it cannot be read."""
    return place_of(line) or Position()


def _segment_of(line: bytes) -> int:
    return _place(line).segment


def _portions(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    held: list[bytes] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= BLOCK:
            yield held
            held, size = [], 0
    if held:
        yield held
