"""The query language: what ``docs/search.md`` tells, as a tree and as a question about one event.

``field:value`` (``*`` and ``?`` are wildcards, ``field:=value`` takes them as they stand), ``field:>=10``,
``field:10..20`` (numbers or times), ``"quoted"``
(``""`` inside is one quote), a bare word is free text, ``AND`` (or nothing between), ``OR``, ``NOT``
(or ``-``), parentheses, ``from:`` and ``to:``. Case does not matter; a backslash is a backslash.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from istmo.detect.eventstore.times import to_micros
from istmo.detect.normalise.times import read_time
from istmo.errors import InvalidInput, TooLarge

LONGEST: Final = 4096
"""Characters of a query."""
MOST_TERMS: Final = 100
DEEPEST: Final = 20

NUMBER: Final = r"-?[0-9]{1,30}(\.[0-9]{1,30})?"
"""What is compared as a number, for RE2 as well."""
_NUMBER = re.compile(NUMBER)
_COMPARED = re.compile(r"(>=|<=|>|<)(.+)", re.DOTALL)
_BETWEEN = re.compile(r"(.+?)\.\.(.+)", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<paren>[()])
      | (?P<minus>-)(?=[^\s)])
      | (?:(?P<field>[^\s:()"]+):(?P<literal>=)?)?
        (?: "(?P<quoted>(?:[^"]|"")*)" | (?P<bare>[^\s()"]+) )
      | (?P<wrong>\S)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Text:
    """Free text: some value of the event contains it."""

    text: str
    has_wildcards: bool = True


@dataclass(frozen=True)
class FieldIs:
    """A field's value as a whole matches."""

    name: str
    value: str
    has_wildcards: bool = True


@dataclass(frozen=True)
class Not:
    of: Node


@dataclass(frozen=True)
class And:
    of: tuple[Node, ...]


@dataclass(frozen=True)
class Or:
    of: tuple[Node, ...]


@dataclass(frozen=True)
class FieldRange:
    """A field's value, as a number or as a time, lies between two bounds; None where there is none."""

    name: str
    low: float | None
    high: float | None
    is_time: bool
    """Bounds and values are instants, in microseconds since 1970."""
    with_low: bool = True
    with_high: bool = True

    def holds(self, text: str) -> bool:
        """Whether a text is a number, or a time, within the bounds."""
        found = time_of(text) if self.is_time else number_of(text)
        if found is None:
            return False
        if self.low is not None and (found < self.low or (found == self.low and not self.with_low)):
            return False
        return self.high is None or found < self.high or (found == self.high and self.with_high)


Node = Text | FieldIs | FieldRange | Not | And | Or


@dataclass(frozen=True)
class Query:
    """A parsed query; ``start`` (included) and ``end`` (excluded) in µs since 1970."""

    node: Node
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class _Token:
    kind: str
    node: Text | FieldIs | FieldRange | None
    at: int


