"""Small rules, correlations over them, and events for them, for tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from istmo.detect.sigma import Problem, RuleSet, load_rules
from istmo.detect.sigma.correlating import CorrelationMatch, Correlator
from istmo.detect.sigma.correlating.oracle import Event, Verdict
from istmo.detect.sigma.texts import fold

from .asking import tell

SECOND = 1_000_000
RULE = """title: Rule {0}
id: {0}
name: name_{0}
logsource: {{product: windows}}
detection: {{selection: {{A: b}}, condition: selection}}
"""


def base_rules(names: Iterable[str] = "abc") -> str:
    return "---\n".join(RULE.format(name) for name in names)


def correlation(id_: str, **section: str) -> str:
    """A correlation rule; values as YAML."""
    body = "".join(f"    {key.replace('_', '-')}: {value}\n" for key, value in section.items())
    return f"title: Correlation {id_}\nid: {id_}\nname: name_{id_}\ncorrelation:\n{body}"


def loaded(*documents: str, rules: str = "abc") -> RuleSet:
    """A rule set of some rules and these documents; fails where one is refused."""
    found = load_rules("---\n".join([base_rules(rules), *documents]).encode())
    assert not found.problems, [str(problem) for problem in found.problems]
    return found


def problems(*documents: str, rules: str = "abc") -> list[Problem]:
    found = load_rules("---\n".join([base_rules(rules), *documents]).encode())
    tell(found.problems)
    return list(found.problems)


def refusal(**section: str) -> str:
    """The code for which a correlation over rule ``a`` is refused."""
    whole = {"type": "event_count", "rules": "[a]", "timespan": "1m", "condition": "{gte: 2}"} | section
    (problem,) = problems(correlation("k", **{key: value for key, value in whole.items() if value}))
    assert problem.line
    return problem.code


def at(seconds: float, rule: str = "a", **fields: Any) -> Event:
    return Event(round(seconds * SECOND), rule, fields)


def run(ruleset: RuleSet, events: Sequence[Event], **options: Any) -> list[CorrelationMatch]:
    """All matches of these events, fed in this order; each event is known by its position."""
    correlator = Correlator(ruleset, **options)
    found = [
        match
        for position, event in enumerate(events)
        for match in correlator.feed(event.rule_id, event.fields, event.time, position)
    ]
    return found + correlator.flush(1 << 60)


def told(match: CorrelationMatch) -> tuple[int, str, tuple[str, ...], float]:
    group = tuple(map(fold, match.group.values()))
    return match.last, match.correlation_id, group, float(match.value)


def told_by_oracle(verdict: Verdict) -> tuple[int, str, tuple[str, ...], float]:
    return verdict.time, verdict.correlation_id, verdict.group, float(verdict.value)
