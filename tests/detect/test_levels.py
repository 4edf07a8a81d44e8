"""The level of an indicator's hits, by the table of decision 028."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.levels import COLUMNS, band, highest, level_of
from istmo.detect.objects import LEVELS, Level

KINDS = (*COLUMNS, "anomalous-activity", "attribution", "unknown", "x-own")


@pytest.mark.parametrize(
    ("confidence", "types", "level"),
    [
        (None, [], "medium"),
        (None, ["malicious-activity"], "high"),
        (100, ["malicious-activity"], "critical"),
        (70, ["compromised"], "critical"),
        (69, ["compromised"], "high"),
        (70, [], "high"),
        (30, ["attribution"], "medium"),
        (29, ["malicious-activity"], "low"),
        (1, [], "low"),
        (0, ["malicious-activity"], "informational"),
        (95, ["anonymization"], "medium"),
        (50, ["anonymization"], "low"),
        (95, ["benign"], "informational"),
        (95, ["benign", "malicious-activity"], "critical"),
        (95, ["a word of its author's own"], "high"),
    ],
)
def test_the_table(confidence: int | None, types: list[str], level: str) -> None:
    assert level_of(confidence, types) == level


@given(st.integers(0, 100), st.integers(0, 100), st.lists(st.sampled_from(KINDS), max_size=3))
def test_who_is_surer_never_asks_for_less(one: int, other: int, types: list[str]) -> None:
    low, high = sorted((one, other))
    assert highest(level_of(low, types), level_of(high, types)) == level_of(high, types)


@given(st.one_of(st.none(), st.integers(0, 100)), st.lists(st.sampled_from(KINDS), max_size=3))
def test_whoever_says_nothing_is_taken_for_medium(confidence: int | None, types: list[str]) -> None:
    assert level_of(None, types) == level_of(50, types)
    assert level_of(confidence, types) in LEVELS
    assert band(confidence) in ("none", "low", "medium", "high")


def test_the_highest_is_the_one_that_asks_for_most() -> None:
    assert highest(Level.LOW, Level.CRITICAL, Level.HIGH) is Level.CRITICAL
