"""All of a rule set asked about many events at once. See README.md."""

from istmo.detect.sigma.engine.engine import Engine, Event
from istmo.detect.sigma.engine.metering import Cost, Meter
from istmo.detect.sigma.engine.plans import PlanFolder
from istmo.detect.sigma.engine.raw import BLOCK, Matched, RawScan, can_scan_lines

__all__ = ["BLOCK", "Cost", "Engine", "Event", "Matched", "Meter", "PlanFolder", "RawScan", "can_scan_lines"]
