"""What sources sent in the last minute and the last hour."""

from __future__ import annotations

import pytest

from istmo.clock import ManualClock
from istmo.detect import recent
from istmo.detect.recent import RecentCounts
from istmo.detect.wire import SourceCount


def counted(accepted: int, refused: int = 0, unreadable: int = 0, id: str = "s1") -> list[SourceCount]:
    return [SourceCount(id, accepted, refused, 0, unreadable)]


def test_the_rate_is_that_of_the_last_minute(clock: ManualClock) -> None:
    counts = RecentCounts(clock)
    for _ in range(300):
        clock.advance(1)
        counts.add(counted(50))
    assert counts.of("s1").rate == pytest.approx(50, rel=0.02)
    clock.advance(70)
    assert counts.of("s1").rate == 0
    assert counts.of("s1").accepted == 15_000
    assert counts.of("never heard of").accepted == 0


def test_a_node_that_is_younger_than_a_minute_divides_by_its_own_age(clock: ManualClock) -> None:
    counts = RecentCounts(clock)
    for _ in range(20):
        clock.advance(1)
        counts.add(counted(10))
    assert counts.of("s1").rate == pytest.approx(10)


def test_the_last_hour_is_remembered_and_no_more(clock: ManualClock) -> None:
    counts = RecentCounts(clock)
    counts.add(counted(100, refused=30, unreadable=10))
    clock.advance(3000)
    counts.add(counted(100))
    found = counts.of("s1")
    assert (found.accepted, found.refused, found.unreadable) == (200, 30, 10)
    assert found.is_much_refused and not found.is_badly_read
    clock.advance(1000)
    counts.add(counted(1))
    assert (counts.of("s1").accepted, counts.of("s1").refused) == (101, 0)


def test_a_few_bad_events_are_no_trouble_and_a_large_share_of_many_is(clock: ManualClock) -> None:
    counts = RecentCounts(clock)
    counts.add(counted(10, unreadable=10))
    assert not counts.of("s1").is_badly_read, "ten events tell nothing"
    counts.add(counted(10, unreadable=10))
    assert counts.of("s1").is_badly_read
    counts.add(counted(100_000))
    assert not counts.of("s1").is_badly_read, "twenty of a hundred thousand"


def test_memory_is_bounded_however_many_sources_there_were(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "MOST_SOURCES", 5)
    counts = RecentCounts(clock)
    for number in range(9):
        counts.add(counted(1, id=f"s{number}"))
    assert counts.of("s8").accepted == 0
    clock.advance(4000)
    counts.add(counted(1, id="s8"))
    assert counts.of("s8").accepted == 1


def test_what_came_in_is_told_minute_by_minute_over_all_sources(clock: ManualClock) -> None:
    counts = RecentCounts(clock)
    counts.add(counted(7))
    clock.advance(125)
    counts.add(counted(50))
    counts.add(counted(20, id="s2"))
    assert counts.by_minute(4) == [0, 7, 0, 70]
    clock.advance(3700)
    assert counts.by_minute() == [0] * 60
