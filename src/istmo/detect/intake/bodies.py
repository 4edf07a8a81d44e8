"""The node's own way of sending: newline JSON or a JSON array, each line or element with its number."""

from __future__ import annotations

from typing import Any, Final

from istmo.detect.intake.arrivals import Arrivals
from istmo.detect.intake.splitting import Piece, Splitter
from istmo.errors import IstmoError, TooLarge

NAMED: Final = 1000
"""Lines that an answer names; the rest are counted."""


class EventBody:
    """Takes a body piece by piece; ``arrived`` and ``refused`` grow as it goes."""

    def __init__(self, arrived: Arrivals, key: bytes = b"") -> None:
        """``key``: what the sender calls this body, so that sending it again doubles nothing."""
        self._limits = limits = arrived.limits
        self._key = key
        self._splitter = Splitter(limits.line_bytes)
        self.arrived = arrived
        self.refused: list[dict[str, Any]] = []
        """Lines that are not kept."""
        self.unreadable: list[dict[str, Any]] = []
        """Lines that are kept as text, since they could not be read."""

    @property
    def size(self) -> int:
        """What is held of it."""
        return self.arrived.size

    @property
    def has_events(self) -> bool:
        """Whether any line could be read."""
        return len(self.arrived.events) > self.arrived.unreadable.total()

    def feed(self, data: bytes) -> None:
        """Take bytes as they came. Raises TooLarge: then nothing of it counts."""
        self._judge(self._splitter.feed(data))
        if self._splitter.dropped > self._limits.batch_bytes:
            raise TooLarge("detect.batch_too_large", limit=self._limits.batch_bytes)

    def finish(self) -> None:
        """The body has ended."""
        self._judge(self._splitter.finish())
        if (number := self._splitter.cut_at) is not None:
            self._refuse(number, "detect.array_cut_short")

    def _judge(self, pieces: list[Piece]) -> None:
        for number, raw in pieces:
            key = b"%b:%d" % (self._key, number) if self._key else b""
            try:
                if raw is None:
                    raise TooLarge("detect.line_too_long", limit=self._limits.line_bytes)
                if code := self.arrived.add(raw, key):
                    _name(self.unreadable, number, code)
            except IstmoError as error:
                if error.code == "detect.batch_too_large":
                    raise
                self._refuse(number, error.code)

    def _refuse(self, number: int, code: str) -> None:
        self.arrived.refused[code] += 1
        _name(self.refused, number, code)


def _name(named: list[dict[str, Any]], number: int, code: str) -> None:
    if len(named) < NAMED:
        named.append({"line": number, "code": code})
