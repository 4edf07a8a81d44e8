"""Filters (filters specification 2.1): what an institution knows to be harmless, said once for many rules.

A filter's condition is joined by *and* to the condition of each rule that it concerns, so whatever
evaluates rules meets ordinary rules.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from istmo.detect.sigma.conditions import And, Condition, Name, Not, Or
from istmo.detect.sigma.detections import Search
from istmo.detect.sigma.documents import Document, List, Map
from istmo.detect.sigma.limits import STANDARD, RuleLimits
from istmo.detect.sigma.logsources import Logsource
from istmo.detect.sigma.modifiers import Placeholders
from istmo.detect.sigma.problems import Problem, Refused
from istmo.detect.sigma.rules import Rule, checked_title, parse_logsource, parse_searches, text


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter, checked by itself."""

    id: str
    title: str
    logsource: Logsource
    """It concerns no rule outside: each attribute that it names must be the rule's."""
    references: tuple[str, ...]
    """Ids or names of rules; empty for every rule of the log source (``any``)."""
    searches: dict[str, Search] = field(repr=False)
    condition: Condition = field(repr=False)
    description: str = ""
    file: str = ""
    line: int = 0
    reference_line: int = 0
    digest: str = ""


def parse_filter(
    document: Document,
    file: str = "",
    *,
    placeholders: Placeholders | None = None,
    limits: RuleLimits = STANDARD,
) -> Filter:
    """The filter that a document holds, its references not looked up yet.

    Raises Refused with the reason and line.
    """
    content: Map = document.content
    title = checked_title(content, limits)
    section = content["filter"]
    if not isinstance(section, Map):
        raise Refused("no_filter", content.line_of("filter"))
    references = _references(section, limits)
    searches, condition = parse_searches(section, frozenset({"rules"}), placeholders, limits)
    if not _has_not(condition):
        # The specification's own example means by ``selection`` what is to be left out, its reference
        # implementation what is to be kept. Guessing wrong would switch detection off in silence.
        raise Refused("filter_without_not", section.line_of("condition"))
    digest = hashlib.sha256(document.text.encode("utf-8", "surrogatepass")).hexdigest()
    return Filter(
        id=text(content, "id").lower() or f"unnamed-{digest[:32]}",
        title=title,
        logsource=parse_logsource(content),
        references=references,
        searches=searches,
        condition=condition,
        description=text(content, "description"),
        file=file,
        line=document.line,
        reference_line=section.line_of("rules"),
        digest=digest,
    )


def _references(section: Map, limits: RuleLimits) -> tuple[str, ...]:
    written = section.get("rules")
    line = section.line_of("rules")
    if isinstance(written, str) and written.strip().lower() == "any":
        return ()
    elements = written if isinstance(written, List) else [written]
    if not all(isinstance(one, str) and one for one in elements) or "rules" not in section:
        raise Refused("references", line)
    if len(elements) > limits.filter_references:
        raise Refused("too_many_references", line, limit=limits.filter_references)
    return tuple(dict.fromkeys(elements))


def _has_not(condition: Condition) -> bool:
    if isinstance(condition, Name):
        return False
    return isinstance(condition, Not) or any(map(_has_not, condition.of))


@dataclass(frozen=True, slots=True)
class Filtered:
    """Rules with their filters in them."""

    rules: tuple[Rule, ...]
    applied: dict[str, tuple[str, ...]]
    """Ids of filters by the id of the rule that they were joined to."""
    problems: tuple[Problem, ...]


def apply_filters(
    rules: Sequence[Rule], filters: Sequence[Filter], names: dict[str, list[str]], others: Iterable[str] = ()
) -> Filtered:
    """Join each filter to the rules that it concerns.

    ``names``: ids by id and by name, of rules and correlations alike; ``others``: ids of correlations,
    which have no event of their own to filter.
    """
    by_id = {rule.id: rule for rule in rules}
    strangers = frozenset(others)
    concerned: dict[str, list[Filter]] = {}
    problems: list[Problem] = []
    for one in filters:
        found = 0
        if one.references:
            wanted: list[str] = []
            for reference in one.references:
                ids = names.get(reference) or names.get(reference.lower()) or []
                if not ids:
                    problems.append(_told(one, "filter_unknown_rule", name=reference[:200]))
                elif not strangers.isdisjoint(ids):
                    problems.append(_told(one, "filter_on_correlation", name=reference[:200]))
                wanted += [id_ for id_ in ids if id_ in by_id]
        else:
            wanted = list(by_id)
        for id_ in dict.fromkeys(wanted):
            if one.logsource.covers(by_id[id_].logsource):
                concerned.setdefault(id_, []).append(one)
                found += 1
            elif one.references:
                problems.append(_told(one, "filter_other_logsource", name=by_id[id_].title))
        if not found:
            problems.append(_told(one, "filter_without_rules"))
    joined = tuple(join_filters(rule, concerned.get(rule.id, ())) for rule in rules)
    applied = {id_: tuple(one.id for one in found) for id_, found in concerned.items()}
    return Filtered(joined, applied, tuple(problems))


def _told(one: Filter, code: str, **params: str) -> Problem:
    return Problem(code, one.file, one.reference_line or one.line, params, one.title)


def join_filters(rule: Rule, filters: Sequence[Filter]) -> Rule:
    """The rule with these filters in its condition; its digest says so."""
    if not filters:
        return rule
    searches = dict(rule.searches)
    conditions = [rule.condition]
    digest = hashlib.sha256(rule.digest.encode())
    for one in filters:
        names: dict[str, str] = {}
        for name, search in one.searches.items():
            apart = f"{one.title}: {name}"
            while apart in searches:
                apart += "'"
            names[name] = apart
            searches[apart] = search
        conditions.append(_renamed(one.condition, names))
    for digest_of_filter in sorted(one.digest for one in filters):
        digest.update(digest_of_filter.encode())
    return replace(rule, searches=searches, condition=And(tuple(conditions)), digest=digest.hexdigest())


def _renamed(condition: Condition, names: dict[str, str]) -> Condition:
    if isinstance(condition, Name):
        return Name(names[condition.name])
    if isinstance(condition, Not):
        return Not(_renamed(condition.of, names))
    parts = tuple(_renamed(one, names) for one in condition.of)
    return And(parts) if isinstance(condition, And) else Or(parts)
