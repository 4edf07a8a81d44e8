"""The rules for one class of events: found by their witnesses, then asked one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from istmo.detect.sigma.detections import Question
from istmo.detect.sigma.engine.choosing import NOWHERE, Seen, choose, sift, to_ask
from istmo.detect.sigma.engine.framing import frame, frame_lines, is_sound
from istmo.detect.sigma.engine.lines import ODD_TEXT, anywhere_in_line, can_stand_in_line
from istmo.detect.sigma.engine.metering import Meter
from istmo.detect.sigma.engine.patterns import KEYWORDS, Pattern
from istmo.detect.sigma.engine.plans import Plan, WatchedPlan
from istmo.detect.sigma.engine.scanners import Scanner, make_scanner
from istmo.detect.sigma.engine.trees import question, simplify
from istmo.detect.sigma.engine.walking import note, places
from istmo.detect.sigma.evaluator import RuleMatcher
from istmo.detect.sigma.fields import EventView
from istmo.detect.sigma.rules import Rule
from istmo.detect.sigma.ruleset import RuleSet

Fields = Mapping[str, Any]
_NONE: Final[frozenset[int]] = frozenset()


class Watched(NamedTuple):
    """One field's literals, and what each says."""

    field: str
    literals: list[str]
    says: list[tuple[int, ...]]
    """Slots of the rules that it makes candidates, and numbers of what guards need."""
    vetoes: list[tuple[int, ...]]
    """Numbers of what guards forbid."""
    says_if_sound: list[tuple[int, ...]] | None
    """Both: vetoes count only where values are framed as they are. None where there are no vetoes."""
    scanner: Scanner
    in_lines: Scanner | None
    """Finds the same literals in events' JSON, where these stand in every event that holds them."""


class Matchers(dict[str, RuleMatcher]):
    """Matchers by rule id, made when a rule is first asked: most never are."""

    def __init__(self, ruleset: RuleSet) -> None:
        super().__init__()
        self._rules = ruleset.by_id

    def __missing__(self, rule_id: str) -> RuleMatcher:
        made = self[rule_id] = RuleMatcher(self._rules[rule_id])
        return made


class Questions(dict[int, Question]):
    """By slot, whether an event of the class matches the rule; made when it is first asked."""

    def __init__(self, rules: Sequence[Rule], known: Fields) -> None:
        super().__init__()
        self._rules = rules
        self._known = known

    def __missing__(self, slot: int) -> Question:
        left = simplify(self._rules[slot], self._known)
        made = self[slot] = (lambda _view: left) if isinstance(left, bool) else question(left)
        return made


class Timed:
    """Questions of which each is timed."""

    def __init__(self, questions: Questions, rules: Sequence[Rule], meter: Meter) -> None:
        self._questions = questions
        self._rules = rules
        self._meter = meter

    def __getitem__(self, slot: int) -> Question:
        asks, rule, meter = self._questions[slot], self._rules[slot].id, self._meter

        def timed(view: EventView) -> bool:
            began = meter.clock()
            holds = asks(view)
            meter.note(rule, meter.clock() - began)
            return holds

        return timed


class EventClass:
    """The rules that events of one class can match, ready to be asked. Not safe to share between threads."""

    def __init__(self, plan: Plan, rules: Mapping[str, Rule], known: Fields) -> None:
        """``known``: what all events of the class hold."""
        self.rules = [rules[rule_id] for rule_id in plan.rules]
        self._questions = Questions(self.rules, known)
        self.is_trained = plan.is_trained
        self.watched = [
            _watched(one.field, one.literals, one.says, one.vetoes, one.compiled, one.in_lines)
            for one in plan.watched
        ]
        self._certain = plan.certain
        self._guards = plan.guards
        self._always = [
            (slot, plan.guards[slot].vetoes if slot in plan.guards else _NONE) for slot in plan.always
        ]

    def find(
        self, events: Sequence[Fields], lines: Sequence[bytes | None], meter: Meter | None = None
    ) -> list[tuple[int, Rule]]:
        """Every match among events of the class: the event's place, and the rule.

        ``lines``: of each event the JSON in which all its values stand, where there is one. ``meter`` is told
        what each question took.
        """
        found: list[tuple[int, Rule]] = []
        candidates = candidates_in(self.watched, events, lines)
        rules = self.rules
        questions = self._questions if meter is None else Timed(self._questions, rules, meter)
        always, certain = self._always, self._certain
        slots, guards = len(rules), self._guards
        for place in range(len(events)) if always or certain else sorted(candidates):
            met = candidates.get(place)
            asked = to_ask(met, slots, guards) if met else []
            held = certain
            if asked or always:
                view = EventView(events[place])
                if always:
                    said = met or _NONE
                    asked += [slot for slot, vetoes in always if vetoes.isdisjoint(said)]
                    asked.sort()
                held = [slot for slot in asked if questions[slot](view)]
                if certain:
                    held = sorted((*held, *certain))
            found += [(place, rules[slot]) for slot in held]
        return found


