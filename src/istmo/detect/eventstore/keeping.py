"""What is kept and what goes: by age and by room, for the whole store and for each source.

Pure: from what rests, and what is wanted, to the next steps. Age is counted from when an event came in,
for nobody else's clock may decide what this node forgets. A source's events go a segment at a time, once
the last of them there is too old; as segments hold at most a day, they go within a day.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from istmo.detect.eventstore.folder import Closed
from istmo.detect.eventstore.resting import Resting

DAY: Final = 86_400_000_000
"""µs."""
MERGED_BYTES: Final = 64 << 20
"""Bytes of lines that neighbours may have together to become one: no more than a segment of its own."""
_SMALL: Final = MERGED_BYTES // 2
_ENOUGH: Final = 8
"""Small neighbours of a day that is not over, from which on it pays to write them anew."""
_MOST_MERGED: Final = 256

AGE, SOURCE_BUDGET, BUDGET = "age", "source_budget", "budget"
"""Why events go."""


@dataclass(frozen=True)
class Keep:
    """How long and in how much room: whole days and bytes; 0 is no bound."""

    days: int = 0
    budget: int = 0


@dataclass(frozen=True)
class Wanted:
    """What is to be kept. A source without a word of its own has the days of all; budgets are apart."""

    all: Keep = Keep()
    sources: Mapping[str, Keep] = field(default_factory=dict)

    def days_of(self, source: str) -> int:
        own = self.sources.get(source, Keep()).days
        return own or self.all.days


@dataclass(frozen=True)
class Going:
    """Events that go: from which segment, whose, why. ``is_whole``: nothing of the segment stays."""

    resting: Resting
    why: Mapping[str, str]
    """By source, the reason."""
    is_whole: bool


def going(resting: Sequence[Resting], wanted: Wanted, now: int, before: int, other_bytes: int) -> list[Going]:
    """Everything that is to go now, oldest first.

    ``before``: only segments below this one, which everybody has read who is to. ``other_bytes`` belong
    to the store too and do not rest yet.
    """
    open_to_it = [one for one in resting if one.closed.last < before]
    why: dict[Closed, dict[str, str]] = {one.closed: {} for one in open_to_it}
    for one in open_to_it:
        for source, part in one.parts.items():
            days = wanted.days_of(source)
            if days and part.last < now - days * DAY:
                why[one.closed][source] = AGE
    for source, keep in wanted.sources.items():
        if keep.budget:
            _free(resting, why, source, keep.budget)
    found = [_going(one, why[one.closed]) for one in open_to_it]
    if wanted.all.budget:
        found = _free_all(resting, found, wanted.all.budget - other_bytes)
    return [one for one in found if one.why or one.is_whole]


def _going(one: Resting, why: Mapping[str, str]) -> Going:
    return Going(one, why, is_whole=bool(one.parts) and len(why) == len(one.parts))


def _free(resting: Sequence[Resting], why: dict[Closed, dict[str, str]], source: str, budget: int) -> None:
    """Let the oldest of one source go until the rest of it fits."""
    taken = sum(one.share(source) for one in resting if source not in why.get(one.closed, {}))
    for one in resting:
        if taken <= budget:
            return
        if source in one.parts and one.closed in why and source not in why[one.closed]:
            why[one.closed][source] = SOURCE_BUDGET
            taken -= one.share(source)


def _free_all(resting: Sequence[Resting], found: list[Going], budget: int) -> list[Going]:
    """Let the oldest segments go whole until the rest fits."""
    taken = sum(one.size for one in resting) - sum(_frees(one) for one in found)
    freed: list[Going] = []
    for one in found:
        if taken > budget and not one.is_whole:
            taken -= one.resting.size - _frees(one)
            one = Going(one.resting, dict.fromkeys(one.resting.parts, BUDGET) | dict(one.why), True)
        freed.append(one)
    return freed


def _frees(one: Going) -> int:
    return one.resting.size if one.is_whole else sum(one.resting.share(source) for source in one.why)


def mergeable(
    resting: Sequence[Resting], now: int, before: int, barriers: Iterable[int] = ()
) -> list[Resting]:
    """The first run of small neighbours that is worth writing as one; empty where there is none.

    Neighbours come in on one day (UTC), so that what is kept by days goes by days. ``barriers`` are
    segments that no run may reach over: what cannot be read, or rests elsewhere.
    """
    walls = sorted(barriers)
    run: list[Resting] = []
    for one in [*resting, None]:
        is_good = one is not None and one.closed.last < before and one.unpacked <= _SMALL
        if one is not None and is_good and run and _fits(run, one, walls):
            run.append(one)
            continue
        is_over = bool(run) and run[-1].last // DAY < now // DAY
        if len(run) >= (2 if is_over else _ENOUGH):
            return run
        run = [one] if one is not None and is_good else []
    return []


def _fits(run: Sequence[Resting], one: Resting, walls: Sequence[int]) -> bool:
    if len(run) >= _MOST_MERGED or run[0].first // DAY != one.last // DAY:
        return False
    if sum(each.unpacked for each in run) + one.unpacked > MERGED_BYTES:
        return False
    return bisect_left(walls, run[0].closed.first) == bisect_right(walls, one.closed.last)


def bytes_by_source(resting: Sequence[Resting]) -> dict[str, int]:
    """Bytes on disk by source, as ``Resting.share`` counts them."""
    found: Counter[str] = Counter()
    for one in resting:
        found.update({source: one.share(source) for source in one.parts})
    return dict(found)


def daily_bytes(resting: Sequence[Resting], now: int) -> int:
    """Bytes on disk that a day brings at the rate of the last week; 0 where less than an hour is known."""
    recent = [one for one in resting if one.last > now - 7 * DAY]
    if not recent:
        return 0
    span = now - min(one.first for one in recent)
    return sum(one.size for one in recent) * DAY // span if span >= DAY // 24 else 0
