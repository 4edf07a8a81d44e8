"""What fails again and again is begun again ever later; after a calm time at once."""

from __future__ import annotations

from istmo.clock import ManualClock
from istmo.detect.worker.pauses import LONGEST, Pauses


def test_each_pause_is_twice_the_one_before_up_to_a_bound(clock: ManualClock) -> None:
    pauses = Pauses(clock)
    told = []
    for _ in range(9):
        told.append(pauses.next())
        clock.advance(told[-1])
    assert told == [1, 2, 4, 8, 16, 32, LONGEST, LONGEST, LONGEST]


def test_after_a_calm_time_the_first_pause_is_short_again(clock: ManualClock) -> None:
    pauses = Pauses(clock)
    assert [pauses.next() for _ in range(3)] == [1, 2, 4]
    clock.advance(301)
    assert pauses.next() == 1
