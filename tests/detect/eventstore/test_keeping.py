"""What goes and what becomes one: decided from what is known of the segments alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.eventstore.folder import Closed
from istmo.detect.eventstore.frames import Part
from istmo.detect.eventstore.keeping import (
    AGE,
    BUDGET,
    DAY,
    MERGED_BYTES,
    SOURCE_BUDGET,
    Keep,
    Wanted,
    daily_bytes,
    going,
    mergeable,
)
from istmo.detect.eventstore.resting import Resting

HOUR = DAY // 24
NOW = 400 * DAY
FAR = 1 << 40
MB = 1 << 20


def resting(segment: int, hour: int, *, unpacked: int = 10 * MB, **bytes_of: int) -> Resting:
    """A segment of one hour, by source how many bytes of its lines; packed to a tenth."""
    given = bytes_of or {"a": unpacked}
    start = hour * HOUR
    parts = {source: Part(10, size, start, start + HOUR - 1) for source, size in given.items()}
    unpacked = sum(given.values())
    return Resting(Closed(segment, segment), 10 * len(parts), unpacked // 10, unpacked, parts)


def test_events_go_once_they_are_older_than_they_are_kept() -> None:
    shelf = [resting(1, 399 * 24 - 25), resting(2, 399 * 24 - 1), resting(3, 399 * 24)]
    gone = going(shelf, Wanted(Keep(days=1)), NOW, FAR, 0)
    assert [(one.resting.closed.first, one.why, one.is_whole) for one in gone] == [
        (1, {"a": AGE}, True),
        (2, {"a": AGE}, True),
    ]
    assert going(shelf, Wanted(), NOW, FAR, 0) == []


def test_a_source_has_days_of_its_own_longer_or_shorter() -> None:
    shelf = [resting(1, 24, a=5 * MB, b=5 * MB, c=5 * MB)]
    wanted = Wanted(Keep(days=90), {"a": Keep(days=398), "b": Keep(days=500)})
    (gone,) = going(shelf, wanted, NOW, FAR, 0)
    assert (gone.why, gone.is_whole) == ({"a": AGE, "c": AGE}, False)


def test_the_oldest_of_a_source_go_until_the_rest_fits_its_budget() -> None:
    shelf = [resting(n, n, a=10 * MB, b=30 * MB) for n in range(1, 5)]
    gone = going(shelf, Wanted(sources={"a": Keep(budget=2 * MB)}), NOW, FAR, 0)
    assert [(one.resting.closed.first, one.why) for one in gone] == [
        (1, {"a": SOURCE_BUDGET}),
        (2, {"a": SOURCE_BUDGET}),
    ]


def test_the_oldest_of_all_go_until_the_rest_fits_beside_what_does_not_rest_yet() -> None:
    shelf = [resting(n, n) for n in range(1, 6)]
    gone = going(shelf, Wanted(Keep(budget=4 * MB)), NOW, FAR, 1 * MB)
    assert [(one.resting.closed.first, one.why, one.is_whole) for one in gone] == [
        (1, {"a": BUDGET}, True),
        (2, {"a": BUDGET}, True),
    ]


shelves = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.dictionaries(st.sampled_from("abc"), st.integers(1, 40 * MB), min_size=1, max_size=3),
    ),
    max_size=12,
).map(lambda found: [resting(n, hour, **parts) for n, (hour, parts) in enumerate(sorted(found, key=str), 1)])
keeps = st.builds(Keep, st.integers(0, 500), st.integers(0, 20 * MB))


@given(shelves, keeps, st.dictionaries(st.sampled_from("abc"), keeps), st.integers(0, 14), st.integers(0, MB))
def test_whatever_is_wanted_nothing_unread_goes_and_budgets_hold_where_they_can(
    shelf: list[Resting], all_of_it: Keep, sources: dict[str, Keep], before: int, ahead: int
) -> None:
    wanted = Wanted(all_of_it, sources)
    gone = going(shelf, wanted, NOW, before, ahead)
    assert all(one.resting.closed.last < before for one in gone)
    assert all(set(one.why) <= set(one.resting.parts) for one in gone)
    assert all(one.is_whole == (set(one.why) == set(one.resting.parts)) for one in gone)
    left = {one.closed: set(one.parts) for one in shelf}
    for one in gone:
        left[one.resting.closed] -= set(one.why)
    may_go = [one for one in shelf if one.closed.last < before]
    for source, keep in sources.items():
        taken = sum(one.share(source) for one in shelf if source in left[one.closed])
        if keep.budget and taken > keep.budget:
            assert not any(source in left[one.closed] for one in may_go)
    if all_of_it.budget:
        taken = sum(one.share(source) for one in shelf for source in left[one.closed])
        if taken > all_of_it.budget - ahead + len(shelf) * 3:  # shares are rounded down
            assert not any(left[one.closed] for one in may_go)
    if not (all_of_it.days or all_of_it.budget or any(one.days or one.budget for one in sources.values())):
        assert gone == []


def firsts(run: list[Resting]) -> list[int]:
    return [one.closed.first for one in run]


def test_small_neighbours_of_a_day_become_one() -> None:
    day = [resting(n, 24 + n, unpacked=MB) for n in range(1, 24)]
    next_day = [resting(n, 24 + n, unpacked=MB) for n in range(24, 30)]
    assert firsts(mergeable([*day, *next_day], NOW, FAR)) == list(range(1, 24))
    assert mergeable(day[:5], day[4].last + 1, FAR) == [], "few of a day that is not over can wait"
    assert firsts(mergeable(day[:8], day[7].last + 1, FAR)) == list(range(1, 9))
    assert firsts(mergeable(day[:5], NOW, FAR)) == [1, 2, 3, 4, 5]
    assert mergeable(day[:1], NOW, FAR) == []


def test_nothing_is_merged_over_what_cannot_be_read_or_was_not_read() -> None:
    day = [resting(n, 24 + n, unpacked=MB) for n in (1, 2, 3, 5, 6)]
    assert firsts(mergeable(day, NOW, FAR)) == [1, 2, 3, 5, 6], "what is there no more is no wall"
    assert firsts(mergeable(day, NOW, FAR, [4])) == [1, 2, 3]
    assert firsts(mergeable(day, NOW, 3)) == [1, 2]


@given(shelves, st.integers(0, 14), st.sets(st.integers(1, 12)))
def test_a_merge_is_small_of_one_day_and_of_neighbours(
    shelf: list[Resting], before: int, walls: set[int]
) -> None:
    open_to_it = [one for one in shelf if one.closed.first not in walls]
    run = mergeable(open_to_it, NOW, before, walls)
    if run:
        assert len(run) >= 2
        assert firsts(run) == list(range(run[0].closed.first, run[-1].closed.last + 1))
        assert run[-1].closed.last < before
        assert sum(one.unpacked for one in run) <= MERGED_BYTES
        assert run[0].first // DAY == run[-1].last // DAY


def test_a_days_bytes_are_those_of_the_last_week() -> None:
    shelf = [resting(1, 1)] + [resting(n, 400 * 24 - 48 + n) for n in range(2, 48)]
    assert 22 * MB < daily_bytes(shelf, NOW) < 26 * MB
    assert daily_bytes([resting(1, 1)], NOW) == 0
    assert daily_bytes([], NOW) == 0
