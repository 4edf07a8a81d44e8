"""The chart of a search: bars that together hold each event once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.pages.hunt_asked import Asked
from istmo.detect.pages.hunt_counts import MOST_BARS, _step, _steps

NOW = datetime(2026, 3, 2, 9, 13, 27, tzinfo=UTC)
stretches = st.one_of(st.none(), st.integers(1, 40 * 86_400).map(lambda seconds: timedelta(seconds=seconds)))


@given(stretch=stretches, ages=st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_bars_follow_one_another_and_hold_each_event_once(
    stretch: timedelta | None, ages: list[float]
) -> None:
    start = None if stretch is None else NOW - stretch
    seconds = _step(start, NOW)
    reach = timedelta(days=900) if stretch is None else stretch
    counts: dict[int, int] = {}
    for age in ages:
        at = int((NOW - reach * age).timestamp())
        begin = (at - at % seconds) * 1_000_000
        counts[begin] = counts.get(begin, 0) + 1
    steps = _steps(Asked(), sorted(counts.items()), seconds, start, NOW)
    assert sum(one.count for one in steps) == len(ages)
    assert len(steps) <= MOST_BARS + 2
    assert all(one.end == other.start for one, other in pairwise(steps))
    for begin, _ in counts.items():
        when = datetime.fromtimestamp(begin / 1e6, UTC)
        assert sum(one.start <= when < one.end for one in steps) == 1


@pytest.mark.parametrize(("hours", "minutes"), [(1, 5), (24, 30), (24 * 7, 6 * 60), (24 * 30, 24 * 60)])
def test_steps_are_such_as_people_count_in(hours: int, minutes: int) -> None:
    assert _step(NOW - timedelta(hours=hours), NOW) == minutes * 60
