"""What rules cost in this worker, told now and then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from istmo.clock import Clock
from istmo.detect.sigma.engine import Meter
from istmo.detect.wire import Costs, RuleCost

TOLD_SECONDS: Final = 60.0
LEAST_EVENTS: Final = 500
"""That were timed, before anything is said of rules."""
_MOST_EVENTS: Final = 50_000
"""After which what was counted so far weighs half."""
_LEAST_NANOS: Final = 50
"""An event, for a rule to be named: a day of a thousand events a second, four seconds."""
_MOST_RULES: Final = 200


class RuleCosts:
    """When to tell, and what."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next = 0.0

    def due(self, meter: Meter, keys: Mapping[str, str]) -> Costs | None:
        """What is to be told now, by the web process's keys."""
        now = self._clock.monotonic()
        if now < self._next or meter.events < LEAST_EVENTS:
            return None
        self._next = now + TOLD_SECONDS
        told = costs(meter, keys)
        if meter.events > _MOST_EVENTS:
            meter.fade()
        return told


def costs(meter: Meter, keys: Mapping[str, str]) -> Costs:
    """The costliest rules first."""
    found = [
        RuleCost(
            keys[id_],
            round(cost.seconds * 1e9 / meter.events),
            round(cost.asked * 1_000_000 / meter.events),
            round(cost.seconds * 1000 / max(meter.seconds, 1e-9)),
        )
        for id_, cost in meter.costs.items()
        if id_ in keys
    ]
    found.sort(key=lambda one: -one.nanos)
    return Costs([one for one in found if one.nanos >= _LEAST_NANOS][:_MOST_RULES])
