"""Looking for many literals in many values at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from itertools import product
from typing import Any, Final, Protocol

from istmo.detect.sigma.engine.patterns import BEGIN, END
from istmo.detect.sigma.texts import fold_character

hyperscan: Any = None
with suppress(ImportError):  # no wheel for this platform
    hyperscan = import_module("hyperscan")

SEPARATOR: Final = END + BEGIN
_MOST_SPELLINGS: Final = 64

Found = list[tuple[int, int]]
"""Number of a literal and the offset at which it ends, in the order of the offsets."""


PLAIN: Final = "plain"
SCANNER: Final = f"hyperscan {hyperscan.__version__}" if hyperscan is not None else PLAIN
"""What compiled forms are good for."""


class Scanner(Protocol):
    """Finds literals, in any case of ASCII letters, wherever they end."""

    @property
    def compiled(self) -> bytes:
        """Its compiled form; empty where it has none."""
        ...

    def scan(self, data: bytes) -> Found: ...


class HyperscanScanner:
    """All literals in one pass. Not safe to share between threads."""

    def __init__(self, literals: Sequence[str], compiled: bytes = b"", marks: Sequence[bytes] = ()) -> None:
        """``compiled``: what a scanner of the same literals said of itself, from a place to be trusted.

        ``marks``: expressions to be found beside, numbered after the literals; case counts.
        """
        self._database = self._load(compiled) if compiled else self._compile(literals, marks)
        self._found: Found = []
        found = self._found

        def note(number: int, _start: int, end: int, _flags: int, _context: Any) -> None:
            found.append((number, end))

        self._note = note

    @staticmethod
    def _compile(literals: Sequence[str], marks: Sequence[bytes]) -> Any:
        spelled = [(number, one) for number, literal in enumerate(literals) for one in spellings(literal)]
        database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        database.compile(
            expressions=[as_expression(one) for _, one in spelled] + list(marks),
            ids=[number for number, _ in spelled] + [len(literals) + mark for mark in range(len(marks))],
            flags=[hyperscan.HS_FLAG_CASELESS] * len(spelled) + [0] * len(marks),
        )
        return database

    @staticmethod
    def _load(compiled: bytes) -> Any:
        database = hyperscan.loadb(compiled, hyperscan.HS_MODE_BLOCK)
        database.scratch = hyperscan.Scratch(database)
        return database

    @property
    def compiled(self) -> bytes:
        """The database; good on a processor of the same kind."""
        found: bytes = hyperscan.dumpb(self._database)
        return found

    def scan(self, data: bytes) -> Found:
        """What is found in the bytes; valid until the next scan."""
        self._found.clear()
        self._database.scan(data, self._note)
        return self._found


class PlainScanner:
    """One literal after the other: the same answers where Hyperscan is not to be had."""

    def __init__(self, literals: Sequence[str], marks: Sequence[bytes] = ()) -> None:
        self._literals = [
            (number, one.lower()) for number, literal in enumerate(literals) for one in spellings(literal)
        ]
        self._marks = [(number, re.compile(mark)) for number, mark in enumerate(marks, len(literals))]
        self.compiled = b""

    def scan(self, data: bytes) -> Found:
        """What is found in the bytes."""
        text = data.lower()
        found: Found = []
        for number, literal in self._literals:
            at = text.find(literal)
            while at >= 0:
                found.append((number, at + len(literal)))
                at = text.find(literal, at + 1)
        found += [(number, match.end()) for number, mark in self._marks for match in mark.finditer(data)]
        found.sort(key=lambda one: one[1])
        return found


def make_scanner(literals: Sequence[str], compiled: bytes = b"", marks: Sequence[bytes] = ()) -> Scanner:
    """The quickest scanner that this machine has. A compiled form that it cannot use is compiled anew."""
    if hyperscan is None:
        return PlainScanner(literals, marks)
    if compiled:
        with suppress(hyperscan.HyperscanError):
            return HyperscanScanner(literals, compiled)
    return HyperscanScanner(literals, marks=marks)


def spellings(literal: str) -> list[bytes]:
    """The UTF-8 of every text that folds to the literal, but for the case of ASCII letters.

    A literal with too many of them is cut short: what is left of it still has to be there.
    """
    choices: list[tuple[str, ...]] = []
    count = 1
    for character in literal:
        folded = (character,) if character.isascii() else _unfolded()[character]
        count *= len(folded)
        if count > _MOST_SPELLINGS:
            break
        choices.append(folded)
    return ["".join(chosen).encode("utf-8", "surrogatepass") for chosen in product(*choices)]


class _Unfolding(dict[str, tuple[str, ...]]):
    def __missing__(self, character: str) -> tuple[str, ...]:
        return (character,)


@cache
def _unfolded() -> _Unfolding:
    """Characters by what they fold to, where that is not themselves alone. Takes a moment; rarely asked."""
    found: dict[str, list[str]] = {}
    for code in range(0x80, 0x1E944):  # past the last letter that has a case
        character = chr(code)
        folded = fold_character(character)
        if folded != character:
            found.setdefault(folded, [folded]).append(character)
    return _Unfolding((folded, tuple(characters)) for folded, characters in found.items())


def as_expression(literal: bytes) -> bytes:
    """The expression that finds these bytes."""
    return b"".join(
        bytes((code,)) if chr(code).isalnum() and code < 0x80 else b"\\x%02x" % code for code in literal
    )
