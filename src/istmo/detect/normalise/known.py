"""Which log sources the events have that are understood here."""

from __future__ import annotations

from functools import cache

from istmo.detect.normalise.mapping import read_maps
from istmo.detect.normalise.windows import windows_logsources
from istmo.detect.sigma.logsources import Logsource


def known_logsource(logsource: Logsource) -> bool:
    """Whether a rule for this log source is meant for some event that is understood here."""
    return any(logsource.covers(one) for one in _all())


@cache
def _all() -> frozenset[Logsource]:
    mapped = {source for one in read_maps() for _, source in one.sources}
    return windows_logsources() | mapped
