"""Narrowing down: which events of a segment may answer a query, without reading them.

What comes out is never too little: each event that the question holds for is among the candidates.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import orjson
import re2  # type: ignore[import-untyped]

from istmo.detect.eventstore.columns import column_name
from istmo.detect.eventstore.frames import Index
from istmo.detect.eventstore.lines import place_of_id
from istmo.detect.search.query import (
    And,
    FieldIs,
    FieldRange,
    Node,
    Not,
    Or,
    Query,
    Text,
    network_of,
    pieces_of,
)
from istmo.detect.wire import Position

_ALL: Final = "true"
_NONE: Final = "false"
_TELLING: Final = 8
"""Pieces of one value that the columns are asked for, the longest ones: more would hardly narrow further."""
_ID: Final = re.compile(r"[0-9]{1,18}-[0-9]{1,18}")
# Letters that are not ASCII and become ASCII in lower case (Kelvin sign, dotted capital I), and escapes
# that hide a letter: lines with these are read rather than guessed at.
_FRACTION: Final = re.compile(r"-?\d*(\.\d*(e[+-]?\d*)?|e[+-]?\d*)|-\d*|[+-]")
_EXPONENT: Final = re.compile(rb"[:,\[]\s*-?[0-9.]+[eE]")
_HIDDEN: Final = (("\u212a".encode(), b"k"), ("\u0130".encode(), b"i"), (b"\\/", b"/"))
"""What hides a letter, and which one."""
_ESCAPED: Final = re.compile(rb"\\u[0-9a-fA-F]{4}")
"""What ``\\users`` is not: most of what looks like an escape is a folder's name."""


def condition_of(query: Query, index: Index) -> tuple[str, list[object]]:
    """SQL over the segment's columns, and its values. ``true`` where columns cannot tell."""
    values: list[object] = []
    condition = _condition(query.node, index, values)
    if query.start is not None:
        condition = f"({condition}) AND time >= ?"
        values.append(query.start)
    if query.end is not None:
        condition = f"({condition}) AND time < ?"
        values.append(query.end)
    return condition, values


def _condition(node: Node, index: Index, values: list[object]) -> str:
    match node:
        case And(of=of):
            parts = [part for one in of if (part := _condition(one, index, values)) != _ALL]
            return " AND ".join(f"({part})" for part in parts) or _ALL
        case Or(of=of):
            mark = len(values)
            parts = [_condition(one, index, values) for one in of]
            if _ALL in parts:
                del values[mark:]
                return _ALL
            return " OR ".join(f"({part})" for part in parts)
        case FieldIs():
            return _field_condition(node, index, values)
        case FieldRange():
            return _of_columns(
                node.name, index, lambda column, is_list: _within(column, node, values, is_list)
            )
        case Not() | Text():
            return _ALL


def _field_condition(node: FieldIs, index: Index, values: list[object]) -> str:
    return _of_columns(
        node.name, index, lambda column, is_list: _text_condition(column, node, values, is_list=is_list)
    )


def _of_columns(written: str, index: Index, condition: Callable[[str, bool], str]) -> str:
    """A condition on each column in which a field of this name rests, whether it holds lists or not."""
    name = written.lower()
    if name == "id":
        return _ALL
    if name in ("host", "source"):
        return condition(name, False)
    if any(other.lower() == name for other in index.others):
        return _ALL
    columns = [field for field in index.columns if field.lower() == name]
    lists = {field for field in index.lists if field.lower() == name}
    parts = [condition(column_name(field), field in lists) for field in columns]
    return " OR ".join(f"({part})" for part in parts) or _NONE


def _within(column: str, node: FieldRange, values: list[object], is_list: bool) -> str:
    if node.is_time or is_list:
        return f"{column} IS NOT NULL"
    # Bounds are let in on both sides: whether they belong to it is the question's to say.
    tests = []
    for sign, bound in ((">=", node.low), ("<=", node.high)):
        if bound is not None:
            tests.append(f"try_cast({column} AS DOUBLE) {sign} ?")
            values.append(bound)
    return " AND ".join(tests)


