"""When two texts are the same to a rule (rules specification, "General").

*Case-insensitive* means Unicode's simple case folding, one character to one character: ``K``
(Kelvin) is ``k``, ``ſ`` is ``s``, ``ς`` is ``σ``; ``ß`` is not ``ss``, and ``İ`` and ``ı`` are
not ``i``. So a text keeps its length, ``?`` stays one character, and nothing depends on the
neighbours of a character or on a language.
"""

from __future__ import annotations

import re


class _Folding(dict[int, int]):
    """Code point to folded code point, for :meth:`str.translate`; grows as characters are met."""

    def __missing__(self, code: int) -> int:
        folded = fold_character(chr(code))
        self[code] = ord(folded)
        return self[code]


def fold_character(character: str) -> str:
    """The simple folding of one character (statuses C and S of CaseFolding.txt)."""
    full = character.casefold()
    if len(full) == 1:
        return full
    lower = character.lower()
    return lower if len(lower) == 1 else character


_FOLDING = _Folding()


_NOT_BY_LOWER = re.compile(
    "[\u00b5\u0130\u017f\u0345\u03a3\u03c2\u03d0\u03d1\u03d5\u03d6\u03f0\u03f1\u03f5\u13a0-\u13f5\u13f8-\u13fd"
    "\u1c80-\u1c88\u1e9b\u1fbe\uab70-\uabbf]"
)
"""Characters whose lower case is not their folding, or depends on where they stand: a test tries all."""


def fold(text: str) -> str:
    """A text with its case taken out; as long as it was."""
    if text.isascii() or _NOT_BY_LOWER.search(text) is None:
        return text.lower()
    return text.translate(_FOLDING)


DASHES = "-/\u2013\u2014\u2015"
"""What Windows programs take for the dash of an option (modifiers appendix, ``windash``)."""

_TO_DASH = str.maketrans(dict.fromkeys(DASHES, "-"))


def fold_dashes(text: str) -> str:
    """A text with all the dashes that ``windash`` treats as one made one."""
    return text.translate(_TO_DASH)
