"""The published rules read by another parser, pySigma, and asked by a naive evaluator of its tree.

pySigma is the reference implementation's parser; where it departs from the specification
(``docs/decisions``) the two may differ, and this test says by which rules.
"""

from __future__ import annotations

import ipaddress
import random
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sigma import conditions as c
from sigma import types as t
from sigma.collection import SigmaCollection
from sigma.rule import SigmaRule

from istmo.detect.normalise import normalise
from istmo.detect.sigma import Logsource, Rule, RuleSet
from istmo.detect.sigma.evaluator import RuleMatcher
from istmo.detect.sigma.fields import EventView
from istmo.detect.sigma.values import Network, Number, Text, Value, Wildcard

from .recordings import RULES, recorded_events

Fields = dict[str, Any]
SAMPLE = 2_000
"""Of the recorded events of a class, every so-manieth is asked."""
MADE = 5
"""Events made from each rule's own values."""


def texts(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list):
        return [one for element in value for one in texts(element)]
    return [str(value).lower() if isinstance(value, bool) else str(value)]


def pattern(value: t.SigmaString) -> str:
    signs = {t.SpecialChars.WILDCARD_MULTI: ".*", t.SpecialChars.WILDCARD_SINGLE: "."}
    return "".join(re.escape(part) if isinstance(part, str) else signs[part] for part in value.s)


def holds(value: t.SigmaType, field: str | None, event: Fields) -> bool:
    found = event.get(field) if field else list(event.values())
    if isinstance(value, t.SigmaExpansion):
        return any(holds(one, field, event) for one in value.values)
    if isinstance(value, t.SigmaNull):
        return not texts(found)
    if isinstance(value, t.SigmaExists):
        return (field in event) is value.exists
    if isinstance(value, t.SigmaFieldReference):
        return any(a.lower() == b.lower() for a in texts(found) for b in texts(event.get(value.field)))
    if isinstance(value, t.SigmaRegularExpression):
        flags = [getattr(re, flag.name) for flag in value.flags]
        wanted = re.compile(str(value.regexp), sum(flags, re.RegexFlag(0)))
        return any(wanted.search(one) for one in texts(found))
    if isinstance(value, t.SigmaCIDRExpression):
        return any(in_network(one, value.network) for one in texts(found))
    if isinstance(value, t.SigmaString):
        flags = 0 if isinstance(value, t.SigmaCasedString) else re.IGNORECASE
        test = re.search if field is None else re.fullmatch
        return any(test(pattern(value), one, flags | re.DOTALL) for one in texts(found))
    if isinstance(value, (t.SigmaNumber, t.SigmaBool)):
        wanted_text = str(value).lower()
        if field is None:  # a keyword, number or not, may stand anywhere in the message
            return any(wanted_text in one.lower() for one in texts(found))
        return wanted_text in [one.lower() for one in texts(found)]
    raise AssertionError(f"the naive evaluator knows no {type(value).__name__}")


def in_network(text: str, network: Any) -> bool:
    try:
        address = ipaddress.ip_address(text.split("%")[0])
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address in network


def truth(node: Any, event: Fields) -> bool:
    if isinstance(node, c.ConditionAND):
        return all(truth(one, event) for one in node.args)
    if isinstance(node, c.ConditionOR):
        return any(truth(one, event) for one in node.args)
    if isinstance(node, c.ConditionNOT):
        return not truth(node.args[0], event)
    if isinstance(node, c.ConditionFieldEqualsValueExpression):
        return holds(node.value, node.field, event)
    assert isinstance(node, c.ConditionValueExpression)
    return holds(node.value, None, event)


def asked(rule: SigmaRule) -> Callable[[Fields], bool]:
    trees = [condition.parsed for condition in rule.detection.parsed_condition]
    return lambda event: any(truth(tree, event) for tree in trees)


def made_for(rule: Rule, chance: random.Random) -> Fields:
    """An event put together from a rule's own values, so that much of it holds."""
    event: Fields = {}
    for search in rule.searches.values():
        if chance.random() < 0.35:
            continue
        for item in chance.choice(search.groups):
            chosen = item.values if item.is_all else [chance.choice(item.values)]
            made = [one for one in (instance(value, chance) for value in chosen) if one is not None]
            if made:
                name = item.field or "Message"
                event[name] = " ".join(made) if len(made) > 1 else made[0]
    if event and chance.random() < 0.3:
        name = chance.choice(sorted(event))
        event[name] = chance.choice([None, "", event[name] + "x", "x" + event[name], event[name][1:]])
    return event


def instance(value: Value, chance: random.Random) -> str | None:
    """A text that a value means."""
    if isinstance(value, Text):
        anything = "".join(chance.choices("ab \\-", k=chance.randrange(4)))
        text = "".join(
            part if isinstance(part, str) else "z" if part is Wildcard.ONE else anything
            for part in value.parts
        )
        return chance.choice([text, text.upper(), text.lower(), text.swapcase()])
    if isinstance(value, Number):
        return chance.choice(sorted(value.spellings))
    if isinstance(value, Network):
        return str(value.network[0])
    return None


def parsed_by_pysigma(shared_data: Path, rules: Iterable[Rule]) -> Iterator[tuple[Rule, SigmaRule]]:
    with zipfile.ZipFile(shared_data / RULES) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for ours in rules:
            (theirs,) = SigmaCollection.from_yaml(archive.read(ours.file).decode()).rules
            assert isinstance(theirs, SigmaRule)
            yield ours, theirs


@pytest.mark.long
@pytest.mark.shared_data
def test_every_published_rule_matches_what_pysigmas_tree_matches(
    released_rules: RuleSet, shared_data: Path
) -> None:
    """On events made from the rule's own values, and on a sample of the recorded ones."""
    recorded: dict[tuple[Logsource, ...], list[Fields]] = {}
    seen: Counter[Any] = Counter()
    for _, raw in recorded_events(shared_data):
        event = normalise(raw)
        key = (event.logsources, event.fields["EventID"])
        seen[key] += 1
        if seen[key] % SAMPLE == 1:
            recorded.setdefault(event.logsources, []).append(event.fields)
    chance = random.Random(2026)
    differing: set[str] = set()
    answers: Counter[bool] = Counter()
    for ours, theirs in parsed_by_pysigma(shared_data, released_rules.rules):
        events = [made_for(ours, chance) for _ in range(MADE)]
        for sources, found in recorded.items():
            if ours.logsource.covers_any(sources):
                events += found
        matcher, is_asked = RuleMatcher(ours), asked(theirs)
        for event in events:
            answer = matcher.holds(EventView(event))
            answers[answer] += 1
            if answer is not is_asked(event):
                differing.add(ours.title)
    assert answers[True] > 5_000
    assert answers[False] > 10_000
    assert differing == set()