def make_plan(rules: Iterable[Rule], known: Fields, sample: Sequence[Fields] = ()) -> Plan:
    """How these rules are best looked for among events that hold what is known.

    ``sample``: events of the class, by which literals are chosen that seldom occur in it.
    """
    sifted = sift(rules, known)
    chosen = choose(sifted, len(sample), lambda patterns: _events_with(patterns, sample))
    watched = [
        WatchedPlan(
            one.field,
            one.literals,
            one.says,
            one.vetoes,
            one.scanner.compiled,
            one.in_lines.compiled if one.in_lines is not None else b"",
        )
        for one in _watch(chosen.finds, chosen.vetoes)
    ]
    return Plan(sifted.rules, sifted.certain, sifted.always, chosen.guards, watched, bool(sample))


def _events_with(patterns: Iterable[Pattern], sample: Sequence[Fields]) -> dict[Pattern, Seen]:
    """The events of a sample that hold each pattern."""
    seen = dict.fromkeys(patterns, NOWHERE)
    for watched in _watch(dict.fromkeys(seen, ()), {}):
        framed = frame(watched.field, sample)
        if framed is not None:
            for place, number in places(watched.scanner, framed):
                pattern = Pattern(watched.field, watched.literals[number])
                seen[pattern] = seen[pattern].and_in(place)
    return seen


def _watch(finds: Mapping[Pattern, Sequence[int]], vetoes: Mapping[Pattern, Sequence[int]]) -> list[Watched]:
    by_field: dict[str, list[Pattern]] = {}
    for pattern in sorted({*finds, *vetoes}):
        by_field.setdefault(pattern.field, []).append(pattern)
    return [
        _watched(
            field,
            [one.literal for one in patterns],
            [tuple(finds.get(one, ())) for one in patterns],
            [tuple(vetoes.get(one, ())) for one in patterns],
        )
        for field, patterns in by_field.items()
    ]


def _watched(
    field: str,
    literals: list[str],
    says: list[tuple[int, ...]],
    vetoes: list[tuple[int, ...]],
    compiled: bytes = b"",
    compiled_in_lines: bytes = b"",
) -> Watched:
    in_lines = None
    if field == KEYWORDS and all(map(can_stand_in_line, literals)):
        in_lines = make_scanner(list(map(anywhere_in_line, literals)), compiled_in_lines, ODD_TEXT)
    both = [(*said, *vetoed) for said, vetoed in zip(says, vetoes, strict=True)] if any(vetoes) else None
    return Watched(field, literals, says, vetoes, both, make_scanner(literals, compiled), in_lines)


def candidates_in(
    watched: Iterable[Watched], events: Sequence[Fields], lines: Sequence[bytes | None]
) -> dict[int, set[int]]:
    """By the event's place, what the literals found in it stand for."""
    candidates: dict[int, set[int]] = {}
    for one in watched:
        if one.in_lines is not None:
            odd = [place for place, line in enumerate(lines) if line is None]
            if len(odd) < len(events):
                pieces = list(map(_or_nothing, lines))
                odd += note(one.in_lines, frame_lines(pieces), one.says, candidates)
            if odd:
                framed = frame(one.field, [events[place] for place in odd])
                note(one.scanner, framed, one.says, candidates, odd)
        elif (framed := frame(one.field, events)) is not None:
            says = one.says
            if one.says_if_sound is not None and is_sound(framed):
                says = one.says_if_sound
            note(one.scanner, framed, says, candidates)
    return candidates


def _or_nothing(line: bytes | None) -> bytes:
    return line or b""
