"""From what shippers send to Sigma's names: flat fields, log sources, time and host of one event."""

from istmo.detect.normalise.events import ORIGINAL, NormalEvent, normalise

__all__ = ["ORIGINAL", "NormalEvent", "normalise"]
