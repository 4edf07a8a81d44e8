"""Rows that a saved hunt by SQL gives by itself: which of them are new, and how an alert quotes them.

What a row says may have no one event behind it (a sum, a rate), so each run asks about the whole window, and
what the run before gave already is not told again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import orjson

from istmo.detect.eventstore.lines import snug_json
from istmo.detect.stories import HUNT, to_micros
from istmo.detect.wire import WireHit
from istmo.errors import InvalidInput
from istmo.model import instants

_DIGEST: Final = 16


def digest_of(row: bytes) -> bytes:
    """What tells a row from others: all that stands in it."""
    return hashlib.blake2b(row, digest_size=_DIGEST).digest()


def hit_of_row(hunt: str, columns: Iterable[str], row: bytes, now: int) -> WireHit:
    """A row as an alert quotes it: its columns as fields. Columns called ``time`` and ``host`` say when and
    where; without them it stands at the run's own time. ``now`` in µs."""
    values: dict[str, Any] = dict(zip(columns, orjson.loads(row), strict=True))
    fields = {name: _text(value) for name, value in values.items() if value is not None}
    host = values.get("host")
    return WireHit(
        HUNT,
        hunt,
        f"sql-{digest_of(row).hex()}",
        _micros(values.get("time"), now),
        host if isinstance(host, str) else "",
        fields,
        snug_json(values),
        True,
        now,
    )


def _micros(value: Any, now: int) -> int:
    if isinstance(value, str):
        with suppress(InvalidInput):
            return to_micros(instants.parse(value))
    return now


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
