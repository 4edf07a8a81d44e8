"""Literals that every match of a regular expression holds, read from its parse tree."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from functools import lru_cache
from re import _constants as kinds  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

from istmo.detect.sigma.texts import fold
from istmo.detect.sigma.values import Expression

_MOST: Final = 32
"""Alternatives that are followed at once."""
_FLAGS: Final = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}
_DIFFERS: Final = re.compile(r"\[\[:|\[\^?\]|\\[QECzvpPX]|\{,")
"""What Python reads otherwise than RE2: such an expression is asked each time."""

Run = tuple[str, ...]
"""Texts of which one stands there."""


@lru_cache(maxsize=4096)
def required_literals(expression: Expression) -> tuple[frozenset[str], ...]:
    """Sets of folded literals; every text in which the expression is found holds one of each set."""
    if _DIFFERS.search(expression.pattern.replace("\\\\", "")):  # an escaped backslash escapes nothing itself
        return ()
    flags = 0
    for name in expression.flags:
        flags |= _FLAGS[name]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = parser.parse(expression.pattern, flags)
    except (re.error, RecursionError, OverflowError):
        return ()
    found = (frozenset(map(fold, run)) for run in _sequence(tree))
    return tuple(dict.fromkeys(one for one in found if all(one)))


def _sequence(items: Iterable[tuple[Any, Any]]) -> list[Run]:
    """Runs of characters that follow each other, and what groups between them require."""
    found: list[Run] = []
    run: Run = ("",)
    for kind, content in items:
        characters = _characters(kind, content)
        if characters is not None and len(run) * len(characters) <= _MOST:
            run = tuple(before + one for before in run for one in characters)
            continue
        if kind is kinds.AT:  # an anchor is no character, and what stands around it still touches
            continue
        found.append(run)
        run = characters if characters is not None else ("",)
        if characters is None:
            found += _required(kind, content)
    found.append(run)
    return [one for one in found if one != ("",)]


def _characters(kind: Any, content: Any) -> Run | None:
    """The characters of which one stands here; None where it is not one of a few."""
    if kind is kinds.LITERAL:
        return (chr(content),)
    if kind is kinds.IN and len(content) <= 8 and all(inner is kinds.LITERAL for inner, _ in content):
        return tuple(sorted({chr(code) for _, code in content}))
    if kind in _REPEATS and content[0] == content[1] == 1 and len(content[2]) == 1:
        return _characters(*content[2][0])
    return None


_REPEATS: Final = frozenset({kinds.MAX_REPEAT, kinds.MIN_REPEAT})


def _required(kind: Any, content: Any) -> list[Run]:
    """What a group, a repeat or a branch requires."""
    if kind is kinds.SUBPATTERN:
        return _sequence(content[3])
    if kind in _REPEATS:
        return _sequence(content[2]) if content[0] >= 1 else []
    if kind is kinds.BRANCH:
        branches = [_sequence(branch) for branch in content[1]]
        if not all(branches):
            return []
        return [tuple(sorted({text for runs in branches for text in _longest(runs)}))]
    return []


def _longest(runs: Sequence[Run]) -> Run:
    return max(runs, key=lambda run: min(map(len, run)))
