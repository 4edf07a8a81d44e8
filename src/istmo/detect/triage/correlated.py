"""Correlations over what a hunt's rules match: gathered from all files, judged in the order of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from istmo.detect.attack import techniques_of
from istmo.detect.normalise import NormalEvent
from istmo.detect.sigma import Correlation, RuleSet
from istmo.detect.sigma.correlating import CorrelationMatch, Correlator
from istmo.detect.stories import from_micros, to_micros
from istmo.detect.triage.findings import MOST_CONTRIBUTIONS, Findings, Group, Row
from istmo.errors import InvalidInput, IstmoError
from istmo.model import instants


class Contribution(NamedTuple):
    """A match that correlations may count: when, of which rule, and the fields that they may ask for."""

    time: int
    rule: str
    fields: dict[str, Any]
    place: tuple[str, int, str]
    """File, number of the event in it, host."""


class Gatherer:
    """Keeps what the correlations of a rule set need of its rules' matches."""

    def __init__(self, ruleset: RuleSet) -> None:
        self.is_idle = not ruleset.correlations
        self._concerned = frozenset(id_ for one in ruleset.correlations for id_ in one.rule_ids)
        self._silent = ruleset.silent
        self._fields = {name for one in ruleset.correlations for name in _asked(one)}

    def is_silent(self, rule_id: str) -> bool:
        """Whether a rule is but a part of a correlation."""
        return rule_id in self._silent

    def gather(self, rule_id: str, event: NormalEvent, place: tuple[str, int, str], into: Findings) -> None:
        """Keep a match, where a correlation asks for it."""
        if rule_id not in self._concerned:
            return
        if event.time is None:
            into.without_time += 1
        elif len(into.contributions) >= MOST_CONTRIBUTIONS:
            into.left_out += 1
        else:
            fields = {name: event.fields[name] for name in self._fields if name in event.fields}
            into.contributions.append(Contribution(to_micros(event.time), rule_id, fields, place))


def _asked(correlation: Correlation) -> Iterable[str]:
    yield from correlation.group_by
    yield from correlation.fields
    for by_reference in correlation.aliases.values():
        yield from by_reference.values()


def correlate(
    ruleset: RuleSet,
    findings: Findings,
    keep: Callable[[Row], None],
    words: Callable[[IstmoError], dict[str, str]],
) -> None:
    """Judge all that was gathered, and add what matches to the findings; tell what could not be judged."""
    for n, code in (
        (findings.left_out, "detect.hunt_correlations_full"),
        (findings.without_time, "detect.hunt_correlations_time"),
    ):
        if n:
            findings.tell("", 0, words(InvalidInput(code, n=n)))
    by_id = {one.id: one for one in ruleset.correlations}
    correlator = Correlator(ruleset, lateness=0)
    gathered = sorted(findings.contributions, key=lambda one: one.time)
    found: list[CorrelationMatch] = []
    for at, one in enumerate(gathered):
        found += correlator.feed(one.rule, one.fields, one.time, at)
    if gathered:
        found += correlator.flush(gathered[-1].time)
    for match in found:
        correlation = by_id[match.correlation_id]
        last = gathered[int(match.references[-1])]
        row = _row(correlation, match, last)
        findings.add(_group(correlation), row)
        keep(row)
    findings.contributions = []


def _group(one: Correlation) -> Group:
    return Group(
        "correlation", one.id, one.title, one.level, one.author, one.license, techniques_of(one.tags)
    )


def _row(one: Correlation, match: CorrelationMatch, last: Contribution) -> Row:
    file, number, host = last.place
    return {
        "time": instants.format(from_micros(match.first)),
        "level": one.level,
        "title": one.title,
        "id": one.id,
        "kind": "correlation",
        "techniques": list(techniques_of(one.tags)),
        "host": host,
        "channel": "",
        "event_id": "",
        "record": "",
        "file": file,
        "number": number,
        "matched": {
            **match.group,
            one.type: f"{match.value:g}",
            "until": instants.format(from_micros(match.last)),
        },
    }
