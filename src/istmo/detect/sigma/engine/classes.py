"""The rules for one class of events: found by their witnesses, then asked one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from istmo.detect.sigma.engine.framing import frame
from istmo.detect.sigma.engine.patterns import (
    KEYWORDS,
    Needs,
    Pattern,
    cheapest,
    needs_of,
    patterns_of,
)
from istmo.detect.sigma.engine.scanners import Scanner, make_scanner
from istmo.detect.sigma.engine.trees import simplify
from istmo.detect.sigma.evaluator import RuleMatcher
from istmo.detect.sigma.fields import EventView

Fields = Mapping[str, Any]
Frequencies = Mapping[Pattern, float]
"""The share of a sample's events that hold a pattern."""

_FRAME: Final = 2
"""Bytes around each event's values."""
_KEYWORD_COST: Final = 0.05
"""Scanning every value of an event costs more than scanning one field's."""


class Watched(NamedTuple):
    """One field's literals, and the rules that each makes a candidate."""

    field: str
    scanner: Scanner
    rules: list[tuple[int, ...]]


class EventClass:
    """``matchers``: every rule that is meant for the class; ``known``: what all its events hold.

    Not safe to share between threads.
    """

    def __init__(self, matchers: Iterable[RuleMatcher], known: Fields) -> None:
        self.matchers: list[RuleMatcher] = []
        self._needs: list[Needs | None] = []
        self._certain: list[int] = []
        for matcher in matchers:
            left = simplify(matcher.rule, known)
            if left is False:
                continue
            if left is True:
                self._certain.append(len(self.matchers))
                self._needs.append(None)
            else:
                self._needs.append(needs_of(left))
            self.matchers.append(matcher)
        certain = frozenset(self._certain)
        self._always = [
            slot for slot, needs in enumerate(self._needs) if needs is None and slot not in certain
        ]
        self._watched: list[Watched] | None = None
        self.is_trained = False

    def train(self, sample: Sequence[Fields]) -> None:
        """Choose witnesses by how often each pattern occurs in a sample of the class's events."""
        possible = {pattern for needs in self._needs if needs is not None for pattern in patterns_of(needs)}
        numbered = sorted(possible)
        watched = _watch({pattern: (number,) for number, pattern in enumerate(numbered)})
        counts: Counter[int] = Counter()
        for met in _candidates(watched, sample).values():
            counts.update(met)
        share = {numbered[number]: count / len(sample) for number, count in counts.items()}
        self._choose(share)
        self.is_trained = True

    def find(self, events: Sequence[Fields]) -> list[tuple[int, RuleMatcher]]:
        """Every match among events of the class: the event's place, and the rule."""
        if not self.matchers:
            return []
        if self._watched is None:
            self._choose({})
        assert self._watched is not None
        candidates = _candidates(self._watched, events)
        found: list[tuple[int, RuleMatcher]] = []
        matchers, always = self.matchers, self._always
        places = range(len(events)) if always or self._certain else sorted(candidates)
        for place in places:
            slots = candidates.get(place)
            if slots or always:
                view = EventView(events[place])
                held = [slot for slot in {*(slots or ()), *always} if matchers[slot].holds(view)]
                held += self._certain
                held.sort()
            else:
                held = self._certain
            found += [(place, matchers[slot]) for slot in held]
        return found

    def _choose(self, share: Frequencies) -> None:
        def cost(pattern: Pattern) -> float:
            return share.get(pattern, 0.0) + _prior(pattern)

        by_pattern: dict[Pattern, list[int]] = {}
        for slot, needs in enumerate(self._needs):
            if needs is not None:
                for pattern in cheapest(needs, cost)[1]:
                    by_pattern.setdefault(pattern, []).append(slot)
        self._watched = _watch({pattern: tuple(slots) for pattern, slots in by_pattern.items()})


def _prior(pattern: Pattern) -> float:
    """What a pattern costs beside how often it was met: short ones occur by chance."""
    rarity = float((1 + len(pattern.literal)) ** -1.5)
    return 0.01 * rarity + (_KEYWORD_COST if pattern.field == KEYWORDS else 0)


def _watch(slots_by_pattern: Mapping[Pattern, tuple[int, ...]]) -> list[Watched]:
    by_field: dict[str, list[Pattern]] = {}
    for pattern in sorted(slots_by_pattern):
        by_field.setdefault(pattern.field, []).append(pattern)
    return [
        Watched(
            field,
            make_scanner([pattern.literal for pattern in patterns]),
            [slots_by_pattern[pattern] for pattern in patterns],
        )
        for field, patterns in by_field.items()
    ]


def _candidates(watched: Sequence[Watched], events: Sequence[Fields]) -> dict[int, set[int]]:
    """By the event's place, what the literals found in it stand for."""
    candidates: dict[int, set[int]] = {}
    for field, scanner, rules in watched:
        data, lengths = frame(field, events)
        place, end_of_place = 0, lengths[0] + _FRAME
        for number, end in scanner.scan(data):
            while end > end_of_place:
                place += 1
                end_of_place += lengths[place] + _FRAME
            known = candidates.get(place)
            if known is None:
                candidates[place] = set(rules[number])
            else:
                known.update(rules[number])
    return candidates
