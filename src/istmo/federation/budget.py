"""How much a peer may ask of us: a bucket that fills at a steady rate."""

from __future__ import annotations

import threading

from istmo.clock import Clock


class Budget:
    """Tokens that come back at ``rate`` a second, ``burst`` of them at most. Thread-safe."""

    def __init__(self, rate: float, burst: float, clock: Clock) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._lock = threading.Lock()
        self._left, self._at = burst, clock.monotonic()

    def take(self, amount: float = 1.0) -> bool:
        """Whether ``amount`` was there to be taken; if not, nothing is taken."""
        with self._lock:
            now = self._clock.monotonic()
            self._left = min(self._burst, self._left + (now - self._at) * self._rate)
            self._at = now
            if self._left < amount:
                return False
            self._left -= amount
            return True
