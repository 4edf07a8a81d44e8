"""The fast engine: many events against many rules at once."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from istmo.detect.sigma.detections import Item
from istmo.detect.sigma.engine.classes import EventClass, Matchers, make_plan
from istmo.detect.sigma.engine.metering import Meter
from istmo.detect.sigma.engine.plans import Plan, PlanFolder, RawPlan, plan_name
from istmo.detect.sigma.engine.raw_classes import RawClass, make_raw_plan
from istmo.detect.sigma.evaluator import Match, RuleMatcher
from istmo.detect.sigma.fields import EventView
from istmo.detect.sigma.logsources import Logsource
from istmo.detect.sigma.rules import Rule
from istmo.detect.sigma.ruleset import RuleSet
from istmo.detect.sigma.values import Exists, Null, Number

_TRAIN_AFTER: Final = 500
"""Events of a class after which its witnesses are chosen anew, by what those events held."""
_SAMPLE_LETTERS: Final = 2 << 20
"""Text after which a class learns from fewer: events may be large."""
_MOST_REMEMBERED: Final = 32 << 20
"""Text of all samples together."""
_MOST_CLASSES: Final = 4096
_EVENT_ID: Final = "EventID"
Key = tuple[tuple[Logsource, ...], int | None]
"""A class of events: its log sources, and its event id where a rule for them names it, or one that stands
for all others."""


class Event(Protocol):
    """What rules are asked about."""

    @property
    def fields(self) -> dict[str, Any]: ...
    @property
    def logsources(self) -> tuple[Logsource, ...]: ...
    @property
    def line(self) -> bytes | None:
        """The JSON in which all values of the fields stand; None where one was derived, or it is not kept."""
        ...


class _Numbers(NamedTuple):
    """What rules for some log sources say of event ids."""

    named: frozenset[int]
    """Each makes a class of its own."""
    other: int | None
    """Stands for all numbers that are not named; None where rules ask more of them than which they are."""


class Sample:
    """Events of a class that it is to learn from."""

    def __init__(self) -> None:
        self.events: list[Mapping[str, Any]] = []
        self.size = 0
        """Letters in them, about."""

    def add(self, fields: Mapping[str, Any]) -> int:
        """Remember one; its size."""
        size = len(str(fields))
        self.events.append(fields)
        self.size += size
        return size


class Engine:
    """A rule set asked about batches of events; the same answers as :class:`Evaluator`, sooner.

    ``previous`` lends what it has made for rules that are still the same; ``plans`` keeps compiled classes
    from one run to the next. Not safe to share between threads.
    """

    def __init__(
        self, ruleset: RuleSet, previous: Engine | None = None, plans: PlanFolder | None = None
    ) -> None:
        self.ruleset = ruleset
        self.plans = plans
        self.meter: Meter = Meter() if previous is None else previous.meter
        """What rules cost, of one batch in sixteen."""
        self._matchers = Matchers(ruleset)
        if previous is not None:
            by_id = ruleset.by_id
            self._matchers.update(
                (id_, one) for id_, one in previous._matchers.items() if by_id.get(id_) is one.rule
            )
        self._rules: dict[tuple[Logsource, ...], list[Rule]] = {}
        self._classes: dict[Key, EventClass] = {}
        self._samples: dict[Key, Sample] = {}
        self._remembered = 0
        self._numbers: dict[tuple[Logsource, ...], _Numbers] = {}
        if previous is not None:
            self._take_over(previous)

    def find(self, events: Sequence[Event], *, is_timed: bool = True) -> list[tuple[int, Rule]]:
        """Every match: the event's place in the batch and the rule, in the order of both.

        ``is_timed``: what rules cost may be learnt of this batch; not where it was chosen out of others.
        """
        meter = self.meter if is_timed and self.meter.is_due() else None
        began = self.meter.clock()
        groups: dict[Key, list[int]] = {}
        for place, event in enumerate(events):
            key = self.key(event.logsources, event.fields.get(_EVENT_ID))
            group = groups.get(key)
            if group is None:
                groups[key] = [place]
            else:
                group.append(place)
        found: list[tuple[int, Rule]] = []
        for key, places in groups.items():
            one = self.class_of(key)
            if not one.rules:
                continue
            of_class = [events[place] for place in places]
            fields = [event.fields for event in of_class]
            lines = [event.line for event in of_class]
            found += [(places[at], rule) for at, rule in one.find(fields, lines, meter)]
            if not one.is_trained:
                self._learn(key, fields)
        if len(groups) > 1:
            found.sort(key=operator.itemgetter(0))
        if meter is not None:
            meter.events += len(events)
            meter.seconds += meter.clock() - began
        return found

    def key(self, sources: tuple[Logsource, ...], number: Any) -> Key:
        """The class of events of these log sources, with this event id."""
        known = self._numbers.get(sources)
        if known is None:
            known = self._numbers[sources] = self._numbers_of(sources)
        if number.__class__ is not int:
            return sources, None
        return sources, number if number in known.named else known.other

    def explain(self, rule_id: str, event: Event) -> Match:
        """By what a rule that was found holds."""
        return self._matchers[rule_id].match(EventView(event.fields))

    def meant_for(self, sources: tuple[Logsource, ...]) -> list[RuleMatcher]:
        """The rules for events of these log sources, in order, each to be asked alone."""
        return [self._matchers[rule.id] for rule in self._rules_for(sources)]

    def has_same_rules(self, sources: tuple[Logsource, ...], other: Engine) -> bool:
        """Whether both ask the very same rules about events of these log sources."""
        ours, theirs = self._rules_for(sources), other._rules_for(sources)
        return len(ours) == len(theirs) and all(map(operator.is_, ours, theirs))

    def prepare(self, previous: Engine) -> None:
        """Make the classes that another engine has, so that no event waits for them."""
        for key in list(previous._classes):
            self.class_of(self.key(*key))

    def _take_over(self, previous: Engine) -> None:
        """What another engine has made for log sources whose rules are still the same."""
        classes = list(previous._classes.items())  # another thread may go on using it
        sources_met = {sources for (sources, _), _ in classes}
        same = {sources for sources in sources_met if self.has_same_rules(sources, previous)}
        self._classes = {key: one for key, one in classes if key[0] in same}

    def _rules_for(self, sources: tuple[Logsource, ...]) -> list[Rule]:
        found = self._rules.get(sources)
        if found is None:
            if len(self._rules) >= _MOST_CLASSES:
                self._rules.clear()
            found = [rule for rule in self.ruleset.rules if rule.logsource.covers_any(sources)]
            self._rules[sources] = found
        return found

    def class_of(self, key: Key) -> EventClass:
        """The class of a key, ready to be asked."""
        return self._classes.get(key) or self._make(key)

    def raw_class(self, key: Key) -> RawClass:
        """How lines of a class are scanned before any is parsed."""
        plan = self.plans.get(RawPlan, self._raw_name(key)) if self.plans is not None else None
        return self.make_raw(key) if plan is None else RawClass(plan, self.ruleset.by_id, _known(key[1]))

    def make_raw(self, key: Key, lines: Sequence[bytes] = ()) -> RawClass:
        """The same, chosen anew by some of the lines where there are some."""
        plan = make_raw_plan(self._rules_for(key[0]), _known(key[1]), lines)
        if self.plans is not None:
            self.plans.put(self._raw_name(key), plan)
        return RawClass(plan, self.ruleset.by_id, _known(key[1]))

    def _raw_name(self, key: Key) -> str:
        return plan_name(RawPlan, *key, self._rules_for(key[0]))

    def _make(self, key: Key, sample: Sequence[Mapping[str, Any]] = ()) -> EventClass:
        """The class of a key, and keep its plan. One that learns replaces the one before."""
        if key not in self._classes and len(self._classes) >= _MOST_CLASSES:
            self._classes.clear()
            self._samples.clear()
            self._remembered = 0
        sources, number = key
        rules = self._rules_for(sources)
        name = plan_name(Plan, sources, number, rules) if self.plans is not None else ""
        plan = self.plans.get(Plan, name) if self.plans is not None and not sample else None
        if plan is None:
            plan = make_plan(rules, _known(number), sample)
            if self.plans is not None and plan.rules:
                self.plans.put(name, plan)
        made = self._classes[key] = EventClass(plan, self.ruleset.by_id, _known(number))
        return made

    def _numbers_of(self, sources: tuple[Logsource, ...]) -> _Numbers:
        values = [
            value
            for rule in self._rules_for(sources)
            for item in items_of(rule)
            if item.field == _EVENT_ID
            for value in item.values
        ]
        numbers = [value.value for value in values if isinstance(value, Number)]
        named = frozenset(int(number) for number in numbers if float(number).is_integer())
        is_plain = all(isinstance(value, (Number, Null, Exists)) for value in values)
        return _Numbers(named, max(named, default=0) + 1 if is_plain else None)

    def _learn(self, key: Key, fields: Sequence[Mapping[str, Any]]) -> None:
        sample = self._samples.setdefault(key, Sample())
        for one in fields:
            self._remembered += sample.add(one)
            if len(sample.events) >= _TRAIN_AFTER or sample.size >= _SAMPLE_LETTERS:
                self._remembered -= sample.size
                self._make(key, sample.events)
                del self._samples[key]
                return
        if self._remembered > _MOST_REMEMBERED:  # many classes of large events: learn of them another time
            self._samples.clear()
            self._remembered = 0


def _known(number: int | None) -> dict[str, Any]:
    return {} if number is None else {_EVENT_ID: number}


def items_of(rule: Rule) -> Iterable[Item]:
    """Every item of a rule's searches."""
    return (item for search in rule.searches.values() for group in search.groups for item in group)
