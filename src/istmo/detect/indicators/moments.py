"""Observations joined in time: which events, seen in any order, together make a pattern true.

STIX 2.1 section 9.3 and 9.4 on the time at which events happened: different observations are different
events; FOLLOWEDBY allows the same instant; WITHIN counts from the first event to the last; START is
inside, STOP is not. What is remembered of one pattern is bounded, and so is the search for a set of
events that fits: past either bound the oldest events are let go of, or the search ends without a match.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator
from itertools import combinations
from operator import lt
from typing import Any, Final, NamedTuple

FEWEST_KEPT: Final = 64
"""Events of one observation that are remembered, at the least; twice as many as REPEATS asks for."""
MOST_STEPS: Final = 4_000
"""Sets of events that are tried when one more event comes: some 4 ms, in which nothing else is matched."""
MOST_TIMES: Final = 500
MOST_OBSERVATIONS: Final = 32
DEEPEST: Final = 64


class Moment(NamedTuple):
    """An event for which one observation of a pattern holds: when it happened, and by which fields."""

    time: int
    event: str
    told: tuple[tuple[str, str], ...] = ()


class Binding(NamedTuple):
    """Events that make a part of a pattern true."""

    first: int
    last: int
    moments: tuple[Moment, ...]


class _Exhausted(Exception):
    pass


class _Search:
    """One search: the events by observation, the one that just came, and the steps that are left."""

    def __init__(self, kept: list[list[Moment]], new: str, at: int) -> None:
        self.kept, self.new, self.at = kept, new, at
        self._steps = MOST_STEPS

    def step(self) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise _Exhausted


Span = tuple[int, int]
Used = frozenset[str]
Joint = Callable[[_Search, Span, Used, bool], Iterator[Binding]]
"""The ways in which a part can be true: with events of a span of time that are not used elsewhere, and
where ``must`` with the one that just came."""

ALWAYS: Final[Span] = (-(1 << 63), 1 << 63)


class Tracker:
    """What one pattern remembers."""

    def __init__(self, joint: Joint, kept: list[int]) -> None:
        self._joint, self._most = joint, kept
        self.kept: list[list[Moment]] = [[] for _ in kept]
        """By observation, in the order of time."""
        self.displaced = 0
        """Events that later ones of the same observation took the place of …"""
        self.given_up = 0
        """… and searches that ended because there were too many sets to try."""
        self.found: tuple[Moment, ...] = ()
        """The events that made the pattern true when it last was."""

    def __len__(self) -> int:
        return sum(map(len, self.kept))

    def clear(self) -> None:
        """Forget every event."""
        for some in self.kept:
            some.clear()

    def recall(self, kept: list[list[Moment]]) -> bool:
        """Remember these again; False where they are not of this pattern."""
        if len(kept) != len(self._most) or any(map(lt, self._most, map(len, kept))):
            return False
        self.kept = [sorted(some) for some in kept]
        return True

    def precede(self, earlier: list[list[Moment]]) -> list[Moment]:
        """Remember events of before the pattern was there as well; those since, of which each may make it
        true together with them (``completed_by``). None where they are not of this pattern."""
        if len(earlier) != len(self._most):
            return []
        since = {one.event: one for some in self.kept for one in some}
        for number, some in enumerate(earlier):
            own = {one.event for one in self.kept[number]}
            merged = sorted([*self.kept[number], *(one for one in some if one.event not in own)])
            self.kept[number] = merged[-self._most[number] :]
        return sorted(since.values())

    def completed_by(self, moment: Moment) -> tuple[Moment, ...]:
        """Events that are remembered, this one among them, which make the pattern true; none where there are
        none such."""
        try:
            search = _Search(self.kept, moment.event, moment.time)
            found = next(self._joint(search, ALWAYS, frozenset(), True), None)
        except _Exhausted:
            self.given_up += 1
            return ()
        return () if found is None else found.moments

    def feed(self, moments: dict[int, Moment]) -> tuple[Moment, ...] | None:
        """One more event, by the observations that hold for it: the events, this one among them, that make
        the pattern true now. An event that is known already changes nothing."""
        new = next(iter(moments.values()))
        known = False
        for number, moment in moments.items():
            some = self.kept[number]
            if any(one.event == moment.event for one in some):
                known = True
                continue
            insort(some, moment)
            if len(some) > self._most[number]:
                del some[0]
                self.displaced += 1
        if known:
            return None
        found = self.completed_by(new)
        if not found:
            return None
        self.found = found
        return found


def make_tracker(whole: Any, observations: int) -> Tracker:
    """A tracker for the observation part of a plan. Raises ValueError."""
    if observations > MOST_OBSERVATIONS:
        raise ValueError("too many observations")
    kept = [FEWEST_KEPT] * observations
    return Tracker(_make(whole, kept, 1, 0), kept)


def is_timeless(whole: Any) -> bool:
    """Whether one event alone decides, whenever it happened."""
    return whole[0] == "o" or (whole[0] == "or" and all(map(is_timeless, whole[1:])))


def _make(node: Any, kept: list[int], times: int, depth: int) -> Joint:
    if depth > DEEPEST:
        raise ValueError("too deep")
    match node:
        case ["o", int(number)] if 0 <= number < len(kept):
            kept[number] = max(kept[number], 2 * times)
            return _seen(number)
        case ["or", _, *_]:
            return _one_of([_make(one, kept, times, depth + 1) for one in node[1:]])
        case ["and", left, right]:
            return _pair(_make(left, kept, times, depth + 1), _make(right, kept, times, depth + 1), False)
        case ["then", left, right]:
            return _pair(_make(left, kept, times, depth + 1), _make(right, kept, times, depth + 1), True)
        case ["times", int(count), ["o", int(number)]] if count >= 1 and times * count <= MOST_TIMES:
            _make(["o", number], kept, times * count, depth + 1)
            return _seen_often(number, count)
        case ["times", int(count), inner] if count >= 1 and times * count <= MOST_TIMES:
            return _often(_make(inner, kept, times * count, depth + 1), count)
        case ["within", int(micros), inner]:
            return _within(_make(inner, kept, times, depth + 1), micros)
        case ["between", int(start), int(stop), inner]:
            return _between(_make(inner, kept, times, depth + 1), start, stop)
    raise ValueError("not an observation")


def _seen(number: int) -> Joint:
    def find(search: _Search, span: Span, used: Used, must: bool) -> Iterator[Binding]:
        for moment in search.kept[number]:
            if must and moment.event != search.new:
                continue
            search.step()
            if span[0] <= moment.time < span[1] and moment.event not in used:
                yield Binding(moment.time, moment.time, (moment,))

    return find


def _seen_often(number: int, count: int) -> Joint:
    def find(search: _Search, span: Span, used: Used, must: bool) -> Iterator[Binding]:
        kept = [one for one in search.kept[number] if span[0] <= one.time < span[1] and one.event not in used]
        place = next((at for at, one in enumerate(kept) if one.event == search.new), None)
        if must and place is None:
            return
        # Neighbours in time fit where anything does, unless another part wants one of them.
        first = max(0, place - count + 1) if must and place is not None else 0
        last = place if must and place is not None else len(kept) - count
        for start in range(first, min(last, len(kept) - count) + 1):
            search.step()
            yield _joined(kept[start : start + count])
        for some in combinations(kept, count):
            search.step()
            if not must or any(one.event == search.new for one in some):
                yield _joined(some)

    return find


def _joined(moments: Any) -> Binding:
    return Binding(moments[0].time, moments[-1].time, tuple(moments))


def _events(binding: Binding) -> Used:
    return frozenset(one.event for one in binding.moments)


def _merge(one: Binding, other: Binding) -> Binding:
    return Binding(min(one.first, other.first), max(one.last, other.last), one.moments + other.moments)


def _one_of(parts: list[Joint]) -> Joint:
    def find(search: _Search, span: Span, used: Used, must: bool) -> Iterator[Binding]:
        for part in parts:
            yield from part(search, span, used, must)

    return find


def _pair(left: Joint, right: Joint, in_order: bool) -> Joint:
    def find(search: _Search, span: Span, used: Used, must: bool) -> Iterator[Binding]:
        if must:
            for one in right(search, span, used, True):
                before = (span[0], one.first + 1) if in_order else span
                for other in left(search, before, used | _events(one), False):
                    search.step()
                    yield _merge(other, one)
        for one in left(search, span, used, must):
            after = (one.last, span[1]) if in_order else span
            for other in right(search, after, used | _events(one), False):
                search.step()
                yield _merge(one, other)

    return find


def _often(inner: Joint, count: int) -> Joint:
    def find(search: _Search, span: Span, used: Used, must: bool) -> Iterator[Binding]:
        for one in inner(search, span, used, must):
            search.step()
            if count == 1:
                yield one
                continue
            for rest in _rest(search, span, used | _events(one), count - 1):
                yield _merge(one, rest)

    def _rest(search: _Search, span: Span, used: Used, left: int) -> Iterator[Binding]:
        for one in inner(search, span, used, False):
            search.step()
            if left == 1:
                yield one
                continue
            for rest in _rest(search, span, used | _events(one), left - 1):
                yield _merge(one, rest)

    return find


def _within(inner: Joint, micros: int) -> Joint:
    def find(search: _Search, span: Span, used: Used, must: bool) -> Iterator[Binding]:
        if must:
            span = (max(span[0], search.at - micros), min(span[1], search.at + micros + 1))
        for one in inner(search, span, used, must):
            search.step()
            if one.last - one.first <= micros:
                yield one

    return find


def _between(inner: Joint, start: int, stop: int) -> Joint:
    def find(search: _Search, span: Span, used: Used, must: bool) -> Iterator[Binding]:
        yield from inner(search, (max(span[0], start), min(span[1], stop)), used, must)

    return find
