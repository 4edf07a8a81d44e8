"""What indicators that nobody watches for yet would have matched: counted, with a few examples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.frames import Index
from istmo.detect.search.hunt import Hunter
from istmo.detect.wire import PastExample, PastMatches, Position, WireHit, WireIndicator

MOST_EXAMPLES: Final = 3
MOST_HOSTS: Final = 10_000
"""Hosts of one indicator that are told apart; what comes after them is not counted as new."""
LONGEST_TOLD: Final = 200
"""Characters of a field in an example."""


@dataclass
class _Seen:
    """What one indicator came to so far."""

    count: int = 0
    hosts: set[str] = field(default_factory=set)
    first: int = 0
    last: int = 0
    examples: list[WireHit] = field(default_factory=list)

    def add(self, hit: WireHit) -> None:
        self.first = min(self.first, hit.time) if self.count else hit.time
        self.last = max(self.last, hit.time) if self.count else hit.time
        self.count += 1
        if hit.host and len(self.hosts) < MOST_HOSTS:
            self.hosts.add(hit.host.lower())
        self.examples.append(hit)
        self.examples.sort(key=lambda one: one.time, reverse=True)
        del self.examples[MOST_EXAMPLES:]

    def told(self, id: str) -> PastMatches:
        examples = [
            PastExample(
                one.event_id, one.time, one.host, {name: v[:LONGEST_TOLD] for name, v in one.fields.items()}
            )
            for one in self.examples
        ]
        return PastMatches(id, self.count, len(self.hosts), self.first, self.last, examples)


class PastFinder(Hunter):
    """One pass over what happened since ``start``, newest segments first, while there is time."""

    def __init__(
        self,
        folder: EventFolder,
        indicators: list[WireIndicator],
        upto: Position,
        start: int,
        now: int,
        seconds: float,
    ) -> None:
        super().__init__(folder, indicators, {one.id: upto for one in indicators}, now, seconds)
        self._start = start
        self._seen: dict[str, _Seen] = {}

    def matches(self) -> Iterable[PastMatches]:
        """What each indicator that was found would have matched."""
        self.hits()
        return [seen.told(id) for id, seen in self._seen.items()]

    def _is_wanted(self, index: Index) -> bool:
        return index.last >= self._start

    def _keep(self, hit: WireHit, *, is_newer: bool) -> None:
        # Counted is enough: nothing is kept but the examples.
        if hit.time >= self._start:
            self._seen.setdefault(hit.subject, _Seen()).add(hit)
