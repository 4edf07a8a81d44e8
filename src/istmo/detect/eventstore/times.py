"""Instants as the event store keeps them: microseconds since 1970, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from istmo.detect.normalise import NormalEvent

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
CLOCK = "istmo.clock"
"""The field by which events with a clock in trouble are found."""
AHEAD = timedelta(days=1) // _MICROSECOND
"""So much later than its receipt an event may claim to be: clocks without a zone are half a day off."""
EARLIEST = (datetime(1990, 1, 1, tzinfo=UTC) - EPOCH) // _MICROSECOND


def to_micros(instant: datetime) -> int:
    """An aware instant as microseconds since 1970."""
    since = instant - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def event_micros(normal: NormalEvent, received: int) -> int:
    """When the event happened by its own account; when it was received where it does not say.

    Nor is an account believed that cannot be true: past the day after receipt, or before 1990.
    """
    if normal.time is None:
        return received
    told = to_micros(normal.time)
    return told if EARLIEST <= told <= received + AHEAD else received


def clock_trouble(normal: NormalEvent, received: int) -> str:
    """What is wrong with an event's clock: ``future`` or ``past`` (not believed), ``no-zone`` (read as UTC).

    ``""`` where nothing is. Searched as the field ``CLOCK``, which no stored event holds.
    """
    if normal.time is None:
        return ""
    told = to_micros(normal.time)
    if told > received + AHEAD:
        return "future"
    if told < EARLIEST:
        return "past"
    return "no-zone" if normal.is_time_assumed else ""
