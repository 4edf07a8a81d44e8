"""STIX patterns, read for detection (STIX 2.1 section 9).

Most indicators are one comparison, or a list of them joined by OR: a strict scanner of our own reads
those (it accepts a small part of the grammar and nothing beyond it). Everything else goes through
stix2-patterns' ANTLR grammar, which is also the oracle of the scanner in the tests. A pattern that
is valid but cannot be served is kept, with the reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from istmo.model import pattern_grammar as grammar
from istmo.model.observables import PLACED, PROPERTIES, Sort
from istmo.model.pattern_plans import MOST_OBSERVATIONS, Refused, Term, plan_text, read_term, serve
from istmo.model.pattern_tree import Observation, Operator

__all__ = ["Pattern", "Term", "read_pattern", "unescape"]

MAX_PARSED = 16_384
"""Characters: the grammar's parser is slow, and a pattern comes from outside."""
MAX_NESTING = 24
MAX_SCANNED = 1 << 20


@dataclass(frozen=True)
class Pattern:
    """A pattern as detection sees it: any one of ``terms`` is a match, unless there is a ``plan``.

    With a plan (``pattern_plans``) it says what is a match; the terms are the values that it looks up.
    ``not_detected`` is the catalogue key of the reason why the pattern, or a part of it, is not
    watched for; with terms or a plan beside it, the other parts are (``…partly``).
    """

    text: str
    terms: tuple[Term, ...]
    not_detected: str | None = None
    plan: str | None = None

    @property
    def is_detected(self) -> bool:
        return bool(self.terms) or self.plan is not None


def read_pattern(text: str, language: str = "stix") -> Pattern:
    """Read a pattern. ``language`` is the indicator's ``pattern_type``.

    Raises InvalidInput("pattern.invalid", line, column, near) or ("pattern.unfinished", line, column) when it
    is not in the STIX grammar, or InvalidInput("instant.invalid").
    A pattern of another language is kept unread.
    """
    if language != "stix":
        return Pattern(text, (), "pattern.not_detected.language")
    fast = _scan(text)
    if fast is not None:
        return fast
    if len(text) > MAX_PARSED or grammar.nesting(text) > MAX_NESTING:
        return Pattern(text, (), "pattern.not_detected.too_complex")
    try:
        return _served(text, grammar.read(text))
    except (grammar.TooComplex, RecursionError):
        return Pattern(text, (), "pattern.not_detected.too_complex")


def _served(text: str, found: Observation) -> Pattern:
    """What of a parsed pattern can be served."""
    served = serve(found)
    why = None if not served.reasons else "partly" if served.is_anything else served.reasons[0]
    return Pattern(
        text, tuple(served.terms), None if why is None else f"pattern.not_detected.{why}", served.plan
    )


@dataclass
class _Scanned:
    """What the strict scanner has found so far."""

    terms: dict[Term, None] = field(default_factory=dict)
    seen: list[Any] = field(default_factory=list)
    """The comparisons of each observation, as a plan has them."""
    is_placed: bool = False
    """Whether a value counts in some fields alone: then the terms do not say all."""

    def add(self, path: tuple[str, ...], operator: str, value: str) -> list[Any] | None:
        """The node of one value, if it is served."""
        found = PROPERTIES.get(path)
        if found is None or found.sort is not Sort.TERM:
            return None
        try:
            term = read_term(found.term, Operator(operator), value)
        except Refused:
            return None
        self.terms[term] = None
        self.is_placed |= found.name in PLACED
        return ["t", *term, found.name]

    def end(self, comparisons: list[Any]) -> None:
        self.seen.append(_either(comparisons))

    def pattern(self, text: str) -> Pattern | None:
        if not self.is_placed:
            return Pattern(text, tuple(self.terms))
        if len(self.seen) > MOST_OBSERVATIONS:
            return None
        whole = [["o", number] for number in range(len(self.seen))]
        plan = plan_text(self.seen, whole[0] if len(whole) == 1 else ["or", *whole])
        return Pattern(text, tuple(self.terms), plan=plan)


def _either(nodes: list[Any]) -> Any:
    return nodes[0] if len(nodes) == 1 else ["|", *nodes]


# The strict scanner. Blanks are plain spaces and keywords stand free, so that it accepts less than
# the grammar does, never more.
_STRING = r"'((?:[^'\\\x00-\x1f\x7f]|\\['\\])*)'"
_KEY = r"\.(?:[a-z_]+|MD5|'(?:MD5|SHA-1|SHA-256|SHA-512)')"
_LEFT = re.compile(rf" *([a-z0-9-]+):([a-z_]+(?:{_KEY})*)(?: *(=) *| +(ISSUBSET) +| +(IN) *\( *)", re.ASCII)
_VALUE = re.compile(_STRING)
_COMMA = re.compile(r" *, *")
_CLOSE = re.compile(r" *\)")
_OR = re.compile(r" +OR +")
_END = re.compile(r" *\]")
_NEXT = re.compile(r" +OR +\[")
_ESCAPE = re.compile(r"\\(['\\])")


def unescape(literal: str) -> str:
    """The text between the quotes of a string literal, its escapes undone."""
    return _ESCAPE.sub(r"\1", literal) if "\\" in literal else literal


def _scan(text: str) -> Pattern | None:
    """The pattern, if it is a list of served comparisons joined by OR and all values are good."""
    if not text.startswith("[") or len(text) > MAX_SCANNED:
        return None
    scanned, comparisons = _Scanned(), list[Any]()
    place = 1
    while True:
        after = _scan_comparison(text, place, scanned, comparisons)
        if after is None:
            return None
        if joined := _OR.match(text, after):
            place = joined.end()
            continue
        end = _END.match(text, after)
        if end is None:
            return None
        scanned.end(comparisons)
        comparisons = []
        if end.end() == len(text):
            return scanned.pattern(text)
        following = _NEXT.match(text, end.end())
        if following is None:
            return None
        place = following.end()


def _scan_comparison(text: str, place: int, scanned: _Scanned, comparisons: list[Any]) -> int | None:
    left = _LEFT.match(text, place)
    if left is None:
        return None
    path = (left[1], *left[2].replace("'", "").split("."))
    operator = left[3] or left[4] or left[5]
    place = left.end()
    nodes: list[Any] = []
    while True:
        value = _VALUE.match(text, place)
        if value is None:
            return None
        node = scanned.add(path, operator, unescape(value[1]))
        if node is None:
            return None
        nodes.append(node)
        place = value.end()
        if operator == "IN":
            if comma := _COMMA.match(text, place):
                place = comma.end()
                continue
            close = _CLOSE.match(text, place)
            if close is None:
                return None
            place = close.end()
        comparisons.append(_either(nodes))
        return place
