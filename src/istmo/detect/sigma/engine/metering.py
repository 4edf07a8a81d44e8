"""What rules cost: timed now and then, since timing each question would cost more than most of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import thread_time
from typing import Final, NamedTuple

_EVERY: Final = 16
"""Of so many batches one is timed."""


class Cost(NamedTuple):
    """Of one rule, in the batches that were timed."""

    asked: int
    """Events about which it was asked: those that held one of its witnesses."""
    seconds: float


class Meter:
    """What asking each rule took."""

    def __init__(self, clock: Callable[[], float] = thread_time) -> None:
        """``clock`` in seconds of this thread's own work: others' is no fault of a rule."""
        self.clock = clock
        self.events = 0
        """In the batches that were timed."""
        self.seconds = 0.0
        """For finding and asking all rules about them."""
        self._asked: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        self._batches = 0

    def is_due(self) -> bool:
        """Whether the next batch is one to be timed."""
        self._batches += 1
        return self._batches % _EVERY == 1

    def note(self, rule: str, seconds: float) -> None:
        """A question that was timed."""
        self._asked[rule] = self._asked.get(rule, 0) + 1
        self._seconds[rule] = self._seconds.get(rule, 0.0) + seconds

    @property
    def costs(self) -> dict[str, Cost]:
        """By rule, of those that were asked."""
        return {rule: Cost(asked, self._seconds[rule]) for rule, asked in self._asked.items()}

    def forget(self, rules: Iterable[str]) -> None:
        """Rules that are not what they were: what they cost before says nothing."""
        for rule in rules:
            self._asked.pop(rule, None)
            self._seconds.pop(rule, None)

    def fade(self) -> None:
        """Let what was counted so far weigh half: what rules cost changes with the events that come."""
        self.events //= 2
        self.seconds /= 2
        self._asked = {rule: asked // 2 for rule, asked in self._asked.items() if asked > 1}
        self._seconds = {rule: self._seconds[rule] / 2 for rule in self._asked}
