"""The level of a hit of an indicator: by how sure its author is, by what kind it is, and by warning lists.

One table (decision 028). ``confidence`` goes from 0 to 100 as in STIX 2.1 appendix A ("None / Low / Med /
High"); the kinds are those of ``indicator-type-ov`` (section 10.6).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from istmo.detect.objects import LEVELS, Level

_INFORMATIONAL, _LOW, _MEDIUM, _HIGH, _CRITICAL = LEVELS

BANDS: Final = ((70, "high"), (30, "medium"), (1, "low"), (0, "none"))
"""From which confidence on each band begins. Whoever says nothing is taken for "medium"."""

TABLE: Final = {
    #         malicious-activity, compromised   any other, none   anonymization   benign
    "high": (_CRITICAL, _HIGH, _MEDIUM, _INFORMATIONAL),
    "medium": (_HIGH, _MEDIUM, _LOW, _INFORMATIONAL),
    "low": (_LOW, _LOW, _LOW, _INFORMATIONAL),
    "none": (_INFORMATIONAL, _INFORMATIONAL, _INFORMATIONAL, _INFORMATIONAL),
}
COLUMNS: Final = {"malicious-activity": 0, "compromised": 0, "anonymization": 2, "benign": 3}
_OTHER: Final = 1

WARNED: Final = _INFORMATIONAL
"""Of a hit whose value stands on a warning list."""


def band(confidence: int | None) -> str:
    """How sure an author is, in STIX's words."""
    if confidence is None:
        return "medium"
    return next(name for least, name in BANDS if confidence >= least)


def level_of(confidence: int | None, types: Iterable[str]) -> Level:
    """The level of an indicator's hits. Of several kinds the one counts that asks for most."""
    columns = [COLUMNS.get(one, _OTHER) for one in types] or [_OTHER]
    return TABLE[band(confidence)][min(columns)]


def highest(*levels: Level) -> Level:
    """The one that asks for most."""
    return max(levels, key=LEVELS.index)
