"""Rules asked about events, one at a time: slow, and right.

This is the oracle that a faster engine is checked against. All it does for speed is to ask only
the rules whose log source covers the event, and to bring each value into form once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from istmo.detect.sigma.conditions import Condition, Name, Not, Or
from istmo.detect.sigma.detections import Evidence, Question, SearchMatcher, linked
from istmo.detect.sigma.fields import EventView
from istmo.detect.sigma.logsources import Logsource
from istmo.detect.sigma.rules import Rule
from istmo.detect.sigma.ruleset import RuleSet

REMEMBERED = 4096
"""Classes of events whose rules are remembered; past it the memory starts anew."""


class Match(NamedTuple):
    """A rule that an event matches, and by what."""

    rule_id: str
    title: str
    level: str
    matched: Evidence
    """Field to the value by which the rule holds; what only a ``not`` looked at is not among them."""
    selections: tuple[str, ...]
    """Search identifiers that held and counted for the condition."""


class RuleMatcher:
    """One rule ready to be asked."""

    __slots__ = ("_searches", "holds", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._searches = {name: SearchMatcher(search) for name, search in rule.searches.items()}
        self.holds = self._question(rule.condition)

    def _question(self, condition: Condition) -> Question:
        if isinstance(condition, Name):
            return self._searches[condition.name].holds
        if isinstance(condition, Not):
            inner = self._question(condition.of)
            return lambda view: not inner(view)
        parts = [self._question(one) for one in condition.of]
        return linked(parts, any if isinstance(condition, Or) else all)

    def match(self, view: EventView) -> Match:
        """The match with its evidence, for an event that the rule holds for."""
        names: dict[str, None] = {}
        self._contributors(self.rule.condition, view, names)
        evidence: Evidence = {}
        for name in names:
            self._searches[name].collect(view, evidence)
        return Match(self.rule.id, self.rule.title, self.rule.level, evidence, tuple(names))

    def _contributors(self, condition: Condition, view: EventView, into: dict[str, None]) -> None:
        """Names by which a condition that holds does so; what stands under ``not`` shows nothing."""
        if isinstance(condition, Name):
            into[condition.name] = None
        elif isinstance(condition, Not):
            if isinstance(condition.of, Not):
                self._contributors(condition.of.of, view, into)
        else:
            for one in condition.of:
                if self._question(one)(view):
                    self._contributors(one, view, into)


class Evaluator:
    """A rule set asked about events. Matchers are made when an event first needs them.

    ``previous`` lends those of rules that are still the same, so that a change of one rule costs
    one matcher. Not safe to share between threads.
    """

    def __init__(self, ruleset: RuleSet, previous: Evaluator | None = None) -> None:
        self.ruleset = ruleset
        lent = {} if previous is None else previous._matchers
        self._matchers: dict[str, RuleMatcher] = {
            id_: one for id_, one in lent.items() if ruleset.by_id.get(id_) is one.rule
        }
        self._routes: dict[tuple[Logsource, ...], tuple[RuleMatcher, ...]] = {}

    def match(
        self, event_fields: Mapping[str, Any], logsource: Logsource | Iterable[Logsource]
    ) -> list[Match]:
        """Every rule that the event matches, in the order of the rule set.

        ``event_fields`` in Sigma's taxonomy; ``logsource`` one or all that the event belongs to.
        """
        sources = (logsource,) if isinstance(logsource, Logsource) else tuple(logsource)
        view = EventView(event_fields)
        return [matcher.match(view) for matcher in self.rules_for(sources) if matcher.holds(view)]

    def rules_for(self, sources: tuple[Logsource, ...]) -> tuple[RuleMatcher, ...]:
        """The rules that are meant for events of these log sources."""
        route = self._routes.get(sources)
        if route is None:
            if len(self._routes) >= REMEMBERED:
                self._routes.clear()
            route = self._routes[sources] = tuple(
                self._matcher(rule) for rule in self.ruleset.rules if rule.logsource.covers_any(sources)
            )
        return route

    def _matcher(self, rule: Rule) -> RuleMatcher:
        matcher = self._matchers.get(rule.id)
        if matcher is None:
            matcher = self._matchers[rule.id] = RuleMatcher(rule)
        return matcher
