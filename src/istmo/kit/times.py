"""Instants as people read them: ISO 8601 with the zone, and how long ago."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

ZONES = (
    "America/Guatemala",
    "America/El_Salvador",
    "America/Tegucigalpa",
    "America/Managua",
    "America/Costa_Rica",
    "America/Belize",
    "America/Panama",
    "America/Santo_Domingo",
    "UTC",
)
"""Offered in the console; any other IANA name is understood as well."""

_BY_COUNTRY = dict(zip(("GT", "SV", "HN", "NI", "CR", "BZ", "PA", "DO"), ZONES, strict=False))


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo | None:
    """The zone of an IANA name; None when this machine's zone tables do not have it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def zone_of_country(country: str) -> str:
    """The zone a node's people most likely live in; ``UTC`` where we cannot tell."""
    name = _BY_COUNTRY.get(country.upper(), "UTC")
    return name if zone(name) else "UTC"


def local(instant: datetime, name: str, form: str = "%H:%M:%S") -> str:
    """``2026-03-02 03:00:05 −06:00``: an instant in the zone ``name``, to the second, or as ``form`` says."""
    there = shifted(instant, zone(name) or UTC)
    offset = there.utcoffset()
    minutes = int(offset.total_seconds() // 60) if offset else 0
    if minutes == 0:
        return f"{there:%Y-%m-%d} {there:{form}} UTC"
    sign = "+" if minutes > 0 else "−"
    return f"{there:%Y-%m-%d} {there:{form}} {sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def shifted(instant: datetime, zone: tzinfo) -> datetime:
    """An instant in a zone; in UTC where the zone's calendar would begin before year 1 or end after 9999."""
    try:
        return instant.astimezone(zone)
    except OverflowError:
        return instant.astimezone(UTC)


def day(instant: datetime, name: str) -> str:
    """``2026-03-02``: the day of an instant in the zone ``name``."""
    return f"{shifted(instant, zone(name) or UTC):%Y-%m-%d}"


def machine(instant: datetime) -> str:
    """RFC 3339 in UTC, for the ``datetime`` attribute."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def age(instant: datetime, now: datetime) -> tuple[str, int]:
    """How long ago: a unit (``second minute hour day``) and how many; an instant to come counts as now."""
    seconds = max(0, int((now - instant).total_seconds()))
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            return unit, seconds // size
    return "second", seconds
