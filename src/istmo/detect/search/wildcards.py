"""Values with ``*`` and ``?`` as tests of a text in lower case, in time that no pattern can blow up.

Whoever may search may write any pattern, and events may be long: one that tries every way to share a
text out among its stars would hold a process for hours.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import re2  # type: ignore[import-untyped]

Test = Callable[[str], bool]

MEMORY: Final = 32 << 20
"""Bytes for one compiled pattern: the longest query is well within."""
_RUN: Final = re.compile(r"[*?]+")


def whole_test(value: str, *, has_wildcards: bool) -> Test:
    """Whether a text as a whole is the value."""
    value = value.lower()
    if not has_wildcards or not _RUN.search(value):
        return lambda text: text == value
    if "?" in value:
        return _expression_test(value)
    return _pieces_test(value.split("*"))


def inside_test(value: str, *, has_wildcards: bool) -> Test:
    """Whether the value stands anywhere in a text."""
    if has_wildcards:
        return whole_test(f"*{value}*", has_wildcards=True)
    value = value.lower()
    return lambda text: value in text


def _pieces_test(pieces: list[str]) -> Test:
    """Literal pieces with any text between them: each at its earliest place leaves most to the rest."""
    first, last = pieces[0], pieces[-1]
    between = [piece for piece in pieces[1:-1] if piece]

    def holds(text: str) -> bool:
        if not text.startswith(first):
            return False
        at, end = len(first), len(text) - len(last)
        for piece in between:
            at = text.find(piece, at)
            if at < 0:
                return False
            at += len(piece)
        return at <= end and text.endswith(last)

    return holds


def _expression_test(value: str) -> Test:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MEMORY
    options.dot_nl = True
    matches = re2.compile(_encoded(_expression(value)), options).fullmatch
    return lambda text: matches(_encoded(text)) is not None


def _expression(value: str) -> str:
    """The value for RE2. Wildcards next to each other are one: so many characters, or more."""
    found, at = [], 0
    for run in _RUN.finditer(value):
        found.append(re2.escape(_replaced(value[at : run.start()])))
        found.append("." * run[0].count("?") + (".*" if "*" in run[0] else ""))
        at = run.end()
    return "".join(found) + str(re2.escape(_replaced(value[at:])))


def _encoded(text: str) -> bytes:
    return _replaced(text).encode()


def _replaced(text: str) -> str:
    """Without halves of surrogate pairs, which JSON may hold and UTF-8 may not."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
