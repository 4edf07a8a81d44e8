"""From what shippers send to Sigma's names: flat fields, log sources, time and host of one event."""

from istmo.detect.normalise.events import NormalEvent, normalise

__all__ = ["NormalEvent", "normalise"]
