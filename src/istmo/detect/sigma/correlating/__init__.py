"""Correlations over what rules match, on event time, in bounded memory."""

from istmo.detect.sigma.correlating.correlator import Correlator
from istmo.detect.sigma.correlating.matches import CorrelationMatch, CorrelatorLimits, Counts
from istmo.detect.sigma.correlating.snapshots import SnapshotUnreadable

__all__ = ["CorrelationMatch", "Correlator", "CorrelatorLimits", "Counts", "SnapshotUnreadable"]
