"""Times that name no zone, where it is known in which zone they were written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from istmo.detect.normalise.times import EventTime

ZONE: Final = "istmo.zone"
"""The field that names the zone (IANA) of an event's times that name none: that of its source."""
_LONGEST: Final = 64


def completed(when: EventTime, fields: Mapping[str, Any]) -> EventTime:
    """The time with its zone, where the event names one and the repair is certain.

    An hour that a clock showed twice, or never (the changes of summer time), stays assumed.
    """
    if not when.is_assumed or when.instant is None:
        return when
    name = fields.get(ZONE)
    zone = _zone(name) if isinstance(name, str) and len(name) <= _LONGEST else None
    if zone is None:
        return when
    try:
        local = when.instant.replace(tzinfo=zone)
        if local.utcoffset() != local.replace(fold=1).utcoffset():
            return when
        return EventTime(local.astimezone(UTC), False)
    except (OverflowError, ValueError):
        return when


@lru_cache(64)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return None
