"""All of a rule set asked about many events at once. See README.md."""

from istmo.detect.sigma.engine.engine import Engine, Event
from istmo.detect.sigma.engine.plans import PlanFolder

__all__ = ["Engine", "Event", "PlanFolder"]
