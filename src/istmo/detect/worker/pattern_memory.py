"""What patterns remember in a running node: stored with the position of the indicator stage.

As with correlations (decision 022): a memory that was stored at some position, shown again the events up to
another, is what it was there. Whatever changes it otherwise than by events is stored before the next event.
"""

from __future__ import annotations

import hashlib
from typing import Final

import structlog
import zstandard

from istmo.clock import Clock
from istmo.detect.indicators import Matcher, MemoryUnreadable
from istmo.detect.wire import Position, StoredState, WireState

log = structlog.get_logger(__name__)

MOST_STATE: Final = 8 << 20
"""Bytes of a stored memory, packed. What waited longest is forgotten until it fits."""
_MOST_UNPACKED: Final = 256 << 20
_LEAST_PAUSE: Final = 1.0
_SHARE: Final = 50
_BYTES_A_SECOND: Final = 256 << 10


class PatternMemory:
    """The memory of one matcher, and when it is to be stored."""

    def __init__(self, matcher: Matcher, clock: Clock) -> None:
        self._matcher, self._clock = matcher, clock
        self._is_stored = False
        """Whether there may be something in the database, of patterns that are gone by now."""
        self._must = False
        self._changes = self._fed = 0
        self._digest = ""
        self._after = 0.0

    def resume(self, position: Position, stored: StoredState | None) -> Position:
        """Take up what was stored; from where events are to be shown again, up to ``position``."""
        watches = self._matcher.watches
        self._digest, self._after = "", 0.0
        self._is_stored = stored is not None
        self._must = stored is not None or watches.has_moments
        self._changes, self._fed = watches.changes, watches.fed
        watches.resting = None
        if stored is None or not watches.has_moments:
            return position
        try:
            data = zstandard.ZstdDecompressor().decompress(stored.data, max_output_size=_MOST_UNPACKED)
            anew = self._matcher.recall(data)
        except (zstandard.ZstdError, MemoryUnreadable) as error:
            log.error("patterns_begin_anew", problem=str(error))
            return position
        self._digest = _digest(stored.data)
        self._must = bool(anew)
        self._changes, self._fed = watches.changes, watches.fed
        if stored.position < position:
            watches.resting = anew
        return min(stored.position, position)

    @property
    def is_resuming(self) -> bool:
        """Whether events are shown again that were seen before."""
        return self._matcher.watches.resting is not None

    def finish_resuming(self) -> None:
        """All of them were."""
        self._matcher.watches.resting = None

    @property
    def is_due(self) -> bool:
        """Whether it must be stored before any other event."""
        watches = self._matcher.watches
        return not self.is_resuming and (self._must or watches.changes != self._changes)

    def state(self) -> WireState | None:
        """What is to be stored with the position told now; None where what is stored goes on standing."""
        watches = self._matcher.watches
        if not watches.has_moments:
            is_due = self._is_stored and self.is_due
            self._must, self._changes = False, watches.changes
            self._is_stored, self._digest = False, ""
            return WireState("", b"") if is_due else None
        if not self.is_due and watches.fed == self._fed:
            return WireState(self._digest)
        began = self._clock.monotonic()
        if not self.is_due and began < self._after:
            return None
        data = self._packed()
        self._must, self._is_stored = False, True
        self._changes, self._fed = watches.changes, watches.fed
        self._digest = _digest(data)
        took = self._clock.monotonic() - began
        self._after = began + max(_LEAST_PAUSE, took * _SHARE, len(data) / _BYTES_A_SECOND)
        return WireState(self._digest, data)

    def _packed(self) -> bytes:
        packer = zstandard.ZstdCompressor(level=1)
        data = packer.compress(self._matcher.remember())
        while len(data) > MOST_STATE and self._matcher.watches.counts["remembered"]:
            for _ in range(max(1, len(list(self._matcher.watches.remembering())) // 4)):
                self._matcher.watches.forget_one()
            data = packer.compress(self._matcher.remember())
        return data


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
