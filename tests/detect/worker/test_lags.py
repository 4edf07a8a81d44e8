"""How late events come, by source: sampled, and told as a median."""

from __future__ import annotations

from datetime import timedelta

import pytest

from istmo.clock import ManualClock
from istmo.detect.eventstore.lines import StoredEvent
from istmo.detect.eventstore.times import to_micros
from istmo.detect.normalise import NormalEvent, normalise
from istmo.detect.wire import Lags
from istmo.detect.worker import lags
from istmo.detect.worker.lags import LagSample

SECOND = 1_000_000


def event(clock: ManualClock, ago: float | None, source: str = "s1") -> tuple[StoredEvent, NormalEvent]:
    """An event that happened so many seconds ago by its own account; None for one that does not say."""
    data = {"message": "x"}
    if ago is not None:
        data["@timestamp"] = (clock.now() - timedelta(seconds=ago)).isoformat()
    return StoredEvent("1-1", to_micros(clock.now()), source, b"{}", data), normalise(data)


def test_the_median_of_the_newest_is_told(clock: ManualClock) -> None:
    sample = LagSample(clock)
    for ago in (2, 3, 4, 90_000, -7_000):
        clock.advance(1)
        sample.see([event(clock, 1e6), event(clock, ago), event(clock, 60, "s2")])
    assert sample.take() == Lags({"s1": 3 * SECOND, "s2": 60 * SECOND})


def test_events_of_a_time_to_come_have_a_lag_below_nothing(clock: ManualClock) -> None:
    sample = LagSample(clock)
    sample.see([event(clock, -3600)])
    assert sample.take() == Lags({"s1": -3600 * SECOND})


def test_what_tells_no_time_is_not_counted(clock: ManualClock) -> None:
    sample = LagSample(clock)
    sample.see([event(clock, None)])
    assert sample.take() is None


def test_a_source_is_looked_at_once_a_second_however_much_it_sends(clock: ManualClock) -> None:
    sample = LagSample(clock)
    for _ in range(100):
        sample.see([event(clock, 5)] * 50)
    sample.see([event(clock, 900)])
    clock.advance(1)
    sample.see([event(clock, None), event(clock, 7)] + [event(clock, None)] * 5)
    assert sample.take() == Lags({"s1": 6 * SECOND}), "of 5 and 7 seconds"


def test_it_is_told_every_ten_seconds_and_only_what_has_changed(clock: ManualClock) -> None:
    sample = LagSample(clock)
    sample.see([event(clock, 5), event(clock, 5, "s2")])
    assert sample.take() is not None
    clock.advance(1)
    sample.see([event(clock, 5)])
    assert sample.take() is None
    clock.advance(9)
    assert sample.take() == Lags({"s1": 5 * SECOND})
    clock.advance(10)
    assert sample.take() is None


def test_memory_is_bounded(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lags, "_MOST_SOURCES", 3)
    sample = LagSample(clock)
    for number in range(10):
        sample.see([event(clock, 5, f"s{number}")])
    told = sample.take()
    assert told is not None and len(told.sources) == 3
