"""How long to wait before something that failed is begun again."""

from __future__ import annotations

from typing import Final

from istmo.clock import Clock

FIRST: Final = 1.0
LONGEST: Final = 60.0
_CALM: Final = 300.0
"""After so many seconds without a failure the next one is a first one."""


class Pauses:
    """Each pause is twice the one before: what fails at once must not keep the machine busy."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: float | None = None
        self._seconds = FIRST

    def next(self) -> float:
        """Seconds to wait after a failure just now."""
        now = self._clock.monotonic()
        if self._last is None or now - self._last > _CALM:
            self._seconds = FIRST
        else:
            self._seconds = min(LONGEST, self._seconds * 2)
        self._last = now
        return self._seconds
