"""How late events come: of each source a few are looked at, among all that are read anyway."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from statistics import median
from typing import Final

from istmo.clock import Clock
from istmo.detect.eventstore.lines import StoredEvent
from istmo.detect.eventstore.times import to_micros
from istmo.detect.normalise import NormalEvent
from istmo.detect.wire import Lags

_REMEMBERED: Final = 31
"""Events by source whose median is told: one with a wrong clock does not speak for all."""
_SEEN_SECONDS: Final = 1.0
"""A source is looked at so often: reading a time costs as much as asking all rules."""
_TRIES: Final = 8
"""Of a source's events, how many are then looked at for one that tells its time."""
_EVERY_SECONDS: Final = 10.0
_MOST_SOURCES: Final = 2_000


class LagSample:
    """The lags of the newest events of each source. One thread adds, another one takes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._newest: dict[str, deque[int]] = {}
        self._changed: set[str] = set()
        self._due: dict[str, float] = {}
        """When a source is looked at again. For the thread that adds alone."""
        self._told_at = clock.monotonic() - _EVERY_SECONDS

    def see(self, events: Sequence[tuple[StoredEvent, NormalEvent]]) -> None:
        """Take of each source the last event that says when it happened.

        A time without a zone counts as it is read: what is then hours off shows that a zone is wanted.
        """
        now = self._clock.monotonic()
        left: dict[str, int] = {}
        found: dict[str, int] = {}
        for event, normal in reversed(events):
            source = event.source
            tries = left.get(source)
            if tries is None:
                tries = _TRIES if now >= self._due.get(source, now) else 0
            left[source] = max(0, tries - 1)
            if not tries or normal.time is None:
                continue
            left[source] = 0
            found[source] = event.received - to_micros(normal.time)
        for source in left:
            if now >= self._due.get(source, now) and (source in self._due or len(self._due) < _MOST_SOURCES):
                self._due[source] = now + _SEEN_SECONDS
        with self._lock:
            for source, lag in found.items():
                if source in self._newest or len(self._newest) < _MOST_SOURCES:
                    self._newest.setdefault(source, deque(maxlen=_REMEMBERED)).append(lag)
                    self._changed.add(source)

    def take(self) -> Lags | None:
        """What has changed, not more often than every ten seconds."""
        now = self._clock.monotonic()
        with self._lock:
            if not self._changed or now - self._told_at < _EVERY_SECONDS:
                return None
            self._told_at = now
            told = {source: round(median(self._newest[source])) for source in sorted(self._changed)}
            self._changed.clear()
        return Lags(told)
