"""The condition of a rule (rules specification, "Condition").

``or`` binds least, then ``and``, ``not``, ``1 of`` / ``all of``, and parentheses most.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import msgspec

from istmo.detect.sigma.limits import STANDARD, RuleLimits
from istmo.detect.sigma.problems import Refused
from istmo.detect.sigma.values import Part, Parts, Wildcard
from istmo.detect.sigma.wildcards import matches_wildcards, split_segments


class Name(msgspec.Struct, frozen=True, tag=True):
    """A search identifier."""

    name: str


class Not(msgspec.Struct, frozen=True, tag=True):
    of: Condition


class And(msgspec.Struct, frozen=True, tag=True):
    of: tuple[Condition, ...]


class Or(msgspec.Struct, frozen=True, tag=True):
    of: tuple[Condition, ...]


Condition = Name | Not | And | Or

_TOKEN = re.compile(r"\s*(?:([()|])|([^\s()|]+))")
OPERATORS = frozenset({"and", "or", "not", "of"})
"""Words that are never search identifiers. ``all``, ``any`` and ``1`` are operators before ``of`` alone."""


def parse_condition(text: str, names: Collection[str], limits: RuleLimits = STANDARD) -> Condition:
    """The tree of a condition over these search identifiers, ``1 of …`` already spelled out.

    Raises Refused: not a condition, a name that is not there, an aggregation (Sigma 1).
    """
    return parse_conditions([text], names, limits)[0]


def parse_conditions(
    texts: Sequence[str], names: Collection[str], limits: RuleLimits = STANDARD
) -> tuple[Condition, ...]:
    """The trees of the conditions of one rule, which share what its limits allow."""
    if sum(map(len, texts)) > limits.condition_characters:
        raise Refused("condition_too_long", limit=limits.condition_characters)
    selected = _Selected(names, limits.operands)
    return tuple(_Parser(text, names, limits, selected).whole() for text in texts)


class _Selected:
    """What selectors come to, each pattern worked out once; all of it together is bounded."""

    def __init__(self, names: Collection[str], most: int) -> None:
        self._names, self._most = names, most
        self._left = most
        self._known: dict[str, tuple[Name, ...]] = {}

    def by(self, pattern: str) -> tuple[Name, ...]:
        """The search identifiers that a pattern selects."""
        if pattern not in self._known:
            self._known[pattern] = tuple(Name(name) for name in self._names if is_selected(name, pattern))
        self.spend(len(self._known[pattern]))
        return self._known[pattern]

    def spend(self, operands: int) -> None:
        """So many operands more stand in the rule."""
        self._left -= operands
        if self._left < 0:
            raise Refused("too_many_operands", limit=self._most)


class _Parser:
    def __init__(self, text: str, names: Collection[str], limits: RuleLimits, selected: _Selected) -> None:
        self.text, self.names, self.limits, self.selected = text, names, limits, selected
        self.tokens = [one or other for one, other in _TOKEN.findall(text)]
        if "|" in self.tokens:
            raise Refused("aggregation", is_not_served=True, condition=text[:200])
        self.at = 0
        self.depth = 0

    def whole(self) -> Condition:
        if not self.tokens:
            raise Refused("condition_empty")
        found = self.disjunction()
        if self.at < len(self.tokens):
            raise self.unexpected()
        return found

    def peek(self, ahead: int = 0) -> str:
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ""

    def word(self, ahead: int = 0) -> str:
        return self.peek(ahead).lower()

    def unexpected(self) -> Refused:
        return Refused("condition_unexpected", token=self.peek(), condition=self.text[:200])

    def disjunction(self) -> Condition:
        parts = [self.conjunction()]
        while self.word() == "or":
            self.at += 1
            parts.append(self.conjunction())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def conjunction(self) -> Condition:
        parts = [self.negation()]
        while self.word() == "and":
            self.at += 1
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def negation(self) -> Condition:
        is_negated = False
        while self.word() == "not":
            is_negated = not is_negated
            self.at += 1
        found = self.operand()
        return Not(found) if is_negated else found

    def operand(self) -> Condition:
        word = self.peek()
        if not word or word == ")" or word.lower() in OPERATORS:
            raise self.unexpected()
        self.at += 1
        if word == "(":
            return self.group()
        if self.word() == "of" and self.peek(1) not in ("", "(", ")"):
            return self.selector(word)
        if word not in self.names:
            raise Refused("unknown_identifier", name=word, condition=self.text[:200])
        self.selected.spend(1)
        return Name(word)

    def group(self) -> Condition:
        self.depth += 1
        if self.depth > self.limits.condition_depth:
            raise Refused("condition_too_deep", limit=self.limits.condition_depth)
        found = self.disjunction()
        if self.peek() != ")":
            raise self.unexpected()
        self.at += 1
        self.depth -= 1
        return found

    def selector(self, quantity: str) -> Condition:
        pattern = self.peek(1)
        self.at += 2
        if quantity.lower() not in ("1", "any", "all"):
            raise Refused("quantity", quantity=quantity, condition=self.text[:200])
        found = self.selected.by(pattern)
        if not found:
            raise Refused("nothing_selected", pattern=pattern, condition=self.text[:200])
        if len(found) == 1:
            return found[0]
        return And(found) if quantity.lower() == "all" else Or(found)


def is_selected(name: str, pattern: str) -> bool:
    """Whether ``them`` or a pattern with ``*`` selects a search identifier.

    Names that begin with an underscore are left out, unless the pattern itself begins with one.
    """
    if name.startswith("_") and not pattern.startswith("_"):
        return False
    if pattern == "them":
        return True
    return matches_wildcards(split_segments(parse_stars(pattern)), name)


def parse_stars(pattern: str) -> Parts:
    """A selector's pattern: ``*`` alone is special here, and nothing escapes it."""
    parts: list[Part] = []
    for position, piece in enumerate(pattern.split("*")):
        if position:
            parts.append(Wildcard.MANY)
        if piece:
            parts.append(piece)
    return tuple(parts)