def parse_query(text: str) -> Query:
    """Read a query; an empty one means every event.

    Raises InvalidInput with the place (``at``, from 1) of what is wrong, TooLarge past a limit.
    """
    if len(text) > LONGEST:
        raise TooLarge("detect.query_too_long", limit=LONGEST)
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        if len(self._tokens) > MOST_TERMS * 2:
            raise TooLarge("detect.query_too_long", limit=MOST_TERMS)
        self._next = 0
        self._length = len(text)
        self._time_at: int | None = None
        self._has_top_or = False
        self._start: int | None = None
        self._end: int | None = None

    def parse(self) -> Query:
        node: Node = And(())
        if self._tokens:
            node = self._either(0)
            if self._next < len(self._tokens):
                raise self._wrong()
            if self._time_at is not None and self._has_top_or:
                raise InvalidInput("detect.query_time_inside", at=self._time_at)
        return Query(node, self._start, self._end)

    def _either(self, depth: int) -> Node:
        if depth > DEEPEST:
            raise TooLarge("detect.query_too_deep", limit=DEEPEST)
        parts = [self._both(depth)]
        while self._peek() == "OR":
            self._next += 1
            parts.append(self._both(depth))
        if len(parts) == 1:
            return parts[0]
        self._has_top_or = self._has_top_or or depth == 0
        return Or(tuple(parts))

    def _both(self, depth: int) -> Node:
        parts: list[Node] = []
        begin = self._next
        while (kind := self._peek()) not in (None, "OR", ")"):
            if kind == "AND":
                self._next += 1
                if begin == self._next - 1 or self._peek() in (None, "OR", "AND", ")"):
                    raise self._wrong(-1)
                continue
            part = self._single(depth)
            if part is not None:
                parts.append(part)
        if begin == self._next:
            raise self._wrong()
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _single(self, depth: int) -> Node | None:
        token = self._tokens[self._next]
        self._next += 1
        if token.kind == "NOT":
            if self._peek() in (None, "OR", "AND", ")"):
                raise self._wrong(-1)
            place = self._next
            of = self._single(depth + 1)
            if of is None:
                raise InvalidInput("detect.query_time_inside", at=self._tokens[place].at + 1)
            return Not(of)
        if token.kind == "(":
            times = self._start, self._end
            node = self._either(depth + 1)
            if self._peek() != ")":
                raise InvalidInput("detect.query_unclosed", at=token.at + 1)
            if times != (self._start, self._end):
                raise InvalidInput("detect.query_time_inside", at=token.at + 1)
            self._next += 1
            return node
        if token.node is None:
            raise self._wrong(-1)
        return self._term(token.node, token, depth)

    def _term(self, node: Text | FieldIs | FieldRange, token: _Token, depth: int) -> Node | None:
        if isinstance(node, FieldIs) and node.name.lower() in ("from", "to"):
            self._take_time(node, token, depth)
            return None
        return node

    def _take_time(self, node: FieldIs, token: _Token, depth: int) -> None:
        if depth:
            raise InvalidInput("detect.query_time_inside", at=token.at + 1)
        self._time_at = token.at + 1
        found = read_time(node.value)
        if found is None:
            raise InvalidInput("detect.query_bad_time", at=token.at + 1, value=node.value[:80])
        if node.name.lower() == "from":
            self._start = to_micros(found[0])
        else:
            self._end = to_micros(found[0])

    def _peek(self) -> str | None:
        return self._tokens[self._next].kind if self._next < len(self._tokens) else None

    def _wrong(self, back: int = 0) -> InvalidInput:
        place = self._next + back
        at = self._tokens[place].at if place < len(self._tokens) else self._length
        return InvalidInput("detect.query_wrong", at=at + 1)


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text) and not text[at:].isspace():
        found = _TOKEN.match(text, at)
        begin = len(text) - len(text[at:].lstrip())
        if found is None or found["wrong"] is not None:
            raise InvalidInput("detect.query_wrong", at=begin + 1)
        at = found.end()
        if found["paren"] or found["minus"]:
            yield _Token(found["paren"] or "NOT", None, begin)
        elif found["bare"] in ("AND", "OR", "NOT") and found["field"] is None:
            yield _Token(found["bare"], None, begin)
        else:
            yield _Token("term", _term(found, begin), begin)


def _term(found: re.Match[str], begin: int) -> Text | FieldIs | FieldRange:
    quoted = found["quoted"]
    value = found["bare"] if quoted is None else quoted.replace('""', '"')
    if found["field"] is None:
        return Text(value)
    if quoted is None and found["literal"] is None and found["field"].lower() not in ("from", "to"):
        within = _range(found["field"], value, begin)
        if within is not None:
            return within
    return FieldIs(found["field"], value, has_wildcards=found["literal"] is None)


def _range(name: str, value: str, begin: int) -> FieldRange | None:
    """What ``>=10`` and ``10..20`` mean; None where the value is no range.

    Raises InvalidInput where something is compared with what is neither a number nor a time.
    """
    if compared := _COMPARED.fullmatch(value):
        sign, bound = compared.groups()
        is_time, (found,) = _bounds(begin, bound)
        if sign[0] == ">":
            return FieldRange(name, found, None, is_time, with_low=sign == ">=")
        return FieldRange(name, None, found, is_time, with_high=sign == "<=")
    between = _BETWEEN.fullmatch(value)
    if between is None or not all(number_of(one) is not None or time_of(one) for one in between.groups()):
        return None  # two dots stand in many a path
    is_time, (low, high) = _bounds(begin, *between.groups())
    return FieldRange(name, low, high, is_time)


def _bounds(begin: int, *texts: str) -> tuple[bool, list[float]]:
    numbers = [one for text in texts if (one := number_of(text)) is not None]
    if len(numbers) == len(texts):
        return False, numbers
    times = [one for text in texts if (one := time_of(text)) is not None]
    if len(times) == len(texts):
        return True, times
    raise InvalidInput("detect.query_bad_bound", at=begin + 1, value=" ".join(texts)[:80])


def number_of(text: str) -> float | None:
    """A decimal number in a text; None for everything else."""
    return float(text) if _NUMBER.fullmatch(text) else None


def time_of(text: str) -> float | None:
    """An instant in a text, in microseconds since 1970 (UTC unless it says so); None for all else."""
    found = None if _NUMBER.fullmatch(text) else read_time(text)
    return None if found is None else float(to_micros(found[0]))


def pieces_of(value: str, *, has_wildcards: bool) -> list[str]:
    """The literal stretches of a value, in lower case, between its wildcards."""
    parts = re.split(r"[*?]", value.lower()) if has_wildcards else [value.lower()]
    return [part for part in parts if part]


def network_of(node: FieldIs) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The range that a value such as ``10.0.0.0/8`` means; None where it is no range."""
    if "/" not in node.value or not node.has_wildcards:
        return None
    try:
        return ipaddress.ip_network(node.value, strict=False)
    except ValueError:
        return None
