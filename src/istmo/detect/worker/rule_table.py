"""The node's rules, correlations and filters as they are now, made into one rule set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from istmo.detect.sigma import (
    AskedPlaceholders,
    Correlation,
    Filter,
    ReadPart,
    ReadRule,
    Rule,
    RuleFile,
    RuleSet,
    combine,
    read_rules,
)
from istmo.detect.sigma import Problem as Unusable
from istmo.detect.sigma.engine import Engine, PlanFolder
from istmo.detect.wire import Problem, WireRule

MOST_PROBLEMS: Final = 10_000
Part = Rule | Correlation | Filter


@dataclass(frozen=True)
class _Read:
    """One of the web process's documents, read."""

    document: WireRule
    parts: tuple[Part, ...]
    problems: tuple[Unusable, ...]
    asked: frozenset[str]
    """The value lists that it asks for."""


@dataclass(frozen=True)
class InForce:
    """What the documents come to at one time. The engine is for one thread."""

    ruleset: RuleSet = field(default_factory=RuleSet)
    """Filters in their rules, correlations whose parts are all there."""
    engine: Engine = field(default_factory=lambda: Engine(RuleSet()))
    keys: Mapping[str, str] = field(default_factory=dict)
    """The web process's key by the id of a rule, correlation or filter."""
    problems: tuple[Problem, ...] = ()
    """Everything that could not be used as it is meant."""

    def __len__(self) -> int:
        """Rules and correlations."""
        return len(self.ruleset.rules) + len(self.ruleset.correlations)


class RuleTable:
    """Documents by the web process's key; from them one rule set, and the engine that asks it.

    It may be changed by one thread while another goes on with what was in force before.
    """

    def __init__(self, plans: PlanFolder | None = None) -> None:
        self._plans = plans
        self._read: dict[str, _Read] = {}
        self._lists: dict[str, list[str]] = {}
        self.in_force = InForce()

    def put(
        self, documents: list[WireRule], *, reset: bool = False, lists: Mapping[str, list[str]] | None = None
    ) -> None:
        """Add or replace documents, and all value lists where they are given. One bad rule costs no other."""
        if reset:
            # What comes again unchanged is not read again.
            before, self._read = self._read, {}
        else:
            before = self._read
        changed = self._take_lists(lists)
        for document in documents:
            known = before.get(document.id)
            is_same = known is not None and known.document.text == document.text
            if known is not None and is_same and changed.isdisjoint(known.asked):
                self._read[document.id] = replace(known, document=document)
            else:
                self._read[document.id] = self._read_document(document)
        for key, one in self._read.items():
            if not changed.isdisjoint(one.asked):
                self._read[key] = self._read_document(one.document)
        self._build()

    def drop(self, ids: list[str]) -> None:
        """Let go of documents."""
        for id_ in ids:
            self._read.pop(id_, None)
        self._build()

    def _take_lists(self, lists: Mapping[str, list[str]] | None) -> frozenset[str]:
        """The value lists as they are now; names of those that are not what they were."""
        if lists is None:
            return frozenset()
        before, self._lists = self._lists, dict(lists)
        return frozenset(name for name in {*before, *lists} if before.get(name) != lists.get(name))

    def _read_document(self, document: WireRule) -> _Read:
        lists = AskedPlaceholders(self._lists)
        parts: list[Part] = []
        problems: list[Unusable] = []
        for one in read_rules([RuleFile(document.id, document.text.encode())], lists):
            if isinstance(one, ReadRule):
                parts.append(one.rule)
            elif isinstance(one, ReadPart):
                parts.append(one.part)
            else:
                problems.append(one)
        return _Read(document, tuple(parts), tuple(problems), frozenset(lists.asked))

    def _build(self) -> None:
        first: dict[str, Part] = {}
        keys: dict[str, str] = {}
        for key, read in self._read.items():
            for part in read.parts:
                if first.setdefault(part.id, part) is part:
                    keys[part.id] = key
        whole = combine(
            [one for one in first.values() if isinstance(one, Rule)],
            [one for one in first.values() if isinstance(one, Correlation)],
            [one for one in first.values() if isinstance(one, Filter)],
        )
        enabled = [id_ for id_, key in keys.items() if self._read[key].document.is_enabled]
        in_force = whole.only(enabled)
        problems = tuple(self._told(whole, in_force, frozenset(enabled)))
        before = self.in_force.engine
        known = before.ruleset.by_id
        ruleset = replace(in_force, rules=tuple(_same(one, known) for one in in_force.rules), by_id={})
        engine = Engine(ruleset, before, self._plans)
        engine.prepare(before)
        self.in_force = InForce(ruleset, engine, keys, problems)

    def _told(self, whole: RuleSet, in_force: RuleSet, enabled: frozenset[str]) -> list[Problem]:
        found = [one for read in self._read.values() for one in read.problems]
        found += whole.problems
        in_use = {one.id for one in in_force.correlations}
        titles = {one.id: one.title for one in whole.correlations}
        for one in whole.correlations:
            if one.id in enabled and one.id not in in_use:
                (name, *_) = (titles[id_] for id_ in one.rule_ids if id_ in titles and id_ not in in_use)
                found.append(Unusable("unknown_reference", one.file, one.line, {"name": name}))
        told: dict[str, Problem] = {}
        for problem in found:
            if problem.file not in told and self._read[problem.file].document.is_enabled:
                told[problem.file] = _problem(problem)
        return list(told.values())[:MOST_PROBLEMS]


def _same(rule: Rule, known: Mapping[str, Rule]) -> Rule:
    """The rule as the engine has it, where that is the same: filters make a new one each time."""
    before = known.get(rule.id)
    return before if before is not None and before.digest == rule.digest else rule


def _problem(problem: Unusable) -> Problem:
    told: dict[str, str | int] = {"reason": problem.code, "line": problem.line}
    told |= {name: _plain(value) for name, value in problem.params.items()}
    return Problem(problem.file, "detect.rule_unusable", told)


def _plain(value: Any) -> str | int:
    return value if isinstance(value, (str, int)) else str(value)