def _text_condition(column: str, node: FieldIs, values: list[object], *, is_list: bool) -> str:
    """What at least every text that the value matches fulfils.

    Without the order of the pieces: LIKE tries every way to share a text out among several wildcards.
    Letters outside ASCII count as wildcards, since two programs need not agree on their lower case.
    """
    if network_of(node) is not None:
        return f"{column} IS NOT NULL"
    unsure = r"[*?]|[^\x00-\x7f]" if node.has_wildcards else r"[^\x00-\x7f]"
    first, *others = re.split(unsure, node.value.lower())
    if not others and not is_list:
        values.append(first)
        return f"lower({column}) = ?"
    tests, pieces = [f"{column} IS NOT NULL"], [first, *others]
    if others and not is_list:
        tests += [f"starts_with(lower({column}), ?)", f"ends_with(lower({column}), ?)"]
        values += [pieces.pop(0), pieces.pop()]
    telling = sorted({piece for piece in pieces if piece}, key=len, reverse=True)[:_TELLING]
    values += telling
    return " AND ".join(tests + [f"contains(lower({column}), ?)"] * len(telling))


def place_asked_for(query: Query) -> Position | None:
    """The one place in the log where an event must stand that the query holds for; None without an id."""
    nodes = [query.node]
    while nodes:
        node = nodes.pop()
        if isinstance(node, And):
            nodes += node.of
        elif isinstance(node, FieldIs) and node.name.lower() == "id" and _ID.fullmatch(node.value):
            return place_of_id(node.value)
    return None


class LineFilter:
    """A quick look at stored lines in bytes, for a query that has texts that must be in them."""

    def __init__(self, needed: list[bytes]) -> None:
        self._needed = needed
        self._telling = max(needed, key=len)
        letters = b"".join(needed)
        self._hidden = tuple(mark for mark, letter in _HIDDEN if letter in letters)
        self._has_digits = any(piece.isdigit() for piece in needed)
        # One pass over a block, whatever there is to look for: each by itself takes a pass of its own.
        may_be = [b"(?i:" + re2.escape(self._telling) + b")", _ESCAPED.pattern]
        may_be += [re2.escape(hidden) if hidden.isascii() else hidden for hidden in self._hidden]
        may_be += [_EXPONENT.pattern] if self._has_digits else []
        self._may_be = re2.compile(b"|".join(may_be))

    def may_hold(self, line: bytes) -> bool:
        """Whether the question may hold for a line."""
        low = line.lower()
        if all(piece in low for piece in self._needed) or any(hidden in line for hidden in self._hidden):
            return True
        if _ESCAPED.search(line):
            return True
        return self._has_digits and _EXPONENT.search(line) is not None

    def lines_in(self, block: bytes) -> list[tuple[int, bytes]]:
        """Those lines of a block for which it may hold, by their number in it.

        The block is searched as a whole: most have none, and are never taken apart.
        """
        starts: list[int] = []
        after = 0
        while hit := self._may_be.search(block, after):
            starts.append(block.rfind(b"\n", 0, hit.start()) + 1)
            after = block.find(b"\n", hit.start()) + 1
            if not after:
                break
        found: list[tuple[int, bytes]] = []
        number = counted = 0
        for start in starts:
            number += block.count(b"\n", counted, start)
            counted = start
            end = block.find(b"\n", start) + 1
            line = block[start : end or len(block)]
            if self.may_hold(line):
                found.append((number, line))
        return found


def line_filter_of(query: Query) -> LineFilter | None:
    """A filter for the query; None where it has no text that must be in a line."""
    needed = [piece for text in _required_texts(query.node) for piece in _pieces(text)]
    return LineFilter(needed) if needed else None


def _required_texts(node: Node) -> list[Text]:
    if isinstance(node, Text):
        return [node]
    if isinstance(node, And):
        return [text for one in node.of for text in _required_texts(one)]
    return []


def _pieces(text: Text) -> list[bytes]:
    """Stretches of ASCII letters as JSON writes them. Fractions are left out: JSON has several ways."""
    found: list[bytes] = []
    for piece in pieces_of(text.text, has_wildcards=text.has_wildcards):
        for part in "".join(letter if letter.isascii() else "\0" for letter in piece).split("\0"):
            if part and not _FRACTION.fullmatch(part):
                found.append(orjson.dumps(part)[1:-1].lower())
    return found
