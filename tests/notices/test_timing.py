"""When a message may go: quiet hours by the recipient's zone, and no sooner than asked for after the last."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.errors import InvalidInput
from istmo.notices.timing import due, read_quiet

NIGHT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  # three in the morning in Guatemala
START = datetime(2025, 1, 1, tzinfo=UTC)
instants = st.integers(0, 730 * 86_400).map(lambda one: START + timedelta(seconds=one))
minutes = st.integers(0, 24 * 60 - 1)


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def test_at_night_it_waits_for_the_morning_of_whom_it_is_for() -> None:
    at = due(NIGHT, quiet="22:00-06:00", zone="America/Guatemala")
    assert at == datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    assert due(NIGHT, quiet="22:00-06:00", zone="Europe/Madrid") == NIGHT


def test_what_is_urgent_breaks_the_quiet_but_not_the_pace() -> None:
    sent = NIGHT - timedelta(minutes=4)
    at = due(NIGHT, sent=sent, every=10, quiet="22:00-06:00", zone="America/Guatemala", is_urgent=True)
    assert at == NIGHT + timedelta(minutes=6)


@given(instants, minutes, minutes, st.sampled_from(["UTC", "America/Guatemala", "America/Santiago"]))
def test_nothing_ever_goes_in_quiet_hours_nor_waits_longer_than_they_last(
    now: datetime, start: int, end: int, zone: str
) -> None:
    if start == end:
        return
    at = due(now, quiet=f"{clock(start)}-{clock(end)}", zone=zone)
    there = at.astimezone(ZoneInfo(zone)).time()
    begin, finish = time(*divmod(start, 60)), time(*divmod(end, 60))
    is_quiet = begin <= there < finish if begin < finish else there >= begin or there < finish
    # Where the clock is set forward over the end of the quiet, that minute is not on the wall.
    assert at >= now and at - now <= timedelta(hours=25)
    assert not is_quiet or zone == "America/Santiago"


@given(instants, st.integers(0, 1440), st.integers(0, 100_000))
def test_two_messages_are_never_closer_than_asked_for(now: datetime, every: int, ago: int) -> None:
    sent = now - timedelta(seconds=ago)
    at = due(now, sent=sent, every=every)
    assert at >= now and at - sent >= timedelta(minutes=every)


@pytest.mark.parametrize("text", ["25:00-06:00", "22-6", "22:00", "06:00-06:00", "x"])
def test_what_are_no_hours_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"notices\.quiet"):
        read_quiet(text)
