"""The window of one group: which events lie within the timespan, and whether the condition holds.

Events come in the order of time. ``expire`` forgets what lies before the window, ``judge`` tells the
number that the condition is held against, or None where it does not hold. What can no longer make a
difference is forgotten at once: a flood of logons fills no memory.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from istmo.detect.sigma.correlating.matches import Reference
from istmo.detect.sigma.correlating.values import SCALE, Key, unscaled
from istmo.detect.sigma.correlations import LOWER, Bound, Correlation


class Contributor(NamedTuple):
    """An event in a window."""

    time: int
    since: int
    """The same; for a match of a correlation below, when what contributes to it began."""
    references: tuple[Reference, ...]
    """One; more for a match of a correlation below."""
    carried: tuple[dict[str, Any], ...] | None
    """Its fields that correlations above this one will ask for."""


class Counted(NamedTuple):
    """An event with what of it is counted."""

    by: Contributor
    rule: int
    """Position in the correlation's ``rules``."""
    values: Sequence[Any]
    """Texts folded, one a field, or numbers in billionths."""


class Window:
    """Common to all: not a window of its own."""

    __slots__ = ("bounds", "keep")

    def __init__(self, correlation: Correlation, contributors: int, most: int) -> None:
        self.bounds: tuple[Bound, ...] = correlation.bounds
        self.keep = most
        """Events beyond this can make no difference, or find no room."""
        if all(bound.operator in LOWER for bound in self.bounds) and self.bounds:
            needed = max(math.floor(bound.value) + 1 for bound in self.bounds)
            self.keep = min(most, max(needed, contributors))

    def held(self, number: float) -> float | None:
        for bound in self.bounds:
            if not bound.holds(number):
                return None
        return number


class EventCount(Window):
    """``event_count``."""

    __slots__ = ("events",)

    def __init__(self, correlation: Correlation, contributors: int, most: int) -> None:
        super().__init__(correlation, contributors, most)
        self.events: deque[Contributor] = deque()

    def __len__(self) -> int:
        return len(self.events)

    def add(self, one: Counted) -> None:
        self.events.append(one.by)

    def expire(self, before: int) -> None:
        events = self.events
        while events and events[0].time < before:
            events.popleft()

    def judge(self) -> float | None:
        return self.held(len(self.events))

    def trim(self) -> int:
        over = max(0, len(self.events) - self.keep)
        for _ in range(over):
            self.events.popleft()
        return over

    def contributors(self) -> Iterator[Contributor]:
        """Newest first."""
        return iter(reversed(self.events))

    def dump(self) -> Any:
        return list(self.events)

    def load(self, dumped: Any) -> None:
        self.events.extend(contributor(one) for one in dumped)


class ValueCount(Window):
    """``value_count``: the newest event of each distinct value."""

    __slots__ = ("latest",)

    def __init__(self, correlation: Correlation, contributors: int, most: int) -> None:
        super().__init__(correlation, contributors, most)
        self.latest: dict[Key, Contributor] = {}

    def __len__(self) -> int:
        return len(self.latest)

    def add(self, one: Counted) -> None:
        for value in one.values:
            self.latest.pop(value, None)
            self.latest[value] = one.by

    def expire(self, before: int) -> None:
        latest = self.latest
        while latest:
            value = next(iter(latest))
            if latest[value].time >= before:
                return
            del latest[value]

    def judge(self) -> float | None:
        return self.held(len(self.latest))

    def trim(self) -> int:
        over = max(0, len(self.latest) - self.keep)
        for _ in range(over):
            del self.latest[next(iter(self.latest))]
        return over

    def contributors(self) -> Iterator[Contributor]:
        return once(reversed(self.latest.values()))

    def dump(self) -> Any:
        return list(self.latest.items())

    def load(self, dumped: Any) -> None:
        self.latest.update((tuple(value), contributor(one)) for value, one in dumped)


