"""Which literals rules are best found by, among those that would do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec

from istmo.detect.sigma.engine.patterns import (
    KEYWORDS,
    Clause,
    Needs,
    Pattern,
    choices,
    needs_of,
    patterns_of,
    refuters,
)
from istmo.detect.sigma.engine.trees import Node, simplify
from istmo.detect.sigma.rules import Rule


class Seen(NamedTuple):
    """Where in a sample a pattern was found."""

    events: int
    """A bit an event."""
    times: int

    def and_in(self, event: int) -> Seen:
        """Once more, in an event by its place."""
        return Seen(self.events | 1 << event, self.times + 1)


NOWHERE: Final = Seen(0, 0)
Met = Mapping[Pattern, Seen]
Measure = Callable[[Iterable[Pattern]], dict[Pattern, Seen]]
"""Looks for patterns in the sample."""

_KEYWORD_COST: Final = 0.05
"""Scanning every value of an event costs more than scanning one field's."""
_RARE: Final = 0.02
"""Share of events in which a rule may be asked before more is tried to avoid it."""
_ASK: Final = 3.0
"""What asking a rule costs …"""
_HIT: Final = 0.3
"""… beside one more thing found in an event, …"""
_FIELD: Final = 0.4
"""… and beside one more field scanned in all events."""
_MOST_GUARDS: Final = 3


class Sifted(NamedTuple):
    """Rules that events of a class can match, by slot, and how each is found."""

    rules: list[str]
    certain: list[int]
    """Slots of rules that hold anyway."""
    always: list[int]
    """Slots of rules for which nothing has to be there."""
    needed: dict[int, Needs]
    trees: dict[int, Node]
    """What is left of them, but for those that hold anyway."""


class Guard(msgspec.Struct, frozen=True, array_like=True):
    """What else must have been found, and must not, before a rule is asked: numbers beyond the slots'."""

    needs: frozenset[int]
    vetoes: frozenset[int]


class Chosen(NamedTuple):
    """What is looked for, and what each thing found says."""

    finds: dict[Pattern, list[int]]
    """Slots of rules, and numbers of what guards need."""
    vetoes: dict[Pattern, list[int]]
    """Numbers of what guards forbid."""
    guards: dict[int, Guard]
    """By slot, of the few rules that have one."""


def sift(rules: Iterable[Rule], known: Mapping[str, Any]) -> Sifted:
    """What is left of these rules for events that hold what is known."""
    sifted = Sifted([], [], [], {}, {})
    for rule in rules:
        left = simplify(rule, known)
        if left is False:
            continue
        slot = len(sifted.rules)
        sifted.rules.append(rule.id)
        needs = None if left is True else needs_of(left)
        if isinstance(left, bool):
            sifted.certain.append(slot)
            continue
        sifted.trees[slot] = left
        if needs is None:
            sifted.always.append(slot)
        else:
            sifted.needed[slot] = needs
    return sifted


def choose(sifted: Sifted, sample: int, measure: Measure, measure_vetoes: Measure | None = None) -> Chosen:
    """What rules are found by. ``sample``: events that ``measure`` looks in; with none, it is guessed.

    ``measure_vetoes``: the same for vetoes, where these are looked for in another way; of those that cannot
    be it tells nothing. A rule is found by the clause that is met least often. Where that is often still, it
    gets a guard.
    """
    met: dict[Pattern, Seen] = {}
    if sample:
        met = measure({pattern for needs in sifted.needed.values() for pattern in patterns_of(needs)})
    chooser = _Chooser(len(sifted.rules), sample, met)
    often: dict[int, list[Clause]] = {}
    for slot, needs in sifted.needed.items():
        clauses = [clause for _, clause in sorted(choices(needs, chooser.cost), key=itemgetter(0))]
        for pattern in clauses[0]:
            chooser.finds.setdefault(pattern, []).append(slot)
        if chooser.events_of(clauses[0]).bit_count() > _RARE * sample:
            often[slot] = clauses
    if sample:
        often |= {slot: [] for slot in sifted.always}
    against = {slot: refuters(sifted.trees[slot]) for slot in often}
    vetoes = {pattern for clause in against.values() for pattern in clause}
    vetoed = (measure_vetoes or measure)(vetoes) if vetoes else {}
    for slot, clauses in often.items():
        chooser.guard(
            slot, clauses, {pattern: vetoed[pattern] for pattern in against[slot] if pattern in vetoed}
        )
    return Chosen(chooser.finds, chooser.vetoes, chooser.guards)


