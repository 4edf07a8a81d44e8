"""Instants: aware UTC datetimes to the microsecond, written as STIX and RFC 3339 write them.

STIX 2.1 section 2.16: RFC 3339, always ``Z``, any number of fractional digits. Digits past the
microsecond are cut off in the view; the bytes as they came keep them.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from istmo.errors import InvalidInput

_FORM = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,30}))?Z", re.ASCII
)


def parse(text: str) -> datetime:
    """The instant that ``text`` names. Raises InvalidInput("instant.invalid")."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise InvalidInput("instant.invalid", text=text[:64])
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    micro = int(((found[7] or "") + "000000")[:6])
    if second == 60:  # a leap second is a legal time that datetime cannot hold
        second, micro = 59, 999_999
    try:
        return datetime(year, month, day, hour, minute, second, micro, UTC)
    except ValueError:
        raise InvalidInput("instant.invalid", text=text[:64]) from None


def format(instant: datetime) -> str:
    """``2026-03-02T09:00:00.000000Z``: always six decimals, so that text sorts as time does."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
