"""Names and titles that people give to things and other people read, everywhere under one rule."""

from __future__ import annotations

from typing import Final

_INVISIBLE: Final = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and signs that show nothing: a name of these alone is as good as none."""


def is_name(text: str, longest: int) -> bool:
    """Whether a text shows itself as it is: on one line, not blank, no character that steers or hides."""
    return len(text) <= longest and text.isprintable() and bool(text.strip(" " + _INVISIBLE))
