"""Instants as the event store keeps them: microseconds since 1970, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from istmo.detect.normalise import NormalEvent

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(instant: datetime) -> int:
    """An aware instant as microseconds since 1970."""
    return (instant - EPOCH) // _MICROSECOND


def event_micros(normal: NormalEvent, received: int) -> int:
    """When the event happened by its own account; where it does not say, when it was received."""
    return received if normal.time is None else to_micros(normal.time)
