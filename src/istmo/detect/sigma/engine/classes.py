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
from istmo.detect.sigma.engine.plans import Plan, WatchedPlan
from istmo.detect.sigma.engine.scanners import Scanner, make_scanner
from istmo.detect.sigma.engine.trees import simplify
from istmo.detect.sigma.evaluator import RuleMatcher
from istmo.detect.sigma.fields import EventView
from istmo.detect.sigma.rules import Rule
from istmo.detect.sigma.ruleset import RuleSet

Fields = Mapping[str, Any]

_FRAME: Final = 2
"""Bytes around each event's values."""
_KEYWORD_COST: Final = 0.05
"""Scanning every value of an event costs more than scanning one field's."""


class Watched(NamedTuple):
    """One field's literals, and the rules that each makes a candidate."""

    field: str
    literals: list[str]
    scanner: Scanner
    slots: list[tuple[int, ...]]


class Matchers(dict[str, RuleMatcher]):
    """Matchers by rule id, made when a rule is first asked: most never are."""

    def __init__(self, ruleset: RuleSet) -> None:
        super().__init__()
        self._rules = ruleset.by_id

    def __missing__(self, rule_id: str) -> RuleMatcher:
        made = self[rule_id] = RuleMatcher(self._rules[rule_id])
        return made


class EventClass:
    """The rules that events of one class can match, ready to be asked. Not safe to share between threads."""

    def __init__(self, plan: Plan, rules: Mapping[str, Rule], matchers: Matchers) -> None:
        self.rules = [rules[rule_id] for rule_id in plan.rules]
        self.is_trained = plan.is_trained
        self.watched = [
            Watched(one.field, one.literals, make_scanner(one.literals, one.compiled), one.slots)
            for one in plan.watched
        ]
        self._certain = plan.certain
        self._always = plan.always
        self._matchers = matchers

    def find(self, events: Sequence[Fields]) -> list[tuple[int, Rule]]:
        """Every match among events of the class: the event's place, and the rule."""
        found: list[tuple[int, Rule]] = []
        candidates = candidates_in(self.watched, events)
        rules, matchers = self.rules, self._matchers
        always, certain = self._always, self._certain
        for place in range(len(events)) if always or certain else sorted(candidates):
            slots = candidates.get(place)
            held = certain
            if slots or always:
                view = EventView(events[place])
                asked = sorted(slots.union(always)) if slots else always
                held = [slot for slot in asked if matchers[rules[slot].id].holds(view)]
                if certain:
                    held = sorted((*held, *certain))
            found += [(place, rules[slot]) for slot in held]
        return found


def make_plan(rules: Iterable[Rule], known: Fields, sample: Sequence[Fields] = ()) -> Plan:
    """How these rules are best looked for among events that hold what is known.

    ``sample``: events of the class, by which literals are chosen that seldom occur in it.
    """
    kept: list[str] = []
    certain: list[int] = []
    always: list[int] = []
    needed: dict[int, Needs] = {}
    for rule in rules:
        left = simplify(rule, known)
        if left is False:
            continue
        slot = len(kept)
        kept.append(rule.id)
        needs = None if left is True else needs_of(left)
        if left is True:
            certain.append(slot)
        elif needs is None:
            always.append(slot)
        else:
            needed[slot] = needs
    share = _shares(needed.values(), sample) if sample else {}

    def cost(pattern: Pattern) -> float:
        return share.get(pattern, 0.0) + _prior(pattern)

    by_pattern: dict[Pattern, list[int]] = {}
    for slot, needs in needed.items():
        for pattern in cheapest(needs, cost)[1]:
            by_pattern.setdefault(pattern, []).append(slot)
    watched = [
        WatchedPlan(one.field, one.literals, one.slots, one.scanner.compiled) for one in _watch(by_pattern)
    ]
    return Plan(kept, certain, always, watched, bool(sample))


def _shares(needed: Iterable[Needs], sample: Sequence[Fields]) -> dict[Pattern, float]:
    """The share of a sample's events that hold each pattern that may be chosen."""
    possible = sorted({pattern for needs in needed for pattern in patterns_of(needs)})
    watched = _watch({pattern: (number,) for number, pattern in enumerate(possible)})
    counts: Counter[int] = Counter()
    for met in candidates_in(watched, sample).values():
        counts.update(met)
    return {possible[number]: count / len(sample) for number, count in counts.items()}


def _prior(pattern: Pattern) -> float:
    """What a pattern costs beside how often it was met: short ones occur by chance."""
    rarity = float((1 + len(pattern.literal)) ** -1.5)
    return 0.01 * rarity + (_KEYWORD_COST if pattern.field == KEYWORDS else 0)


def _watch(slots_by_pattern: Mapping[Pattern, Sequence[int]]) -> list[Watched]:
    by_field: dict[str, list[Pattern]] = {}
    for pattern in sorted(slots_by_pattern):
        by_field.setdefault(pattern.field, []).append(pattern)
    watched = []
    for field, patterns in by_field.items():
        literals = [pattern.literal for pattern in patterns]
        slots = [tuple(slots_by_pattern[pattern]) for pattern in patterns]
        watched.append(Watched(field, literals, make_scanner(literals), slots))
    return watched


def candidates_in(watched: Sequence[Watched], events: Sequence[Fields]) -> dict[int, set[int]]:
    """By the event's place, what the literals found in it stand for."""
    candidates: dict[int, set[int]] = {}
    for field, _, scanner, slots in watched:
        data, lengths = frame(field, events)
        place, end_of_place = 0, lengths[0] + _FRAME
        seen: set[int] = set()  # in this event: a value may repeat itself a thousand times
        for number, end in scanner.scan(data):
            if end > end_of_place:
                seen.clear()
                while end > end_of_place:
                    place += 1
                    end_of_place += lengths[place] + _FRAME
            if number in seen:
                continue
            seen.add(number)
            known = candidates.get(place)
            if known is None:
                candidates[place] = set(slots[number])
            else:
                known.update(slots[number])
    return candidates
