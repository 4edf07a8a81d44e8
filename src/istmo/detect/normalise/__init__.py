"""From what shippers send to Sigma's names: flat fields, log sources, time and host of one event."""

from istmo.detect.normalise.events import ORIGINAL, NormalEvent, normalise
from istmo.detect.normalise.zones import ZONE

__all__ = ["ORIGINAL", "ZONE", "NormalEvent", "normalise"]
