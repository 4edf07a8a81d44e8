"""What one look at the situation tells of the watch: alerts by time, techniques, what came in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from istmo.detect.attack import tactics_of, techniques_of
from istmo.detect.objects import Level
from istmo.detect.records import alert_counts
from istmo.detect.service.alerts import Alerts
from istmo.policy import Principal, owner_names


@dataclass(frozen=True)
class Technique:
    """A technique (``T1059.001``), how many alerts its rules raised, and what these rules say it is for."""

    name: str
    alerts: int
    tactics: tuple[str, ...]


@dataclass(frozen=True)
class Interval:
    """The alerts that arose in one step of time."""

    start: datetime
    levels: dict[Level, int]

    @property
    def count(self) -> int:
        """Of all levels."""
        return sum(self.levels.values())


class Overview(Alerts):
    """Counts that one look needs. Each counts only what the asker may read."""

    def alerts_by_time(self, principal: Principal, since: datetime, step: timedelta) -> list[Interval]:
        """Alerts by when they arose, in steps from ``since`` until now, empty ones included: NotAllowed."""
        reads, owners = self._reading(principal), owner_names(principal)
        with self._store.read() as connection:
            found = alert_counts.by_time(connection, since, step, reads=reads, owners=owners)
        first, last = (int(one.timestamp() // step.total_seconds()) for one in (since, self._clock.now()))
        return [
            Interval(
                datetime.fromtimestamp(at * step.total_seconds(), UTC),
                {level: found[at, level] for level in Level if (at, level) in found},
            )
            for at in range(first, last + 1)
        ]

    def alerts_since(self, principal: Principal, since: datetime) -> dict[Level, int]:
        """How many alerts arose since then, by level: NotAllowed."""
        reads = self._reading(principal)
        with self._store.read() as connection:
            return alert_counts.since(connection, since, reads=reads, owners=owner_names(principal))

    def techniques_since(self, principal: Principal, since: datetime, most: int) -> list[Technique]:
        """The techniques whose rules raised alerts since then, the most first: NotAllowed."""
        reads = self._reading(principal)
        with self._store.read() as connection:
            tagged = alert_counts.tags_since(connection, since, reads=reads, owners=owner_names(principal))
        counts: Counter[str] = Counter()
        named: dict[str, set[str]] = {}
        for tags, number in tagged:
            for name in techniques_of(tags):
                counts[name] += number
                named.setdefault(name, set()).update(tags)
        first = sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:most]
        return [Technique(name, number, tactics_of(named[name])) for name, number in first]
