"""Matching text with wildcards, in time that no pattern can blow up."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Final

import re2  # type: ignore[import-untyped]

from istmo.detect.sigma.expressions import compile_bytes, most_letters
from istmo.detect.sigma.values import Part, Parts, Wildcard

_MANY: Final = 4_000
"""Letters of a text, times the literals looked for in it, from which one search is quicker than each."""

Segment = tuple[str | None, ...]
"""What stands between two ``*``: literal pieces, and None for each ``?``."""


def split_segments(parts: Parts) -> tuple[Segment, ...]:
    """A text's parts cut at every ``*``: one segment more than there are stars."""
    segments: list[list[str | None]] = [[]]
    for part in parts:
        if part is Wildcard.MANY:
            segments.append([])
        elif part is Wildcard.ONE:
            segments[-1].append(None)
        else:
            segments[-1].append(str(part))
    return tuple(tuple(segment) for segment in segments)


def matches_wildcards(segments: tuple[Segment, ...], text: str) -> bool:
    """Whether the whole text is the segments with anything between them.

    The first segment must begin the text and the last must end it; those between are taken at
    the earliest place each, which leaves the most room for the rest.
    """
    first, *between = segments
    at = fits(first, text, 0)
    if at < 0:
        return False
    if not between:
        return at == len(text)
    last = between.pop()
    end = len(text) - length(last)
    for segment in between:
        at = find(segment, text, at)
        if at < 0:
            return False
    return at <= end and fits(last, text, end) >= 0


def length(segment: Segment) -> int:
    return sum(1 if piece is None else len(piece) for piece in segment)


def fits(segment: Segment, text: str, at: int) -> int:
    """Where the segment ends when it stands at a place of the text; -1 when it does not."""
    for piece in segment:
        if piece is None:
            at += 1
            if at > len(text):
                return -1
        elif text.startswith(piece, at):
            at += len(piece)
        else:
            return -1
    return at


def find(segment: Segment, text: str, at: int) -> int:
    """Where the earliest occurrence of the segment from a place on ends; -1 when there is none."""
    if len(segment) == 1 and segment[0] is not None:
        found = text.find(segment[0], at)
        return -1 if found < 0 else found + len(segment[0])
    for start in range(at, len(text) - length(segment) + 1):
        end = fits(segment, text, start)
        if end >= 0:
            return end
    return -1


def text_test(parts: Parts) -> Callable[[str], bool]:
    """A test of a whole text against parts."""
    segments = split_segments(parts)
    return lambda text: matches_wildcards(segments, text)


def holds_any_of(literals: Sequence[str]) -> Callable[[str], bool]:
    """A test whether one of many literals stands in a text: all of them looked for at once."""
    encoded = [re2.escape(one.encode("utf-8", "surrogatepass")) for one in literals]

    def one_by_one(text: str) -> bool:
        return any(one in text for one in literals)

    try:
        compiled = compile_bytes(b"|".join(encoded), is_text=False)
    except re2.error:  # together they are too large
        return one_by_one
    search, most = compiled.search, most_letters(compiled)

    def holds(text: str) -> bool:
        if len(text) > most:
            return one_by_one(text)
        return search(text.encode("utf-8", "surrogatepass")) is not None

    return holds


def wildcards_test(alternatives: Sequence[Parts]) -> Callable[[str], bool]:
    """A test of a whole text against parts, one of which must fit: as one expression where that can be."""
    segments = [split_segments(parts) for parts in alternatives]

    def one_by_one(text: str) -> bool:
        return any(matches_wildcards(one, text) for one in segments)

    try:
        written = "|".join("".join(map(_as_expression, parts)) for parts in alternatives)
        compiled = compile_bytes(f"(?s)\\A(?:{written})\\z".encode())
    except (re2.error, UnicodeEncodeError):
        return one_by_one
    search, most = compiled.search, most_letters(compiled)

    def holds(text: str) -> bool:
        if len(text) <= most:
            with suppress(UnicodeEncodeError):
                return search(text.encode()) is not None
        return one_by_one(text)

    return holds


def _as_expression(part: Part) -> str:
    if isinstance(part, Wildcard):
        return ".*" if part is Wildcard.MANY else "."
    return str(re2.escape(part))


def any_text_test(alternatives: Sequence[Parts]) -> Callable[[str], bool]:
    """A test whether one of several holds; common placements by the string methods that they are.

    Alternatives for the same text are gathered: equal texts in one set, beginnings and endings in
    one call each.
    """
    equal: set[str] = set()
    beginnings: list[str] = []
    endings: list[str] = []
    inside: list[str] = []
    others: list[Parts] = []
    for parts in alternatives:
        match parts:
            case ():
                equal.add("")
            case (str(literal),):
                equal.add(literal)
            case (str(literal), Wildcard.MANY):
                beginnings.append(literal)
            case (Wildcard.MANY, str(literal)):
                endings.append(literal)
            case (Wildcard.MANY, str(literal), Wildcard.MANY):
                inside.append(literal)
            case _:
                others.append(parts)
    begin, end = tuple(beginnings), tuple(endings)
    wild = cache(lambda: wildcards_test(others))
    together = cache(lambda: holds_any_of(inside))
    many = _MANY // len(inside) if len(inside) > 1 else sys.maxsize

    def holds(text: str) -> bool:
        if text in equal or text.endswith(end) or text.startswith(begin):
            return True
        if len(text) > many:
            if together()(text):
                return True
        else:
            for literal in inside:
                if literal in text:
                    return True
        return bool(others) and wild()(text)

    if not inside and not others and not begin:
        if not end:
            return equal.__contains__
        if not equal:
            return lambda text: text.endswith(end)
    if len(inside) == 1 and not (equal or begin or end or others):
        only = inside[0]
        return lambda text: only in text
    return holds
