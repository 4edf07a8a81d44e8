"""Correlations in a running node: fed by the Sigma stage, their memory stored with its position.

What they come to depends on the log alone: on the events in their order, and on when each came in.
So a memory that was stored at some position, fed again with the events up to another, is what it was
there (decision 022).
"""

from __future__ import annotations

import hashlib
from typing import Final

import structlog
import zstandard

from istmo.clock import Clock
from istmo.detect.eventstore.lines import StoredEvent
from istmo.detect.eventstore.times import event_micros
from istmo.detect.normalise import NormalEvent
from istmo.detect.sigma import Correlation, RuleSet
from istmo.detect.sigma.correlating import (
    CorrelationMatch,
    Correlator,
    CorrelatorLimits,
    SnapshotUnreadable,
)
from istmo.detect.wire import BEFORE, Position, StoredState, WireState

log = structlog.get_logger(__name__)

LIMITS: Final = CorrelatorLimits(groups=100_000, remembered=500_000, window=100_000, held=100_000)
"""A quarter of what a hunt may remember: it has to be stored again and again."""
MOST_STATE: Final = 16 << 20
"""Bytes of a stored memory, packed. What is oldest is forgotten until it fits."""
_MOST_UNPACKED: Final = 1 << 30
_LEAST_PAUSE: Final = 1.0
_SHARE: Final = 50
"""Making what is stored may take a fiftieth of the time …"""
_BYTES_A_SECOND: Final = 256 << 10
"""… and so many bytes of it are written."""
_SLACK: Final = 1_000_000
"""µs for which an event may be on its way from where it came in to the log."""


class Correlations:
    """The correlations of the rules in force. Not safe to share between threads."""

    def __init__(self, clock: Clock, lateness: int) -> None:
        """``lateness`` in microseconds."""
        self._clock, self._lateness = clock, lateness
        self._ruleset = RuleSet()
        self._correlator = self._made()
        self.by_id: dict[str, Correlation] = {}
        self._is_resuming = False
        """What lies before the stored position is fed again …"""
        self._resting: set[str] = set()
        """… but not to these, which begin anew: they count from that position on."""
        self._is_due = False
        """The memory changed otherwise than by events: it is to be stored before the next of them."""
        self._is_fed = False
        self._digest = ""
        self._after = 0.0

    def _made(self) -> Correlator:
        return Correlator(self._ruleset, lateness=self._lateness, limits=LIMITS)

    @property
    def is_idle(self) -> bool:
        """Whether there are none."""
        return not self._ruleset.correlations

    @property
    def judged(self) -> int:
        """µs since 1970: everything that happened up to here has been judged."""
        return self._correlator.reached

    @property
    def counts(self) -> dict[str, int]:
        """What is remembered, and what was let go of or left out; empty without any correlations."""
        if self.is_idle:
            return {}
        sizes = {"groups": self._correlator.groups, "remembered": self._correlator.remembered}
        counts = self._correlator.counts
        return sizes | {name: getattr(counts, name) for name in counts.__struct_fields__}

    def use(self, ruleset: RuleSet) -> None:
        """Go by these rules from now on; correlations that are the same keep what they remember."""
        was_idle, self._ruleset = self.is_idle, ruleset
        self.by_id = {one.id: one for one in ruleset.correlations}
        before, self._correlator = self._correlator, self._made()
        anew = self._correlator.take_over(before)
        if self._is_resuming:
            self._resting.update(anew)
            self._correlator.rest(self._resting)
        self._is_due |= not (was_idle and self.is_idle)

    def feed(self, rule_id: str, event: StoredEvent, normal: NormalEvent) -> list[CorrelationMatch]:
        """A rule matches an event."""
        if not self._correlator.is_concerned(rule_id):
            return []
        self._is_fed = True
        time = event_micros(normal, event.received)
        return self._correlator.feed(rule_id, normal.fields, time, event.id, event.received)

    def pass_time(self, now: int) -> list[CorrelationMatch]:
        """What can be told by now (µs since 1970), though no event came that says so."""
        return self._correlator.pass_time(now - _SLACK)

    # --- over restarts -------------------------------------------------------------------------

    def resume(self, position: Position, stored: StoredState | None) -> Position:
        """Take up what was stored; from where events are to be fed again, up to ``position``."""
        self._correlator = self._made()
        self._is_resuming, self._resting = False, set()
        self._digest, self._after = "", 0.0
        self._is_fed = False
        if stored is None or self.is_idle:
            # What begins here is stored as such before the first event, so that a later start finds it.
            self._is_due = stored is not None or not self.is_idle
            return position
        self._is_due = True
        try:
            data = zstandard.ZstdDecompressor().decompress(stored.data, max_output_size=_MOST_UNPACKED)
            anew = self._correlator.restore(data)
        except (zstandard.ZstdError, SnapshotUnreadable) as error:
            log.error("correlations_begin_anew", problem=str(error))
            return position
        self._digest = _digest(stored.data)
        self._is_due = bool(anew)
        if stored.position < position:
            self._is_resuming, self._resting = True, set(anew)
            self._correlator.rest(anew)
        return min(stored.position, position)

    def finish_resuming(self, judged: int) -> None:
        """All was fed again that had been fed before; it had been judged up to then."""
        if judged > BEFORE and not self.is_idle:
            self._correlator.flush(judged)
        self._is_resuming, self._resting = False, set()
        self._correlator.rest(())
        self._is_fed = True

    def state(self) -> WireState | None:
        """What is to be stored with the position told now; None where what is stored goes on standing."""
        if self.is_idle:
            is_due, self._is_due, self._digest = self._is_due, False, ""
            return WireState("", b"") if is_due else None
        if not (self._is_due or self._is_fed):
            return WireState(self._digest)
        began = self._clock.monotonic()
        if not self._is_due and began < self._after:
            return None
        data = self._packed()
        self._is_due = self._is_fed = False
        self._digest = _digest(data)
        took = self._clock.monotonic() - began
        self._after = began + max(_LEAST_PAUSE, took * _SHARE, len(data) / _BYTES_A_SECOND)
        return WireState(self._digest, data)

    @property
    def is_due(self) -> bool:
        """Whether the state must be stored before any other event."""
        return self._is_due

    def _packed(self) -> bytes:
        packer = zstandard.ZstdCompressor(level=1)
        data = packer.compress(self._correlator.snapshot())
        while len(data) > MOST_STATE and self._correlator.groups:
            self._correlator.make_room(0.75)
            data = packer.compress(self._correlator.snapshot())
        if len(data) > MOST_STATE:
            # Events that wait, each as long as can be: rather detection that begins anew after a restart.
            log.error("correlations_not_stored", bytes=len(data))
            return b""
        return data


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
