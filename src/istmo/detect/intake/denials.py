"""Senders that the intake turned away, counted: the web process hears of them at most once a minute."""

from __future__ import annotations

from collections import Counter
from typing import Final

from istmo.clock import Clock
from istmo.detect.wire import INTAKE_DENIED, Notice

MINUTE: Final = 60.0
_ADDRESSES: Final = 1_000


class Denials:
    """What is told: how many, from how many addresses, the busiest of them, and why it was the last time.

    Not the token that came, nor anything made from it. For the worker's event loop alone.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_address: Counter[str] = Counter()
        self._code = ""
        self._quiet_until = 0.0

    def count(self, code: str, address: str) -> None:
        """One more was turned away."""
        known = address in self._by_address or len(self._by_address) < _ADDRESSES
        self._by_address[address if known else ""] += 1
        self._code = code

    def take(self) -> Notice | None:
        """What there is to tell now, once; None where there is nothing, or where it is too early."""
        now = self._clock.monotonic()
        if not self._by_address or now < self._quiet_until:
            return None
        counted, self._by_address = self._by_address, Counter()
        self._quiet_until = now + MINUTE
        ((address, _),) = counted.most_common(1)
        told: dict[str, str | int] = {
            "n": counted.total(),
            "addresses": len(counted),
            "address": address,
            "problem": self._code,
        }
        return Notice(INTAKE_DENIED, told)