class Numbers(Window):
    """``value_sum``, ``value_avg``, and ``value_percentile`` with a ``percentile``."""

    __slots__ = ("events", "percentile", "sorted", "total", "type")

    def __init__(self, correlation: Correlation, contributors: int, most: int) -> None:
        super().__init__(correlation, contributors, most)
        self.keep = most
        self.type = correlation.type
        self.percentile = correlation.percentile
        self.events: deque[tuple[Contributor, int]] = deque()
        self.total = 0
        self.sorted: list[int] = []

    def __len__(self) -> int:
        return len(self.events)

    def add(self, one: Counted) -> None:
        for number in one.values:
            self._append(one.by, number)

    def _append(self, by: Contributor, number: int) -> None:
        self.events.append((by, number))
        self.total += number
        if self.percentile is not None:
            insort(self.sorted, number)

    def _remove(self) -> None:
        _, number = self.events.popleft()
        self.total -= number
        if self.percentile is not None:
            del self.sorted[bisect_left(self.sorted, number)]

    def expire(self, before: int) -> None:
        while self.events and self.events[0][0].time < before:
            self._remove()

    def judge(self) -> float | None:
        if not self.events:
            return None
        if self.percentile is not None:
            rank = max(1, math.ceil(self.percentile * len(self.sorted) / 100))
            return self.held(unscaled(self.sorted[rank - 1]))
        if self.type == "value_sum":
            return self.held(unscaled(self.total))
        return self.held(average(self.total, len(self.events)))

    def trim(self) -> int:
        over = max(0, len(self.events) - self.keep)
        for _ in range(over):
            self._remove()
        return over

    def contributors(self) -> Iterator[Contributor]:
        return once(by for by, _ in reversed(self.events))

    def dump(self) -> Any:
        return list(self.events)

    def load(self, dumped: Any) -> None:
        for one, number in dumped:
            self._append(contributor(one), number)


class Share(Window):
    """``value_percentile`` without a ``percentile``: how many in a hundred values are the newest one."""

    __slots__ = ("counts", "events")

    def __init__(self, correlation: Correlation, contributors: int, most: int) -> None:
        super().__init__(correlation, contributors, most)
        self.keep = most
        self.events: deque[tuple[Contributor, Key]] = deque()
        self.counts: dict[Key, int] = {}

    def __len__(self) -> int:
        return len(self.events)

    def add(self, one: Counted) -> None:
        for value in one.values:
            self._append(one.by, value)

    def _append(self, by: Contributor, value: Key) -> None:
        self.events.append((by, value))
        self.counts[value] = self.counts.get(value, 0) + 1

    def _remove(self) -> None:
        _, value = self.events.popleft()
        self.counts[value] -= 1
        if not self.counts[value]:
            del self.counts[value]

    def expire(self, before: int) -> None:
        while self.events and self.events[0][0].time < before:
            self._remove()

    def _newest(self) -> Iterator[tuple[Contributor, Key]]:
        """The events of the newest instant, newest first."""
        for event in reversed(self.events):
            if event[0].time != self.events[-1][0].time:
                return
            yield event

    def judge(self) -> float | None:
        shares = (100 * self.counts[value] / len(self.events) for _, value in self._newest())
        return next((share for share in shares if self.held(share) is not None), None)

    def trim(self) -> int:
        over = max(0, len(self.events) - self.keep)
        for _ in range(over):
            self._remove()
        return over

    def contributors(self) -> Iterator[Contributor]:
        """Those of the values that stand out, not of the many that do not."""
        values = {
            value
            for _, value in self._newest()
            if self.held(100 * self.counts[value] / len(self.events)) is not None
        }
        return once(by for by, value in reversed(self.events) if value in values)

    def dump(self) -> Any:
        return list(self.events)

    def load(self, dumped: Any) -> None:
        for one, value in dumped:
            self._append(contributor(one), tuple(value))


def average(total: int, count: int) -> float:
    """Of billionths; whole averages stay whole, others are rounded once."""
    whole, rest = divmod(total, count * SCALE)
    return total / (count * SCALE) if rest else whole


def once(found: Iterable[Contributor]) -> Iterator[Contributor]:
    """Each event once, though several of its values were counted."""
    before: Contributor | None = None
    for one in found:
        if one != before:
            yield one
        before = one


def contributor(dumped: Any) -> Contributor:
    """From what a snapshot holds."""
    time, since, references, carried = dumped
    return Contributor(time, since, tuple(references), None if carried is None else tuple(carried))
