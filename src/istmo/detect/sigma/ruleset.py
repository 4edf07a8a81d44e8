"""Many rules at once: what could be loaded, and what could not, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Protocol

from istmo.detect.sigma.correlations import Correlation, parse_correlation
from istmo.detect.sigma.documents import Document, read_documents
from istmo.detect.sigma.files import RuleFile, rule_files
from istmo.detect.sigma.filters import Filter, apply_filters, parse_filter
from istmo.detect.sigma.limits import STANDARD, RuleLimits
from istmo.detect.sigma.modifiers import Placeholders
from istmo.detect.sigma.pipelines import KeptPlaceholders, Pipeline, apply_pipelines
from istmo.detect.sigma.placeholders import AskedPlaceholders
from istmo.detect.sigma.problems import Problem, Refused
from istmo.detect.sigma.references import names_of, resolve, silent_of
from istmo.detect.sigma.rules import Rule, content_of, parse_rule, title_of

Progress = Callable[[int, int], None]
"""Called with the number of files read and of rules so far."""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules in the order of their files, each id once, filters already in them."""

    rules: tuple[Rule, ...] = ()
    problems: tuple[Problem, ...] = ()
    correlations: tuple[Correlation, ...] = ()
    """Parts before what is made of them."""
    filters: tuple[Filter, ...] = ()
    applied: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Ids of the filters that were joined to a rule, by the rule's id."""
    silent: frozenset[str] = frozenset()
    """Ids of rules and correlations that raise no alert of their own: parts of a correlation without
    ``generate: true``.
    """
    by_id: dict[str, Rule] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.by_id.update((rule.id, rule) for rule in self.rules)

    def only(self, ids: Iterable[str]) -> RuleSet:
        """The same set with these rules and correlations alone (those that are enabled).

        A correlation needs all its parts. A part stays silent also where its correlation is not among
        them: nobody asked for an alert on each failed logon.
        """
        wanted = frozenset(ids)
        correlations: list[Correlation] = []
        kept = {rule.id for rule in self.rules if rule.id in wanted}
        for one in self.correlations:  # parts come first
            if one.id in wanted and kept.issuperset(one.rule_ids):
                correlations.append(one)
                kept.add(one.id)
        return replace(
            self,
            rules=tuple(rule for rule in self.rules if rule.id in wanted),
            correlations=tuple(correlations),
            applied={id_: found for id_, found in self.applied.items() if id_ in wanted},
            by_id={},
        )


def load_rules(
    source: Path | str | bytes,
    *,
    placeholders: Placeholders | None = None,
    progress: Progress | None = None,
    limits: RuleLimits = STANDARD,
    pipelines: Sequence[Pipeline] = (),
    kept: Kept | None = None,
) -> RuleSet:
    """Every rule of a folder, a YAML file (of one document or many) or a zip, or of their bytes.

    Never raises for what the source holds: a rule that cannot be used becomes a Problem with
    file, line and reason, and the others are loaded. ``pipelines`` change each rule once it is read.
    """
    return collect_rules(rule_files(source, limits), placeholders, progress, limits, pipelines, kept)


def collect_rules(
    files: Iterable[RuleFile | Problem],
    placeholders: Placeholders | None = None,
    progress: Progress | None = None,
    limits: RuleLimits = STANDARD,
    pipelines: Sequence[Pipeline] = (),
    kept: Kept | None = None,
) -> RuleSet:
    """The rules of these files, as :func:`load_rules` gives them."""
    rules: list[Rule] = []
    correlations: list[Correlation] = []
    filters: list[Filter] = []
    problems: list[Problem] = []

    def told(found: Iterable[RuleFile | Problem]) -> Iterator[RuleFile | Problem]:
        for count, file in enumerate(found, 1):
            yield file
            if progress is not None:
                progress(count, len(rules))

    for one in read_rules(told(files), placeholders, limits, pipelines, kept):
        if isinstance(one, Problem):
            problems.append(one)
        elif isinstance(one, ReadRule):
            rules.append(one.rule)
        elif isinstance(one.part, Correlation):
            correlations.append(one.part)
        else:
            filters.append(one.part)
    return combine(rules, correlations, filters, problems, limits)


