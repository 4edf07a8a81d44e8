"""Which indicators are to be hunted for: gathered a moment after they came into force, then under way."""

from __future__ import annotations

from typing import Final

GATHER_SECONDS: Final = 0.05
"""Between coming into force and the hunt: what comes next is watched for first, and what is published in a
burst is hunted for in one pass."""
HUNTED_AT_ONCE: Final = 5_000
AT_ONCE: Final = 4
"""Requests under way; the worker takes those that wait in one pass."""
Digests = dict[str, str]
"""A digest of the terms by indicator id: the same terms need no second hunt."""


class Hunts:
    """The state of one conversation with the worker, under its owner's lock. ``now``: monotonic seconds."""

    def __init__(self) -> None:
        self._gathering: Digests = {}
        self._since = 0.0
        self._waiting: Digests = {}
        self._under_way: dict[int, Digests] = {}

    def __bool__(self) -> bool:
        return bool(self._gathering or self._waiting or self._under_way)

    def __len__(self) -> int:
        """Indicators whose hunt has not ended."""
        return len(self._gathering | self._waiting) + sum(map(len, self._under_way.values()))

    def gather(self, put: Digests, now: float) -> None:
        """These have come into force."""
        if put and not self._gathering:
            self._since = now
        self._gathering |= put

    def pause(self, now: float) -> float | None:
        """Seconds until what was gathered is to be taken; None where nothing was."""
        return max(0.0, self._since + GATHER_SECONDS - now) if self._gathering else None

    def take(self) -> Digests:
        """What was gathered: to be looked up, and added again where no hunt for it has been."""
        taken, self._gathering = self._gathering, {}
        return taken

    def add(self, due: Digests) -> None:
        self._waiting |= due

    def drop(self, indicator: str) -> None:
        """It is watched for no more."""
        self._gathering.pop(indicator, None)
        self._waiting.pop(indicator, None)

    def may_begin(self) -> bool:
        return bool(self._waiting) and len(self._under_way) < AT_ONCE

    def begin(self, request: int) -> list[str]:
        """What the hunt with this number hunts for."""
        ids = sorted(self._waiting)[:HUNTED_AT_ONCE]
        self._under_way[request] = {id: self._waiting.pop(id) for id in ids}
        return ids

    def of(self, request: int) -> Digests:
        """What a hunt that is under way hunts for."""
        return self._under_way.get(request, {})

    def end(self, request: int, *, again: bool) -> None:
        """A hunt has ended. ``again`` puts what it hunted for back among what waits."""
        done = self._under_way.pop(request, {})
        if again:
            self._waiting |= done
