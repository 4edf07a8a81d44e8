"""Matching text with wildcards, in time that no pattern can blow up."""

from __future__ import annotations

from collections.abc import Callable

from istmo.detect.sigma.values import Parts, Wildcard

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
    """A test of a whole text against parts; the common placements by the string methods they are."""
    segments = split_segments(parts)
    literals = ["".join(piece for piece in segment if piece is not None) for segment in segments]
    has_single = any(piece is None for segment in segments for piece in segment)
    if has_single or len(segments) > 3 or (len(segments) == 3 and (literals[0] or literals[2])):
        return lambda text: matches_wildcards(segments, text)
    if len(segments) == 1:
        return literals[0].__eq__
    if len(segments) == 3:
        middle = literals[1]
        return lambda text: middle in text
    before, after = literals
    if not after:
        return lambda text: text.startswith(before)
    if not before:
        return lambda text: text.endswith(after)
    shortest = len(before) + len(after)
    return lambda text: len(text) >= shortest and text.startswith(before) and text.endswith(after)