def combine(
    rules: Sequence[Rule],
    correlations: Sequence[Correlation] = (),
    filters: Sequence[Filter] = (),
    problems: Iterable[Problem] = (),
    limits: RuleLimits = STANDARD,
) -> RuleSet:
    """A rule set of what was read one by one: references looked up, filters joined to their rules.

    Ids must be unique. The rules come unfiltered, as :func:`read_rules` gives them.
    """
    names = names_of(rules, correlations)
    filtered = apply_filters(rules, filters, names, [one.id for one in correlations])
    resolved, refused = resolve(correlations, names, limits)
    return RuleSet(
        filtered.rules,
        (*problems, *filtered.problems, *refused)[: limits.problems + 1],
        resolved,
        tuple(filters),
        filtered.applied,
        silent_of(resolved),
    )


class ReadRule(NamedTuple):
    """A rule with the YAML document that it was read from, as it came."""

    rule: Rule
    text: str


class ReadPart(NamedTuple):
    """A correlation rule or a filter, with its document; its references are not looked up yet."""

    part: Correlation | Filter
    text: str


Read = ReadRule | ReadPart | Problem
"""What a document of a rule file came to."""


class Kept(Protocol):
    """Where files that were read before are found again (:class:`.kept_rules.KeptRules`)."""

    def get(self, file: RuleFile) -> list[Read] | None:
        """What the file came to; None where it was not read yet."""
        ...

    def put(self, file: RuleFile, read: list[Read]) -> None:
        """Remember what a file came to."""
        ...


def read_rules(
    files: Iterable[RuleFile | Problem],
    placeholders: Placeholders | None = None,
    limits: RuleLimits = STANDARD,
    pipelines: Sequence[Pipeline] = (),
    kept: Kept | None = None,
) -> Iterator[Read]:
    """Rules, correlations, filters and problems of these files one by one, for who keeps their text.

    An id that comes twice is a problem the second time; too many problems end it.
    """
    first: dict[str, Rule | Correlation | Filter] = {}
    problems = 0
    for file in files:
        for one in (
            [file]
            if isinstance(file, Problem)
            else _find_or_read(file, placeholders, limits, pipelines, kept)
        ):
            if not isinstance(one, Problem):
                found = one.rule if isinstance(one, ReadRule) else one.part
                if found.id not in first:
                    first[found.id] = found
                    yield one
                    continue
                one = _duplicate(found, first[found.id])
            problems += 1
            if problems > limits.problems:
                yield Problem("too_many_problems", "", params={"limit": limits.problems})
                return
            yield one


def _duplicate(one: Rule | Correlation | Filter, first: Rule | Correlation | Filter) -> Problem:
    told = {"id": one.id, "file": first.file, "line": first.line}
    return Problem("duplicate_id", one.file, one.line, told, one.title)


def _find_or_read(
    file: RuleFile,
    placeholders: Placeholders | None,
    limits: RuleLimits,
    pipelines: Sequence[Pipeline],
    kept: Kept | None,
) -> Iterable[Read]:
    """What a file holds: as it was read before, where nothing but its bytes decides."""
    if kept is None or placeholders or pipelines or limits != STANDARD:
        return _read_file(file, placeholders, limits, pipelines)
    found = kept.get(file)
    if found is None:
        found = list(_read_file(file, placeholders, limits, pipelines))
        kept.put(file, found)
    return found


def _read_file(
    file: RuleFile, placeholders: Placeholders | None, limits: RuleLimits, pipelines: Sequence[Pipeline]
) -> Iterator[Read]:
    if pipelines:
        placeholders = KeptPlaceholders(placeholders)
    try:
        for document in read_documents(file.data, limits):
            try:
                yield _read_document(document, file.name, placeholders, limits, pipelines)
            except Refused as refused:
                yield refused.at(document.line).problem(file.name, title_of(document))
    except Refused as refused:
        yield refused.problem(file.name)


def _read_document(
    document: Document,
    file: str,
    placeholders: Placeholders | None,
    limits: RuleLimits,
    pipelines: Sequence[Pipeline],
) -> ReadRule | ReadPart:
    content = content_of(document)
    if "correlation" in content:
        return ReadPart(parse_correlation(document, file, limits), document.text)
    lists = AskedPlaceholders(placeholders)
    if "filter" in content:
        part = parse_filter(document, file, placeholders=lists, limits=limits)
        # What is kept of a rule by its digest holds the values of its lists too.
        digest = lists.digest_of(part.digest) if lists.asked else part.digest
        return ReadPart(replace(part, digest=digest), document.text)
    rule = parse_rule(document, file, placeholders=lists, limits=limits)
    if lists.asked:
        rule = replace(rule, digest=lists.digest_of(rule.digest))
    return ReadRule(apply_pipelines(rule, pipelines, limits) if pipelines else rule, document.text)
