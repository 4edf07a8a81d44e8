"""Many rules at once: what could be loaded, and what could not, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from istmo.detect.sigma.documents import read_documents
from istmo.detect.sigma.files import RuleFile, rule_files
from istmo.detect.sigma.limits import STANDARD, RuleLimits
from istmo.detect.sigma.modifiers import Placeholders
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
) -> RuleSet:
    """Every rule of a folder, a YAML file (of one document or many) or a zip, or of their bytes.

    Never raises for what the source holds: a rule that cannot be used becomes a Problem with
    file, line and reason, and the others are loaded.
    """
    return collect_rules(rule_files(source, limits), placeholders, progress, limits)


def collect_rules(
    files: Iterable[RuleFile | Problem],
    placeholders: Placeholders | None = None,
    progress: Progress | None = None,
    limits: RuleLimits = STANDARD,
) -> RuleSet:
    """The rules of these files, as :func:`load_rules` gives them."""
    rules: dict[str, Rule] = {}
    problems: list[Problem] = []
    for count, found in enumerate(files, 1):
        for one in [found] if isinstance(found, Problem) else _rules_of(found, placeholders, limits):
            if isinstance(one, Problem):
                problems.append(one)
            elif one.id in rules:
                first = rules[one.id]
                told = {"id": one.id, "file": first.file, "line": first.line}
                problems.append(Problem("duplicate_id", one.file, one.line, told, one.title))
            else:
                rules[one.id] = one
        if progress is not None:
            progress(count, len(rules))
        if len(problems) > limits.problems:
            problems.append(Problem("too_many_problems", "", params={"limit": limits.problems}))
            break
    return RuleSet(tuple(rules.values()), tuple(problems))


def _rules_of(
    file: RuleFile, placeholders: Placeholders | None, limits: RuleLimits
) -> Iterator[Rule | Problem]:
    try:
        for document in read_documents(file.data, limits):
            try:
                yield parse_rule(document, file.name, placeholders=placeholders, limits=limits)
            except Refused as refused:
                yield refused.at(document.line).problem(file.name, title_of(document))
    except Refused as refused:
        yield refused.problem(file.name)
