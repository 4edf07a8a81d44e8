"""Exceptions: what an institution knows to be harmless, as a Sigma filter made for a single rule.

A person says a field, how it is held against a value, and why; what is kept is an ordinary filter
(filters specification 2.1), which any program that reads Sigma understands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final
from uuid import uuid4

from istmo.detect.objects import Rule, RuleProblem
from istmo.detect.objects_rule import Exempted
from istmo.detect.rule_import import FoundRule, read_here
from istmo.detect.sigma import AskedPlaceholders, Logsource, ReadRule, read_rules, rule_files
from istmo.detect.sigma.documents import read_documents
from istmo.detect.sigma.problems import Refused
from istmo.detect.sigma.rules import content_of, scalar
from istmo.errors import InvalidInput

OPERATORS: Final = ("equals", "contains", "startswith", "endswith", "cidr", "re")
"""How a value is held against a field: Sigma's modifiers, and ``equals`` for none."""
AS_WRITTEN: Final = frozenset({"cidr", "re"})
FILE: Final = "exception"
"""Where a filter is said to come from that was made here."""
MOST_VALUES: Final = 100
LONGEST_VALUE: Final = 1_000
LONGEST_FIELD: Final = 200
LONGEST_REASON: Final = 2_000
_ID: Final = re.compile(r"^id[ \t]*:.*$", re.MULTILINE)
_TITLE: Final = re.compile(r"^title[ \t]*:", re.MULTILINE)


class Unusable(InvalidInput):
    """An exception that Sigma does not allow; ``problem`` says why, with a key of the catalogue."""

    def __init__(self, problem: RuleProblem) -> None:
        super().__init__("detect.exception_unusable")
        self.problem = problem


def checked(given: Exempted) -> Exempted:
    """The same in the form in which it is kept.

    Raises InvalidInput ``detect.exception_name``, ``_field``, ``_operator``, ``_values``, ``_reason``.
    """
    name, field = " ".join(given.name.split()), given.field.strip()
    values = tuple(dict.fromkeys(one.strip() for one in given.values if one.strip()))
    if not name or len(name) > LONGEST_FIELD or not name.isprintable():
        raise InvalidInput("detect.exception_name", limit=LONGEST_FIELD)
    if not field or len(field) > LONGEST_FIELD or not field.isprintable() or "|" in field:
        raise InvalidInput("detect.exception_field", limit=LONGEST_FIELD)
    if given.operator not in OPERATORS:
        raise InvalidInput("detect.exception_operator", known=list(OPERATORS))
    if not values or len(values) > MOST_VALUES or any(len(one) > LONGEST_VALUE for one in values):
        raise InvalidInput("detect.exception_values", most=MOST_VALUES, limit=LONGEST_VALUE)
    reason = given.reason.strip()
    if not reason or len(reason) > LONGEST_REASON:
        raise InvalidInput("detect.exception_reason", limit=LONGEST_REASON)
    return Exempted(name, field, given.operator, values, reason)


def write_filter(rule: Rule, given: Exempted, *, id: str = "", only_for: str = "") -> str:
    """The filter's YAML. ``only_for``: the id of the rule that it names, where not the rule's own."""
    modifier = "" if given.operator == "equals" else f"|{given.operator}"
    values = [one if given.operator in AS_WRITTEN else literal(one) for one in given.values]
    lines = [
        f"title: {_quoted(given.name)}",
        f"id: {id or uuid4()}",
        f"description: {_quoted(given.reason)}",
        f"logsource: {_logsource(rule)}",
        "filter:",
        f"  rules: [{_quoted(only_for or rule.id)}]",
        "  harmless:",
        f"    {_quoted(given.field + modifier)}: [{', '.join(map(_quoted, values))}]",
        "  condition: not harmless",
    ]
    return "\n".join(lines) + "\n"


def read_filter(text: str) -> FoundRule:
    """The filter as the node keeps it. Raises Unusable."""
    found = read_here(text.encode("utf-8", "surrogatepass"))
    if found.problems:
        raise Unusable(found.problems[0].told())
    return found.rules[0]


def said(text: str) -> Exempted | None:
    """What a person said who made a filter here (``write_filter``); None of any other filter."""
    try:
        content = content_of(next(iter(read_documents(text.encode("utf-8", "surrogatepass")))))
    except (Refused, StopIteration):
        return None
    written = content.get("filter")
    given: dict[str, Any] = written if isinstance(written, dict) else {}
    held = given.get("harmless")
    if not isinstance(held, dict) or len(held) != 1 or given.get("condition") != "not harmless":
        return None
    ((key, values),) = held.items()
    field, _, operator = str(key).partition("|")
    operator = operator or "equals"
    found = [scalar(one) for one in values] if isinstance(values, list) else []
    if operator not in OPERATORS or not found or not all(found):
        return None
    plain = found if operator in AS_WRITTEN else [re.sub(r"\\([\\*?])", r"\1", one) for one in found]
    name, reason = scalar(content.get("title")), scalar(content.get("description"))
    return Exempted(name, field, operator, tuple(plain), reason)


def side_by_side(rule: Rule, filters: Iterable[Rule], given: Exempted) -> tuple[str, str]:
    """Documents in which the rule stands as it is, and once more with the exception; that one's id.

    Both are asked in one pass, so that they are asked about the very same events.
    """
    twin = str(uuid4())
    copy = _ID.sub(f"id: {twin}", rule.text, count=1)
    if copy == rule.text:
        copy = _TITLE.sub(f"id: {twin}\ntitle:", rule.text, count=1)
    texts = [rule.text, copy, write_filter(rule, given, only_for=twin)]
    for one in filters:
        texts.append(one.text)
        if rule.id in one.text:
            texts.append(_ID.sub(f"id: {uuid4()}", one.text.replace(rule.id, twin), count=1))
    return "\n---\n".join(text.strip() for text in texts) + "\n", twin


def literal(value: str) -> str:
    """A value in which nothing is a wildcard (rules specification, "Escaping")."""
    return re.sub(r"([\\*?])", r"\\\1", value)


def _logsource(rule: Rule) -> str:
    source = Logsource()
    for one in read_rules(
        rule_files(rule.text.encode("utf-8", "surrogatepass")), AskedPlaceholders(stand_in="1")
    ):
        if isinstance(one, ReadRule):
            source = one.rule.logsource
            break
    parts = (("product", source.product), ("category", source.category), ("service", source.service))
    return "{" + ", ".join(f"{name}: {_quoted(value)}" for name, value in parts if value) + "}"


def _quoted(text: str) -> str:
    # A JSON string is a YAML one. What YAML does not print, JSON says escaped.
    return json.dumps(text, ensure_ascii=not text.isprintable())
