"""Matches on all the real recordings: what is checked in, and what a second reading of the rules counts."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from istmo.clock import ManualClock
from istmo.detect.sigma import RuleSet
from istmo.detect.stories import from_micros
from istmo.detect.wire import WireHit
from istmo.model import instants

from ..alerts.room import HOUR, open_room  # noqa: TID252 - works with and without tests as a package
from .recordings import (
    Counts,
    Hits,
    count_matches,
    find_hits,
    fold,
    golden_alerts,
    golden_figures,
    recorded_events,
)
from .second_reading import READINGS

GOLDEN = Path(__file__).parents[2] / "golden" / "sigma_matches.json"
ALERTS = GOLDEN.with_name("sigma_alerts.json")


def golden_counts() -> Counts:
    return Counter(
        {(row["rule"], row["recording"]): row["count"] for row in json.loads(GOLDEN.read_text("utf-8"))}
    )


@pytest.fixture(scope="session")
def hits(released_rules: RuleSet, shared_data: Path) -> Hits:
    """Every match in every recording: asked once, for it takes seconds."""
    return find_hits(released_rules, shared_data)


@pytest.mark.shared_data
def test_matches_on_all_recordings_are_the_golden_figures(released_rules: RuleSet, hits: Hits) -> None:
    assert golden_figures(released_rules, count_matches(hits)) == json.loads(GOLDEN.read_text("utf-8"))


@pytest.mark.shared_data
def test_alerts_on_all_recordings_are_the_golden_figures(
    released_rules: RuleSet, hits: Hits, tmp_path: Path, clock: ManualClock
) -> None:
    """One alert a story: what an analyst finds in the list after all of it has come in."""
    room = open_room(tmp_path, f"sqlite:///{tmp_path / 'node.db'}", clock)
    figures = golden_alerts(released_rules, fold(room, hits))
    room.store.close()
    assert figures == json.loads(ALERTS.read_text("utf-8"))


def test_the_golden_alerts_tell_of_every_golden_match() -> None:
    figures = json.loads(ALERTS.read_text("utf-8"))
    matches: Counter[str] = Counter()
    for (rule, _), count in golden_counts().items():
        matches[rule] += count
    assert {one["rule"]: one["hits"] for one in figures} == matches
    assert 0 < sum(one["alerts"] for one in figures) < matches.total() / 2
    for one in figures:
        assert len(one["stories"]) == one["alerts"]
        assert sum(count for *_, count in one["stories"]) == one["hits"]


@pytest.mark.shared_data
def test_told_in_the_order_of_their_time_stories_part_exactly_where_a_day_is_silent(
    released_rules: RuleSet, hits: Hits, tmp_path: Path, clock: ManualClock
) -> None:
    """A second, plain folding. (Recordings come in by name: what began as two stories stays two.)"""
    in_order = sorted((hit for _, hit in hits), key=lambda hit: (hit.time, hit.event_id))
    events = {event: number for number, event in enumerate(dict.fromkeys(hit.event_id for hit in in_order))}
    told = [("", msgspec.structs.replace(hit, event_id=f"1-{events[hit.event_id]}")) for hit in in_order]
    room = open_room(tmp_path, f"sqlite:///{tmp_path / 'node.db'}", clock)
    figures = golden_alerts(released_rules, fold(room, told))
    room.store.close()
    expected: dict[str, list[list[WireHit]]] = {}
    last: dict[tuple[str, str], list[WireHit]] = {}
    for hit in in_order:
        story = last.get((hit.subject, hit.host))
        if story is None or hit.time - story[-1].time > 24 * HOUR:
            story = last[hit.subject, hit.host] = []
            expected.setdefault(hit.subject, []).append(story)
        story.append(hit)
    assert {one["rule"]: one["stories"] for one in figures} == {
        rule: sorted([one[0].host, said(one[0]), said(one[-1]), len(one)] for one in stories)
        for rule, stories in expected.items()
    }


def said(hit: WireHit) -> str:
    return instants.format(from_micros(hit.time))


@pytest.mark.long
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
