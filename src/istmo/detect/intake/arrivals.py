"""What one request, connection or file brought: events for the store, and what could not be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

import orjson

from istmo.detect.eventstore.lines import plain_json, read_event, snug_json
from istmo.errors import InvalidInput, IstmoError, TooLarge
from istmo.settings import Limits

UNREADABLE: Final = "istmo.unreadable"
"""The field of an event that could not be read: the code of what is wrong with it."""
ENCODING: Final = "istmo.encoding"
"""The field that says in which encoding an event's text came, where that was not UTF-8."""
_KEPT_PARSED: Final = 256 << 10
"""Bytes whose parsed form is kept for the stages; a large batch is parsed again, a block at a time."""
_EVENT_COST: Final = 256
LONGEST_KEY: Final = 512
"""Bytes of an event's name as it is stored."""


class Arrivals:
    """Gathers events in memory that is bounded by ``limits.batch_bytes``."""

    def __init__(self, limits: Limits, *, keeps_parsed: bool = True) -> None:
        """``keeps_parsed``: what events hold is worth its memory to the stages, where there are few."""
        self.limits = limits
        self._most_parsed = _KEPT_PARSED if keeps_parsed else 0
        self.size = 0
        """What the events weigh in memory and in the log, about."""
        self.events: list[tuple[bytes, dict[str, Any] | None]] = []
        self.keys: list[bytes] = []
        """By event, a name that its sender will not use for another one; empty where no event has one."""
        self.unreadable: Counter[str] = Counter()
        """Events that are kept as mere text, by what is wrong with them."""
        self.refused: Counter[str] = Counter()
        """Events that are not kept at all, by reason."""

    def add(self, raw: bytes, key: bytes = b"") -> str:
        """Take an event that should be JSON. What is not is kept as text, marked: its code is returned.

        Raises TooLarge for an event, or altogether, past the limits: such an event is not kept.
        """
        code = ""
        try:
            kept, data = read_event(raw, self.limits)
        except (InvalidInput, TooLarge) as error:
            code = error.code
            if code == "detect.line_too_long":
                raise
            kept, data = self.keep_unread(raw, code)
        self._put(kept, data, key)
        return code

    def add_read(self, raw: bytes, data: dict[str, Any], key: bytes = b"") -> None:
        """Take an event that has been read already."""
        self._put(raw, data, key)

    def add_made(self, data: dict[str, Any], key: bytes = b"") -> None:
        """Take an event that was made here out of something that is no JSON."""
        try:
            raw = snug_json(data)
        except TypeError:  # half of a character, a number of a hundred digits
            raw, data = self._plain(data)
        if len(raw) > self.limits.line_bytes:
            self.refuse(TooLarge("detect.line_too_long", limit=self.limits.line_bytes))
            return
        self._put(raw, data, key)

    def _plain(self, data: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
        try:
            raw = plain_json(data)
            return raw, orjson.loads(raw)
        except ValueError:
            return self.keep_unread(repr(data).encode("utf-8", "replace"), "detect.line_not_json")

    def keep_unread(self, raw: bytes, code: str) -> tuple[bytes, dict[str, Any]]:
        """An event of nothing but its text, for what could not be read; counted."""
        self.unreadable[code] += 1
        text, encoding = decoded(raw)
        data: dict[str, Any] = {"message": text, UNREADABLE: code.removeprefix("detect.")}
        if encoding:
            data[ENCODING] = encoding
        return snug_json(data), data

    def refuse(self, error: IstmoError) -> None:
        """Count an event that is not kept."""
        self.refused[error.code] += 1

    def _put(self, raw: bytes, data: dict[str, Any], key: bytes) -> None:
        self.size += len(raw) + len(key) + _EVENT_COST
        if self.size > self.limits.batch_bytes:
            raise TooLarge("detect.batch_too_large", limit=self.limits.batch_bytes)
        self.events.append((raw, data if self.size <= self._most_parsed else None))
        if key or self.keys:
            self.keys += [b""] * (len(self.events) - 1 - len(self.keys))
            self.keys.append(key if len(key) <= LONGEST_KEY else _short(key))


def _short(key: bytes) -> bytes:
    """A name in the place of a longer one: by all of it, for two that begin alike are two."""
    return blake2b(key, digest_size=32).hexdigest().encode()


def decoded(raw: bytes) -> tuple[str, str]:
    """Text of bytes without any loss, and the encoding where it is not UTF-8.

    What is no UTF-8 is read as Latin-1, in which each byte stands for one character: old machines write it.
    """
    try:
        return raw.decode("utf-8"), ""
    except UnicodeDecodeError:
        return raw.decode("latin-1"), "latin-1"
