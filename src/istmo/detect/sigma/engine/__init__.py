"""All of a rule set asked about many events at once. See README.md."""

from istmo.detect.sigma.engine.engine import Engine, Event

__all__ = ["Engine", "Event"]
