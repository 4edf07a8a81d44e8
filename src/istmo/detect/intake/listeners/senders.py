"""Who sends over a protocol without tokens: by certificate, or by address; asked again every second."""

from __future__ import annotations

from typing import Final

from istmo.clock import Clock
from istmo.detect.intake.denials import Denials
from istmo.detect.intake.sources import Sources
from istmo.detect.wire import WireSource
from istmo.errors import NotAllowed, Unauthenticated

SECONDS: Final = 1.0
_MOST: Final = 10_000
"""Senders that are remembered."""


class Senders:
    """``Sources``, with its last answers: policy need not be asked for each of a thousand datagrams."""

    def __init__(self, sources: Sources, denials: Denials, clock: Clock) -> None:
        self._sources = sources
        self._denials = denials
        self._clock = clock
        self._known: dict[tuple[str, str], WireSource | str] = {}
        self._until = 0.0
        self._generation = -1

    @property
    def is_ready(self) -> bool:
        """Whether it is known who may send."""
        return self._sources.is_known

    def admit(self, address: str, certificate: str = "") -> WireSource | None:
        """The source that sends; None where it is none, which is counted."""
        now = self._clock.monotonic()
        is_old = now >= self._until or self._generation != self._sources.generation
        if is_old or len(self._known) >= _MOST:
            self._known.clear()
            self._until, self._generation = now + SECONDS, self._sources.generation
        sender = certificate, "" if certificate else address
        found = self._known.get(sender)
        if found is None:
            found = self._known[sender] = self._ask(address, certificate)
        if isinstance(found, WireSource):
            return found
        self._denials.count(found, address)
        return None

    def has_certificate(self, fingerprint: str) -> bool:
        """Whether a source has this certificate."""
        return self._sources.has_certificate(fingerprint)

    def _ask(self, address: str, certificate: str) -> WireSource | str:
        now = self._clock.now()
        try:
            if certificate:
                return self._sources.admit_certificate(certificate, now)
            return self._sources.admit_address(address, now)
        except (Unauthenticated, NotAllowed) as error:
            return error.code
