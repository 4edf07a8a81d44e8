"""A page waits for an answer as long as its patience lasts, and says so where something is missing."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from istmo.clock import ManualClock, SystemClock
from istmo.detect.pages.hunt_stream import patient
from istmo.detect.wire import Problem, RuleHits, SqlRows, WireRow

ROW = WireRow("1-7", 0, 0, "s", "h", b"{}")
CUT = Problem("", "detect.search_cut_short", {"seconds": 10})
LATE = Problem("", "late", {})


def slowly(clock: ManualClock, parts: list[Any], seconds: float) -> Generator[Any]:
    for part in parts:
        clock.advance(seconds)
        yield part


@pytest.mark.parametrize("last", [RuleHits(1, True), SqlRows(1, True), CUT])
def test_an_answer_whose_last_part_came_late_is_whole(last: object) -> None:
    clock = ManualClock(SystemClock().now())
    assert list(patient(slowly(clock, [last], 60), clock, LATE)) == [last]


@pytest.mark.parametrize("part", [RuleHits(1, False), SqlRows(1, False), ROW])
def test_after_its_patience_a_page_goes_without_the_rest_and_says_so(part: object) -> None:
    clock = ManualClock(SystemClock().now())
    assert list(patient(slowly(clock, [part] * 9, 6), clock, LATE)) == [part, part, LATE]
    assert list(patient(slowly(clock, [part] * 2, 4), clock, LATE)) == [part, part]
