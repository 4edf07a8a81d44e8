"""The fast engine: many events against many rules at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, Protocol

from istmo.detect.sigma.detections import Item
from istmo.detect.sigma.engine.classes import EventClass, Matchers, make_plan
from istmo.detect.sigma.engine.plans import PlanFolder, plan_name
from istmo.detect.sigma.evaluator import Match, RuleMatcher
from istmo.detect.sigma.fields import EventView
from istmo.detect.sigma.logsources import Logsource
from istmo.detect.sigma.rules import Rule
from istmo.detect.sigma.ruleset import RuleSet
from istmo.detect.sigma.values import Number

_TRAIN_AFTER: Final = 500
"""Events of a class after which its witnesses are chosen anew, by what those events held."""
_SAMPLE_LETTERS: Final = 2 << 20
"""Text after which a class learns from fewer: events may be large."""
_MOST_REMEMBERED: Final = 32 << 20
"""Text of all samples together."""
_MOST_CLASSES: Final = 4096
_EVENT_ID: Final = "EventID"
_Key = tuple[tuple[Logsource, ...], int | None]
"""A class of events: its log sources, and its event id where a rule for them names it."""


class Event(Protocol):
    """What rules are asked about."""

    @property
    def fields(self) -> dict[str, Any]: ...
    @property
    def logsources(self) -> tuple[Logsource, ...]: ...


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
        self._plans = plans
        self._matchers = Matchers(ruleset)
        if previous is not None:
            by_id = ruleset.by_id
            self._matchers.update(
                (id_, one) for id_, one in previous._matchers.items() if by_id.get(id_) is one.rule
            )
        self._classes: dict[_Key, EventClass] = {}
        self._samples: dict[_Key, Sample] = {}
        self._remembered = 0
        self._numbers: dict[tuple[Logsource, ...], frozenset[int]] = {}

    def find(self, events: Sequence[Event]) -> list[tuple[int, Rule]]:
        """Every match: the event's place in the batch and the rule, in the order of both."""
        groups: dict[_Key, list[int]] = {}
        numbers = self._numbers
        for place, event in enumerate(events):
            sources = event.logsources
            named = numbers.get(sources)
            if named is None:
                named = numbers[sources] = self._numbers_of(sources)
            number = event.fields.get(_EVENT_ID)
            key = (sources, number if number.__class__ is int and number in named else None)
            group = groups.get(key)
            if group is None:
                groups[key] = [place]
            else:
                group.append(place)
        found: list[tuple[int, Rule]] = []
        for key, places in groups.items():
            one = self._classes.get(key) or self._make(key)
            if not one.rules:
                continue
            fields = [events[place].fields for place in places]
            found += [(places[at], rule) for at, rule in one.find(fields)]
            if not one.is_trained:
                self._learn(key, fields)
        if len(groups) > 1:
            found.sort(key=itemgetter(0))
        return found

    def explain(self, rule_id: str, event: Event) -> Match:
        """By what a rule that was found holds."""
        return self._matchers[rule_id].match(EventView(event.fields))

    def meant_for(self, sources: tuple[Logsource, ...]) -> list[RuleMatcher]:
        """The rules for events of these log sources, in order, each to be asked alone."""
        return [self._matchers[rule.id] for rule in self._rules_for(sources)]

    def _rules_for(self, sources: tuple[Logsource, ...]) -> list[Rule]:
        return [rule for rule in self.ruleset.rules if rule.logsource.covers_any(sources)]

    def _make(self, key: _Key, sample: Sequence[Mapping[str, Any]] = ()) -> EventClass:
        """The class of a key, and keep its plan. One that learns replaces the one before."""
        if key not in self._classes and len(self._classes) >= _MOST_CLASSES:
            self._classes.clear()
            self._samples.clear()
            self._remembered = 0
        sources, number = key
        rules = self._rules_for(sources)
        name = plan_name(sources, number, rules) if self._plans is not None else ""
        plan = self._plans.get(name) if self._plans is not None and not sample else None
        if plan is None:
            known: dict[str, Any] = {} if number is None else {_EVENT_ID: number}
            plan = make_plan(rules, known, sample)
            if self._plans is not None and plan.rules:
                self._plans.put(name, plan)
        made = self._classes[key] = EventClass(plan, self.ruleset.by_id, self._matchers)
        return made

    def _numbers_of(self, sources: tuple[Logsource, ...]) -> frozenset[int]:
        """Event ids that a rule for these log sources names: each makes a class of its own."""
        return frozenset(
            int(value.value)
            for rule in self._rules_for(sources)
            for item in items_of(rule)
            if item.field == _EVENT_ID
            for value in item.values
            if isinstance(value, Number) and float(value.value).is_integer()
        )

    def _learn(self, key: _Key, fields: Sequence[Mapping[str, Any]]) -> None:
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


def items_of(rule: Rule) -> Iterable[Item]:
    """Every item of a rule's searches."""
    return (item for search in rule.searches.values() for group in search.groups for item in group)
