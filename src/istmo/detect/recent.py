"""What sources sent in the last minute and the last hour, as the worker told it.

It is kept in memory alone: after a restart of the node it says what came since then.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from istmo.clock import Clock
from istmo.detect.objects_source import Recent
from istmo.detect.wire import SourceCount

HOUR: Final = 3600.0
MINUTE: Final = 60.0
STEP: Final = 10.0
"""Seconds that are counted together."""
MOST_SOURCES: Final = 2_000


@dataclass
class _Step:
    begun: float
    accepted: int = 0
    unreadable: int = 0
    refused: int = 0


class RecentCounts:
    """Counts by source. Any thread may add or ask."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._began = clock.monotonic()
        self._by_source: dict[str, deque[_Step]] = {}

    def add(self, counts: Iterable[SourceCount]) -> None:
        """What sources sent just now."""
        now = self._clock.monotonic()
        with self._lock:
            for one in counts:
                if one.id not in self._by_source and len(self._by_source) >= MOST_SOURCES:
                    self._forget(now)
                    if len(self._by_source) >= MOST_SOURCES:
                        continue
                self._add(self._by_source.setdefault(one.id, deque()), one, now)

    @staticmethod
    def _add(steps: deque[_Step], one: SourceCount, now: float) -> None:
        if not steps or now - steps[-1].begun >= STEP:
            steps.append(_Step(now))
            while now - steps[0].begun > HOUR:
                steps.popleft()
        last = steps[-1]
        last.accepted += one.accepted
        last.unreadable += one.unreadable
        last.refused += one.refused

    def of(self, source: str) -> Recent:
        """The last minute's rate, and the last hour's counts."""
        now = self._clock.monotonic()
        with self._lock:
            steps = [one for one in self._by_source.get(source, ()) if now - one.begun <= HOUR]
            return Recent(
                self._rate(steps, now),
                sum(one.accepted for one in steps),
                sum(one.unreadable for one in steps),
                sum(one.refused for one in steps),
                _by_minute(steps, now),
            )

    def rate(self) -> float:
        """Events a second that all sources sent in the last minute."""
        now = self._clock.monotonic()
        with self._lock:
            return sum(self._rate(steps, now) for steps in self._by_source.values())

    def _rate(self, steps: Iterable[_Step], now: float) -> float:
        # Shorter than a minute only where the node is younger: then its own age is what there is.
        span = max(STEP, min(MINUTE, now - self._began))
        return sum(one.accepted * _within_minute(now - one.begun) for one in steps) / span

    def by_minute(self, minutes: int = 60) -> list[int]:
        """Events taken in from all sources, minute by minute, this one last. A step counts where it began."""
        now, counts = self._clock.monotonic(), [0] * minutes
        with self._lock:
            for steps in self._by_source.values():
                for one in steps:
                    ago = int((now - one.begun) // MINUTE)
                    if ago < minutes:
                        counts[-1 - ago] += one.accepted
        return counts

    def _forget(self, now: float) -> None:
        for id in [id for id, steps in self._by_source.items() if now - steps[-1].begun > HOUR]:
            del self._by_source[id]


def _by_minute(steps: list[_Step], now: float) -> tuple[int, ...]:
    counts = [0] * int(HOUR // MINUTE)
    for one in steps:
        counts[-1 - min(len(counts) - 1, int((now - one.begun) // MINUTE))] += one.accepted
    return tuple(counts) if any(counts) else ()


def _within_minute(age: float) -> float:
    """How much of a step lies within the last minute, where it began so long ago."""
    return min(1.0, max(0.0, (MINUTE + STEP - age) / STEP))
