"""How many events a second a source may send."""

from __future__ import annotations

from dataclasses import dataclass

from istmo.clock import Clock
from istmo.detect.wire import WireSource


@dataclass
class _Bucket:
    left: float
    at: float


class Rates:
    """A bucket a source: as much as a second's events at once, and its rate from then on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def take(self, source: WireSource, number: int) -> float:
        """Count events that were taken; the seconds to wait until the source is within its rate again."""
        if source.rate <= 0:
            return 0.0
        now = self._clock.monotonic()
        bucket = self._buckets.setdefault(source.id, _Bucket(float(source.rate), now))
        bucket.left = min(source.rate, bucket.left + (now - bucket.at) * source.rate) - number
        bucket.at = now
        return max(0.0, -bucket.left / source.rate)

    def has_room(self, source: WireSource) -> bool:
        """Whether the source may send another event now; if so, it is counted."""
        if source.rate <= 0:
            return True
        if self.take(source, 0) > 0 or self._buckets[source.id].left < 1:
            return False
        self.take(source, 1)
        return True
