"""Indicators against events: a million values of mixed kinds, each live the moment it is put in.

Knows nothing of istmo: terms in, flat events in, hits out.
"""

from istmo.detect.indicators.matcher import Hit, Matcher
from istmo.detect.indicators.tables import KINDS, Term

__all__ = ["KINDS", "Hit", "Matcher", "Term"]
