"""The lines of one class scanned, before any is parsed, for what its rules need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from istmo.detect.sigma.engine.choosing import NOWHERE, Seen, choose, sift, to_ask
from istmo.detect.sigma.engine.classes import Questions
from istmo.detect.sigma.engine.framing import frame_lines
from istmo.detect.sigma.engine.lines import (
    ODD_NUMBERS,
    asks_numbers,
    can_veto,
    expression_of_name,
    expression_of_value,
    spelled_in_line,
)
from istmo.detect.sigma.engine.patterns import Pattern
from istmo.detect.sigma.engine.plans import RawPlan
from istmo.detect.sigma.engine.scanners import Scanner, make_scanner
from istmo.detect.sigma.engine.walking import places
from istmo.detect.sigma.rules import Rule


class Candidates(NamedTuple):
    """What a scan found: lines by their place."""

    asked: dict[int, list[int]]
    """Slots of the rules to be asked."""
    odd: set[int]
    """To be asked about by their fields."""


class RawClass:
    """The rules that lines of one class can match, looked for in them. Not safe to share between threads."""

    def __init__(self, plan: RawPlan, rules: Mapping[str, Rule], known: Mapping[str, Any]) -> None:
        """``known``: what all events of the class hold."""
        self.rules = [rules[rule_id] for rule_id in plan.rules]
        self.questions = Questions(self.rules, known)
        self.can_scan = plan.can_scan
        """Whether lines without a witness cannot match; else all have to be parsed."""
        self.is_trained = plan.is_trained
        self.share = plan.share
        """Of the lines that it was made by, those that had to be parsed."""
        self._guards = plan.guards
        self._says = [*plan.says, *plan.vetoes_say]
        self._after_names = len(self._says) + len(_names(plan.vetoes))
        self._scanner = _scanner_of(plan, plan.compiled) if plan.literals else None

    def scan(self, lines: Sequence[bytes]) -> Candidates:
        """The lines that have to be parsed; no other one matches a rule."""
        if self._scanner is None:
            return Candidates({}, set())
        says, slots = self._says, len(self.rules)
        met: dict[int, set[int]] = {}
        named: set[tuple[int, int]] = set()
        odd: set[int] = set()
        for place, number in places(self._scanner, frame_lines(lines)):
            if number < len(says):
                known = met.get(place)
                if known is None:
                    met[place] = set(says[number])
                else:
                    known.update(says[number])
            elif number >= self._after_names or (place, number) in named:
                odd.add(place)  # a name that stands there twice: the later one's value counts
            else:
                named.add((place, number))
        asked = {place: to_ask(said, slots, self._guards) for place, said in met.items() if place not in odd}
        return Candidates({place: some for place, some in asked.items() if some}, odd)


def make_raw_plan(rules: Iterable[Rule], known: Mapping[str, Any], lines: Sequence[bytes]) -> RawPlan:
    """How lines of a class are best scanned, by some of them."""
    rules = list(rules)
    sifted = sift(rules, known)
    if sifted.certain or sifted.always:
        return RawPlan(sifted.rules, [], [], [], [], {}, False, b"", 1.0, is_trained=False, can_scan=False)
    chosen = choose(
        sifted,
        len(lines),
        lambda patterns: _lines_with(patterns, lines),
        lambda patterns: _lines_with_vetoes(list(filter(can_veto, patterns)), lines),
    )
    spelled = [
        (text, tuple(says)) for one, says in chosen.finds.items() for text in spelled_in_line(one.literal)
    ]
    plan = RawPlan(
        rules=sifted.rules,
        literals=[text for text, _ in spelled],
        says=[says for _, says in spelled],
        vetoes=[(one.field, one.literal) for one in chosen.vetoes],
        vetoes_say=list(map(tuple, chosen.vetoes.values())),
        guards=chosen.guards,
        asks_numbers=any(asks_numbers(one.literal) for one in chosen.finds),
        compiled=b"",
        share=0.0,
        is_trained=bool(lines),
        can_scan=True,
    )
    if not plan.literals:
        return plan
    plan = msgspec.structs.replace(plan, compiled=_scanner_of(plan).compiled)
    if not lines:
        return plan
    found = RawClass(plan, {rule.id: rule for rule in rules}, known).scan(lines)
    return msgspec.structs.replace(plan, share=(len(found.asked) + len(found.odd)) / len(lines))


def _lines_with(patterns: Iterable[Pattern], lines: Sequence[bytes]) -> dict[Pattern, Seen]:
    """The lines that hold each pattern, as it is spelled there."""
    found = dict.fromkeys(patterns, NOWHERE)
    spelled = [(text, one) for one in found for text in spelled_in_line(one.literal)]
    if spelled:
        for place, number in places(make_scanner([text for text, _ in spelled]), frame_lines(lines)):
            pattern = spelled[number][1]
            found[pattern] = found[pattern].and_in(place)
    return found


def _lines_with_vetoes(patterns: Sequence[Pattern], lines: Sequence[bytes]) -> dict[Pattern, Seen]:
    found = dict.fromkeys(patterns, NOWHERE)
    if patterns:
        scanner = make_scanner((), marks=[expression_of_value(one.field, one.literal) for one in patterns])
        for place, number in places(scanner, frame_lines(lines)):
            pattern = patterns[number]
            found[pattern] = found[pattern].and_in(place)
    return found


def _scanner_of(plan: RawPlan, compiled: bytes = b"") -> Scanner:
    marks = [expression_of_value(*veto) for veto in plan.vetoes]
    marks += map(expression_of_name, _names(plan.vetoes))
    return make_scanner(plan.literals, compiled, [*marks, *(ODD_NUMBERS if plan.asks_numbers else ())])


def _names(vetoes: Iterable[tuple[str, str]]) -> list[str]:
    return sorted({name for name, _ in vetoes})
