"""What indicators would have matched: counted as a plain look at every event counts it."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from istmo.detect.search.past import MOST_EXAMPLES, PastFinder
from istmo.detect.wire import PastMatches, WireIndicator

from .test_find import END, fill

START = 1_772_442_000_000_000  # 2026-03-02 09:00:00 UTC
MINUTE = 60_000_000
LATE = START + 100 * MINUTE
ADDRESS = WireIndicator("indicator--1", [("ipv4", "203.0.113.7")])
DOMAIN = WireIndicator("indicator--2", [("domain", "evil.example")])
NOWHERE = WireIndicator("indicator--3", [("domain", "nowhere.example")])
event = st.tuples(
    st.integers(0, 59), st.sampled_from(["a", "B", "b"]), st.sampled_from(["203.0.113.7", "10.0.0.1"])
)


def line(minute: int, host: str, address: str) -> bytes:
    return orjson.dumps(
        {"UtcTime": f"2026-03-02 09:{minute:02}:00.000", "Computer": host, "DestinationIp": address}
    )


def asked(folder: Path, lines: list[bytes], start: int, seconds: float = 60) -> tuple[PastFinder, dict]:  # type: ignore[type-arg]
    finder = PastFinder(fill(folder, lines), [ADDRESS, DOMAIN, NOWHERE], END, start, LATE, seconds)
    return finder, {one.id: one for one in finder.matches()}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(event, min_size=1, max_size=25), since=st.integers(0, 59))
def test_for_all_events_as_many_are_told_as_there_are(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[int, str, str]], since: int
) -> None:
    lines = [line(*one) for one in events]
    _, found = asked(tmp_path_factory.mktemp("events"), lines, START + since * MINUTE)
    meant = [one for one in events if one[0] >= since and one[2] == "203.0.113.7"]
    told: PastMatches | None = found.pop(ADDRESS.id, None)
    assert found == {}
    if not meant:
        assert told is None
        return
    assert told is not None
    assert told.count == len(meant)
    assert told.hosts == len({host.lower() for _, host, _ in meant})
    assert (told.first, told.last) == tuple(
        START + f(minute for minute, *_ in meant) * MINUTE for f in (min, max)
    )
    latest = sorted((minute for minute, *_ in meant), reverse=True)[:MOST_EXAMPLES]
    assert [one.time for one in told.examples] == [START + minute * MINUTE for minute in latest]


def test_a_subdomain_counts_as_the_live_matcher_counts_it(tmp_path: Path) -> None:
    lines = [orjson.dumps({"QueryName": name}) for name in ("mail.evil.example", "notevil.example")]
    _, found = asked(tmp_path, lines, 0)
    assert [(id, one.count) for id, one in found.items()] == [(DOMAIN.id, 1)]
    assert found[DOMAIN.id].examples[0].fields == {"QueryName": "mail.evil.example"}


def test_without_time_it_says_that_it_did_not_see_everything(tmp_path: Path) -> None:
    finder, _ = asked(tmp_path, [line(1, "a", "203.0.113.7")] * 9, 0, seconds=-1)
    assert finder.is_cut
