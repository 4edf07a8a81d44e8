"""STIX patterns that somebody asks about stored events."""

from __future__ import annotations

from typing import Final

from istmo.detect.wire import Problem, WireIndicator
from istmo.errors import InvalidInput, TooLarge
from istmo.model.patterns import Pattern, read_pattern

LONGEST_PATTERN: Final = 64 << 10
"""Characters."""
PARTLY: Final = Problem("", "detect.pattern_partly", {})
"""Of a pattern of which some alternatives cannot be looked for."""


def asked_pattern(text: str) -> Pattern:
    """A pattern that can be looked for, at least in part.

    Raises TooLarge("detect.pattern_too_long"), InvalidInput("detect.pattern_not_served") and what
    ``read_pattern`` raises.
    """
    text = text.strip()
    if len(text) > LONGEST_PATTERN:
        raise TooLarge("detect.pattern_too_long", limit=LONGEST_PATTERN)
    found = read_pattern(text)
    if not found.is_detected:
        raise InvalidInput("detect.pattern_not_served")
    return found


def sought(pattern: Pattern) -> WireIndicator:
    """A pattern as the worker is told of it: an indicator that is nobody's."""
    return WireIndicator("pattern", [(one.kind, one.value) for one in pattern.terms], None, pattern.plan)
