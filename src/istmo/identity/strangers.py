"""Denials of askers whom nobody knows, in the audit trail: at most so many lines a minute.

Anybody who reaches a port can be refused as often as they like, and each line of the trail is a
write to disk. So a minute has room for a few lines, one address for fewer still (or the loudest would
hide the others), and what came beyond is told in one line once the minute is over.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Final

from istmo.clock import Clock
from istmo.identity import audit
from istmo.policy.decisions import Reason
from istmo.policy.principals import Anonymous
from istmo.store.engine import Store

MINUTE: Final = 60.0
LINES: Final = 30
LINES_AN_ADDRESS: Final = 10
_ADDRESSES: Final = 1_000
"""How many addresses are told apart among the rest: IPv6 gives whoever floods as many as they like."""


class Strangers:
    """Writes the denials of the unknown. Thread-safe."""

    def __init__(
        self, store: Store, clock: Clock, *, lines: int = LINES, an_address: int = LINES_AN_ADDRESS
    ) -> None:
        self._store, self._clock = store, clock
        self._lines, self._an_address = lines, an_address
        self._lock = threading.Lock()
        self._began = clock.monotonic()
        self._written: Counter[str] = Counter()
        self._rest: Counter[str] = Counter()

    def denied(self, action: str, subject: str, code: str, address: str) -> None:
        """A denial: written now, or counted where the minute is full. Never pass a secret."""
        with self._lock:
            rest = self._turn()
            has_room = self._written.total() < self._lines and self._written[address] < self._an_address
            if has_room:
                self._written[address] += 1
            else:
                known = address in self._rest or len(self._rest) < _ADDRESSES
                self._rest[address if known else ""] += 1
        self._tell(rest)
        if has_room:
            self._write(action, subject, Reason(code), address)

    def tell_rest(self, *, is_last: bool = False) -> None:
        """Write how many more there were, if the minute is over or nothing comes after (``is_last``)."""
        with self._lock:
            rest = self._turn(at_once=is_last)
        self._tell(rest)

    def _turn(self, *, at_once: bool = False) -> Mapping[str, int]:
        """Begin a new minute if it is time; what the old one had no room for."""
        now = self._clock.monotonic()
        if not at_once and now - self._began < MINUTE:
            return {}
        rest = self._rest
        self._began, self._written, self._rest = now, Counter(), Counter()
        return rest

    def _tell(self, rest: Mapping[str, int]) -> None:
        if rest:
            loudest = max(rest, key=lambda one: rest[one])
            told = {"count": str(sum(rest.values())), "addresses": str(len(rest))}
            self._write("web.request", "", Reason("more_denied", told), loudest)

    def _write(self, action: str, subject: str, reason: Reason, address: str) -> None:
        now = self._clock.now()
        audit.record_denial(self._store, Anonymous(), action, subject, [reason], now, address=address)
