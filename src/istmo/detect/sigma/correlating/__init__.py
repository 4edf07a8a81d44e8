"""Correlations over what rules match, on event time, in bounded memory."""

from istmo.detect.sigma.correlating.correlator import LATENESS, NEVER, Correlator
from istmo.detect.sigma.correlating.matches import CorrelationMatch, CorrelatorLimits, Counts
from istmo.detect.sigma.correlating.snapshots import SnapshotUnreadable

__all__ = [
    "LATENESS",
    "NEVER",
    "CorrelationMatch",
    "Correlator",
    "CorrelatorLimits",
    "Counts",
    "SnapshotUnreadable",
]
