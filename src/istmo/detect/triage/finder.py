"""The one place where the way of finding matches is chosen: events or lines in, rules and evidence out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from istmo.detect.normalise import NormalEvent
from istmo.detect.normalise.windows import line_logsources
from istmo.detect.sigma import Rule, RuleSet
from istmo.detect.sigma.engine import Engine, PlanFolder, RawScan, can_scan_lines
from istmo.detect.triage.cache import kept_folder

Read = Callable[[int], NormalEvent | None]
"""The event of a line, by its place in the batch; None where it cannot be read."""


class FoundRule(NamedTuple):
    """A rule that an event of a batch matches, and the fields by which it does."""

    at: int
    """The place of the event in its batch."""
    event: NormalEvent
    rule: Rule
    matched: dict[str, Any]


class Finder:
    """Rules asked about batches of events. Not safe to share between threads."""

    def __init__(self, ruleset: RuleSet) -> None:
        folder = kept_folder()
        self._engine = Engine(ruleset, plans=None if folder is None else PlanFolder(folder))
        self._scan = RawScan(self._engine, self._read, line_logsources)
        self._places: dict[int, int] = {}
        self._read_place: Read = _none
        self.can_find_in_lines = can_scan_lines()
        """Whether that is quicker than parsing every line; not where there is no Hyperscan."""

    def find(self, events: Sequence[NormalEvent]) -> Iterator[FoundRule]:
        """Every match in the batch, events in their order, rules in the order of the set."""
        for at, rule in self._engine.find(events):
            yield self._found(at, events[at], rule)

    def find_in_lines(self, lines: Sequence[bytes], read: Read) -> Iterator[FoundRule]:
        """The same for lines of JSON without breaks in them, of which only those are read that may match."""
        self._places = {}
        start = 0
        for place, line in enumerate(lines):
            self._places[start] = place
            start += len(line) + 1
        self._read_place = read
        for found in self._scan.find(b"\n".join(lines)):
            assert isinstance(found.event, NormalEvent)
            yield self._found(self._places[found.start], found.event, found.rule)

    def _found(self, at: int, event: NormalEvent, rule: Rule) -> FoundRule:
        return FoundRule(at, event, rule, self._engine.explain(rule.id, event).matched)

    def _read(self, _line: bytes, start: int) -> NormalEvent | None:
        return self._read_place(self._places[start])


def _none(_place: int) -> None:
    return None
