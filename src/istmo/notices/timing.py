"""When a message may go: not in quiet hours, and not sooner after the last one than asked for. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta

from istmo.errors import InvalidInput
from istmo.kit import times

_QUIET = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])\s*[-–]\s*([01][0-9]|2[0-3]):([0-5][0-9])")


def read_quiet(text: str) -> tuple[time, time] | None:
    """From when to when it is quiet. Raises InvalidInput("notices.quiet")."""
    if not text.strip():
        return None
    found = _QUIET.fullmatch(text.strip())
    if found is None or found[1] + found[2] == found[3] + found[4]:
        raise InvalidInput("notices.quiet", text=text[:40])
    return time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))


def due(
    now: datetime,
    *,
    sent: datetime | None = None,
    every: int = 0,
    quiet: str = "",
    zone: str = "UTC",
    is_urgent: bool = False,
) -> datetime:
    """The first instant, not before ``now``, at which a message may go; what is urgent breaks the quiet."""
    at = now if sent is None else max(now, sent + timedelta(minutes=every))
    hours = read_quiet(quiet)
    if hours is None or is_urgent:
        return at
    start, end = hours
    there = at.astimezone(times.zone(zone) or UTC)
    clock = there.time().replace(tzinfo=None)
    is_quiet = start <= clock < end if start < end else clock >= start or clock < end
    if not is_quiet:
        return at
    day = there.date() + timedelta(days=1 if clock >= end else 0)
    ends = datetime.combine(day, end, there.tzinfo).astimezone(UTC)
    # Where the clock is set back, the wall's hour comes twice: never an instant that has passed.
    return max(at, ends)
