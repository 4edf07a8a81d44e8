"""Lengths of time as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.model import durations


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), (" 2 H ", 7200), ("1d", 86_400), ("0s", 0)]
)
def test_a_number_and_a_unit_are_read(text: str, seconds: int) -> None:
    assert durations.parse(text) == seconds


@pytest.mark.parametrize("text", ["", "15", "m", "-5m", "1.5h", "1h30m", "٣m", "9999999999s", "5 semanas"])
def test_nothing_else_is(text: str) -> None:
    assert durations.parse(text) is None


@given(st.integers(0, 10**8))
def test_what_is_written_is_read_back(seconds: int) -> None:
    assert durations.parse(durations.format(seconds)) == seconds


def test_the_largest_unit_that_holds_it_whole_is_written() -> None:
    assert [durations.format(one) for one in (0, 90, 900, 5400, 7200, 172_800)] == [
        "0s", "90s", "15m", "90m", "2h", "2d"
    ]  # fmt: skip
