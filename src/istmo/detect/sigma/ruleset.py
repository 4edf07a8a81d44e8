"""Many rules at once: what could be loaded, and what could not, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from istmo.detect.sigma.documents import read_documents
from istmo.detect.sigma.files import RuleFile, rule_files
from istmo.detect.sigma.limits import STANDARD, RuleLimits
from istmo.detect.sigma.modifiers import Placeholders
from istmo.detect.sigma.pipelines import KeptPlaceholders, Pipeline, apply_pipelines
from istmo.detect.sigma.problems import Problem, Refused
from istmo.detect.sigma.rules import Rule, parse_rule, title_of

Progress = Callable[[int, int], None]
"""Called with the number of files read and of rules so far."""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules in the order of their files, each id once."""

    rules: tuple[Rule, ...] = ()
    problems: tuple[Problem, ...] = ()
    by_id: dict[str, Rule] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.by_id.update((rule.id, rule) for rule in self.rules)

    def only(self, ids: Iterable[str]) -> RuleSet:
        """The same set with these rules alone (those that are enabled)."""
        wanted = frozenset(ids)
        return RuleSet(tuple(rule for rule in self.rules if rule.id in wanted), self.problems)


def load_rules(
    source: Path | str | bytes,
    *,
    placeholders: Placeholders | None = None,
    progress: Progress | None = None,
    limits: RuleLimits = STANDARD,
    pipelines: Sequence[Pipeline] = (),
) -> RuleSet:
    """Every rule of a folder, a YAML file (of one document or many) or a zip, or of their bytes.

    Never raises for what the source holds: a rule that cannot be used becomes a Problem with
    file, line and reason, and the others are loaded. ``pipelines`` change each rule once it is read.
    """
    return collect_rules(rule_files(source, limits), placeholders, progress, limits, pipelines)


def collect_rules(
    files: Iterable[RuleFile | Problem],
    placeholders: Placeholders | None = None,
    progress: Progress | None = None,
    limits: RuleLimits = STANDARD,
    pipelines: Sequence[Pipeline] = (),
) -> RuleSet:
    """The rules of these files, as :func:`load_rules` gives them."""
    rules: list[Rule] = []
    problems: list[Problem] = []

    def told(found: Iterable[RuleFile | Problem]) -> Iterator[RuleFile | Problem]:
        for count, file in enumerate(found, 1):
            yield file
            if progress is not None:
                progress(count, len(rules))

    for one in read_rules(told(files), placeholders, limits, pipelines):
        if isinstance(one, Problem):
            problems.append(one)
        else:
            rules.append(one.rule)
    return RuleSet(tuple(rules), tuple(problems))


class ReadRule(NamedTuple):
    """A rule with the YAML document that it was read from, as it came."""

    rule: Rule
    text: str


def read_rules(
    files: Iterable[RuleFile | Problem],
    placeholders: Placeholders | None = None,
    limits: RuleLimits = STANDARD,
    pipelines: Sequence[Pipeline] = (),
) -> Iterator[ReadRule | Problem]:
    """Rules and problems of these files one by one, for who keeps the rules' text.

    An id that comes twice is a problem the second time; too many problems end it.
    """
    first: dict[str, Rule] = {}
    problems = 0
    for file in files:
        for one in [file] if isinstance(file, Problem) else _rules_of(file, placeholders, limits, pipelines):
            if isinstance(one, ReadRule) and one.rule.id not in first:
                first[one.rule.id] = one.rule
                yield one
                continue
            problems += 1
            if problems > limits.problems:
                yield Problem("too_many_problems", "", params={"limit": limits.problems})
                return
            yield one if isinstance(one, Problem) else _duplicate(one.rule, first[one.rule.id])


def _duplicate(rule: Rule, first: Rule) -> Problem:
    told = {"id": rule.id, "file": first.file, "line": first.line}
    return Problem("duplicate_id", rule.file, rule.line, told, rule.title)


def _rules_of(
    file: RuleFile, placeholders: Placeholders | None, limits: RuleLimits, pipelines: Sequence[Pipeline]
) -> Iterator[ReadRule | Problem]:
    if pipelines:
        placeholders = KeptPlaceholders(placeholders)
    try:
        for document in read_documents(file.data, limits):
            try:
                rule = parse_rule(document, file.name, placeholders=placeholders, limits=limits)
                yield ReadRule(apply_pipelines(rule, pipelines, limits) if pipelines else rule, document.text)
            except Refused as refused:
                yield refused.at(document.line).problem(file.name, title_of(document))
    except Refused as refused:
        yield refused.problem(file.name)
