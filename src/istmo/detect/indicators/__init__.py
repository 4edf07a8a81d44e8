"""Indicators against events: a million values of mixed kinds, each live the moment it is put in.

Knows nothing of istmo: terms and plans in, flat events in, hits out.
"""

from istmo.detect.indicators.matcher import PATTERN, Hit, Matcher
from istmo.detect.indicators.memory import MemoryUnreadable
from istmo.detect.indicators.moments import Moment
from istmo.detect.indicators.tables import KINDS, Term
from istmo.detect.indicators.watches import anchor_terms, is_over_time

__all__ = [
    "KINDS",
    "PATTERN",
    "Hit",
    "Matcher",
    "MemoryUnreadable",
    "Moment",
    "Term",
    "anchor_terms",
    "is_over_time",
]