class _Chooser:
    def __init__(self, slots: int, sample: int, met: Met) -> None:
        self.finds: dict[Pattern, list[int]] = {}
        self.vetoes: dict[Pattern, list[int]] = {}
        self.guards: dict[int, Guard] = {}
        self._numbers: dict[tuple[bool, Clause], int] = {}
        self._first = slots
        self._sample = sample
        self._met = met

    def cost(self, pattern: Pattern) -> float:
        """Of a pattern: how often it was met, and its length, since short ones occur by chance."""
        seen = self._met.get(pattern, NOWHERE)
        often = (_ASK * seen.events.bit_count() + _HIT * seen.times) / self._sample if self._sample else 0.0
        rarity = float((1 + len(pattern.literal)) ** -1.5)
        return often + _ASK * (0.01 * rarity + (_KEYWORD_COST if pattern.field == KEYWORDS else 0))

    def events_of(self, clause: Clause) -> int:
        """Events in which one of the patterns was met."""
        found = 0
        for pattern in clause:
            found |= self._met.get(pattern, NOWHERE).events
        return found

    def guard(self, slot: int, clauses: list[Clause], against: Met) -> None:
        """Find what keeps a rule from being asked in vain, where that is worth its cost."""
        asked = self.events_of(clauses[0]) if clauses else (1 << self._sample) - 1
        needs: list[int] = []
        for clause in clauses[1:]:
            left = asked & self.events_of(clause)
            if len(needs) < _MOST_GUARDS and self._pays(asked, left, clause, self._met, self.finds):
                needs.append(self._number(clause, self.finds, is_veto=False))
                asked = left
        vetoes: list[int] = []
        by_field: dict[str, set[Pattern]] = {}
        for pattern, seen in against.items():
            if seen.events & asked:
                by_field.setdefault(pattern.field, set()).add(pattern)
        for patterns in by_field.values():
            left = asked
            for pattern in patterns:
                left &= ~against[pattern].events
            clause = frozenset(patterns)
            if len(vetoes) < _MOST_GUARDS and self._pays(asked, left, clause, against, self.vetoes):
                vetoes.append(self._number(clause, self.vetoes, is_veto=True))
                asked = left
        if needs or vetoes:
            self.guards[slot] = Guard(frozenset(needs), frozenset(vetoes))

    def _pays(self, asked: int, left: int, clause: Clause, met: Met, among: Mapping[Pattern, object]) -> bool:
        new = [pattern for pattern in clause if pattern not in among]
        scanned = {pattern.field for pattern in (*self.finds, *self.vetoes)}
        cost = _HIT * sum(met.get(pattern, NOWHERE).times for pattern in new)
        cost += _FIELD * self._sample * len({pattern.field for pattern in new} - scanned)
        return _ASK * (asked.bit_count() - left.bit_count()) > cost

    def _number(self, clause: Clause, into: dict[Pattern, list[int]], *, is_veto: bool) -> int:
        number = self._numbers.get((is_veto, clause))
        if number is None:
            number = self._numbers[is_veto, clause] = self._first + len(self._numbers)
            for pattern in clause:
                into.setdefault(pattern, []).append(number)
        return number


def to_ask(met: set[int], slots: int, guards: Mapping[int, Guard]) -> list[int]:
    """The slots of the rules to be asked where all this was found."""
    asked = []
    for slot in met:
        if slot < slots:
            guard = guards.get(slot)
            if guard is None or (guard.needs <= met and met.isdisjoint(guard.vetoes)):
                asked.append(slot)
    asked.sort()
    return asked
