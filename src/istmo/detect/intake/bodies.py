"""From the bytes of one request to the events that are good and the lines that are not."""

from __future__ import annotations

from typing import Any, Final

from istmo.detect.eventstore.lines import read_event
from istmo.detect.intake.inflating import Inflater
from istmo.detect.intake.splitting import Piece, Splitter
from istmo.errors import InvalidInput, IstmoError, TooLarge
from istmo.settings import Limits

NAMED: Final = 1000
"""Refused lines that an answer names; the rest are counted."""
_KEPT_PARSED: Final = 256 << 10
"""Bytes whose parsed form is kept for the stages; a large batch is parsed again, a block at a time."""
_EVENT_COST: Final = 256


class EventBody:
    """Takes a body piece by piece; ``events`` and ``refused`` grow as it goes."""

    def __init__(self, limits: Limits, encoding: str) -> None:
        """Raises InvalidInput on a content encoding that is not ``gzip`` or none."""
        self._limits = limits
        if encoding not in ("", "identity", "gzip", "x-gzip"):
            raise InvalidInput("detect.encoding_unknown", encoding=encoding[:40])
        self._inflater = (
            Inflater(limits.archive_bytes, limits.archive_ratio) if encoding.endswith("gzip") else None
        )
        self._splitter = Splitter(limits.line_bytes)
        self._taken = 0
        self.size = 0
        """What the events weigh in memory and in the log, about."""
        self.events: list[tuple[bytes, dict[str, Any] | None]] = []
        self.refused: list[dict[str, Any]] = []
        self.refused_total = 0

    def feed(self, data: bytes) -> None:
        """Take bytes as they came. Raises TooLarge or InvalidInput: then nothing of it counts."""
        self._taken += len(data)
        if self._taken > self._limits.archive_bytes:
            raise TooLarge("detect.body_too_large", limit=self._limits.archive_bytes)
        for piece in self._inflater.feed(data) if self._inflater else (data,):
            self._judge(self._splitter.feed(piece))

    def finish(self) -> None:
        """The body has ended."""
        if self._inflater:
            self._inflater.finish()
        self._judge(self._splitter.finish())
        if (number := self._splitter.cut_at) is not None:
            self._refuse(number, "detect.array_cut_short")

    def _judge(self, pieces: list[Piece]) -> None:
        for number, raw in pieces:
            try:
                if raw is None:
                    raise TooLarge("detect.line_too_long", limit=self._limits.line_bytes)
                kept, data = read_event(raw, self._limits)
            except IstmoError as error:
                self._refuse(number, error.code)
                continue
            self.size += len(kept) + _EVENT_COST
            if self.size > self._limits.batch_bytes:
                raise TooLarge("detect.batch_too_large", limit=self._limits.batch_bytes)
            self.events.append((kept, data if self.size <= _KEPT_PARSED else None))

    def _refuse(self, number: int, code: str) -> None:
        self.refused_total += 1
        if len(self.refused) < NAMED:
            self.refused.append({"line": number, "code": code})
