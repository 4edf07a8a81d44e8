"""One rule asked about one event, for tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from istmo.detect.sigma import Evaluator, Logsource, Match, Problem, RuleSet, load_rules
from istmo.kit.i18n import Catalogue

CATALOGUE = Catalogue(strict=True)
ANY = Logsource("test", "windows", "test")


def rules(detection: str, **more: str) -> RuleSet:
    """A rule set of one rule with this detection section (YAML, not indented)."""
    extra = "".join(f"{name}: {value}\n" for name, value in more.items())
    body = "\n".join("    " + line for line in detection.strip("\n").splitlines())
    text = f"title: A rule\nid: r1\n{extra}logsource:\n    category: test\ndetection:\n{body}\n"
    if "condition:" not in detection:
        text += "    condition: selection\n"
    return load_rules(text.encode())


def match(detection: str, event: dict[str, Any]) -> Match | None:
    """The match of a detection with an event; fails where the rule is refused."""
    loaded = rules(detection)
    assert not loaded.problems, loaded.problems
    found = Evaluator(loaded).match(event, ANY)
    return found[0] if found else None


def matches(detection: str, event: dict[str, Any]) -> bool:
    return match(detection, event) is not None


def item(key: str, value: str, event: dict[str, Any]) -> bool:
    """Whether ``key: value`` (value as YAML) holds for an event."""
    return matches(f"selection:\n    {key}: {value}", event)


def refusal(detection: str, **more: str) -> str:
    """The code of the problem for which a rule is refused."""
    loaded = rules(detection, **more)
    assert not loaded.rules, "the rule was accepted"
    tell(loaded.problems)
    return loaded.problems[0].code


def tell(problems: Iterable[Problem]) -> None:
    """Each problem has words in both languages, and all that the words ask for."""
    for problem in problems:
        for language in ("es", "en"):
            assert CATALOGUE.text(language, problem.key, **problem.params)
