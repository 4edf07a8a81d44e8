"""Matches on all the real recordings: what is checked in, and what a second reading of the rules counts."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from istmo.detect.sigma import RuleSet

from .recordings import Counts, count_matches, golden_figures, recorded_events
from .second_reading import READINGS

GOLDEN = Path(__file__).parents[2] / "golden" / "sigma_matches.json"


def golden_counts() -> Counts:
    return Counter(
        {(row["rule"], row["recording"]): row["count"] for row in json.loads(GOLDEN.read_text("utf-8"))}
    )


@pytest.mark.shared_data
def test_matches_on_all_recordings_are_the_golden_figures(released_rules: RuleSet, shared_data: Path) -> None:
    figures = golden_figures(released_rules, count_matches(released_rules, shared_data))
    assert figures == json.loads(GOLDEN.read_text("utf-8"))


@pytest.mark.shared_data
def test_a_second_reading_of_the_rules_by_hand_counts_the_same(shared_data: Path) -> None:
    counts: Counts = Counter()
    for recording, event in recorded_events(shared_data):
        for rule, reading in READINGS.items():
            if reading(event):
                counts[rule, recording] += 1
    golden = {key: count for key, count in golden_counts().items() if key[0] in READINGS}
    assert dict(counts) == golden


def test_the_second_reading_covers_forty_rules_that_match_and_some_that_must_not() -> None:
    matched = {rule for rule, _ in golden_counts()}
    assert len(matched & set(READINGS)) >= 40
    assert len(set(READINGS) - matched) >= 10
