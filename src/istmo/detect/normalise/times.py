"""When an event happened: the header's time, in whichever field and form it came."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple

FIELDS = (
    "TimeCreated_SystemTime",
    "SystemTime",
    "TimeCreated",
    "@timestamp",
    "UtcTime",
    "EventTime",
    "timestamp",
    "EventReceivedTime",
)
"""In order of trust: the event log's own time, the shipper's, the sensor's, times without a zone."""

UTC_BY_DEFINITION = frozenset({"UtcTime", "TimeCreated_SystemTime", "SystemTime"})
TEXT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,12}))?)?)?\s*(Z|UTC|[+-]\d\d:?\d\d)?",
    re.ASCII | re.IGNORECASE,
)

_PLAIN = len("2026-03-02T09:00:00")
EPOCH = re.compile(r"(\d{10}|\d{13}|\d{16})(\.\d{1,9})?", re.ASCII)
"""Seconds, milliseconds or microseconds since 1970 written as text (Squid, Zeek, journald)."""


class EventTime(NamedTuple):
    """``instant`` is aware, in UTC; None where the event says nothing readable.

    ``is_assumed`` when the text named no zone and was read as UTC.
    """

    instant: datetime | None
    is_assumed: bool


def event_time(fields: dict[str, Any]) -> EventTime:
    """The time of an event from its flat fields."""
    for name in FIELDS:
        found = fields.get(name)
        if found is None or found == "":
            continue
        read = read_time(found)
        if read is not None:
            instant, has_zone = read
            return EventTime(instant, not has_zone and name not in UTC_BY_DEFINITION)
    return EventTime(None, False)


def read_time(found: Any) -> tuple[datetime, bool] | None:
    """An instant in UTC and whether its zone was said; None when it cannot be read.

    Text as ISO 8601 (a space for the ``T`` is fine, digits past microseconds are cut), or
    numbers as seconds, milliseconds or microseconds since 1970.
    """
    try:
        if isinstance(found, bool):
            return None
        if isinstance(found, (int, float)):
            scale = 1 if abs(found) < 1e11 else 1000 if abs(found) < 1e14 else 1_000_000
            return datetime.fromtimestamp(found / scale, UTC), True
        if not isinstance(found, str):
            return None
        if (
            len(found) >= _PLAIN
            and found[4] == found[7] == "-"
            and found[10] in "T "
            and found[13] == found[16] == ":"
        ):
            try:
                plain = datetime.fromisoformat(found)  # a twentieth of what is done below
            except ValueError:
                pass  # 25:00, or a comma, or a zone in words
            else:
                zone_of = plain.tzinfo
                if zone_of is None:
                    return datetime.fromisoformat(found + "Z"), False  # quicker than to replace its zone
                return plain if zone_of is UTC else plain.astimezone(UTC), True
        if EPOCH.fullmatch(found):
            return read_time(float(found))
        parts = TEXT.fullmatch(found.strip())
        if parts is None:
            return None
        year, month, day, hour, minute, second, fraction, zone = parts.groups()
        micro = int((fraction or "0").ljust(6, "0")[:6])
        naive = datetime(  # noqa: DTZ001 - the zone follows
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), micro
        )
        return naive.replace(tzinfo=_zone(zone)).astimezone(UTC), zone is not None
    except (ValueError, OverflowError, OSError):
        return None


def _zone(text: str | None) -> timezone:
    if text is None or text.upper() in ("Z", "UTC"):
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[-2:])))
