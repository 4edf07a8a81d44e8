"""Counting comes to what a look at every event would count."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.search import counting
from istmo.detect.search.asking import question_of
from istmo.detect.search.counting import CountingFinder, Counts
from istmo.detect.search.query import parse_query
from istmo.detect.wire import Position, Tally

from .test_find import all_seen, events, fill, queries

EVERYTHING = Position(1 << 40, 0)
FIELDS = ["Image", "IMAGE", "Data", "host", "source", "nothing", "id", "UtcTime"]
MINUTE = 60_000_000


def count(folder: EventFolder, query: str, by: str = "", bucket: int = 0, top: int = 1000) -> Tally:
    finder = CountingFinder(folder, parse_query(query), Counts(by, top, bucket), EVERYTHING, 60)
    *_, last = finder.tallies()
    assert not finder.unreadable
    return last


def naive(folder: EventFolder, query: str, by: str, bucket: int) -> dict[str, Any]:
    asks = question_of(parse_query(query))
    found = [seen for _, seen in all_seen(folder) if asks(seen)]
    return {
        "total": len(found),
        "values": Counter(text for seen in found for text in set(seen.texts(by.lower()))),
        "missing": sum(1 for seen in found if not seen.texts(by.lower())),
        "buckets": Counter(seen.time - seen.time % bucket for seen in found),
    }


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
        HealthCheck.data_too_large,
    ],
)
@given(
    st.lists(events, min_size=1, max_size=40),
    st.lists(st.tuples(queries(), st.sampled_from(FIELDS)), min_size=1, max_size=8),
)
def test_counts_are_those_of_a_look_at_every_event(
    tmp_path_factory: pytest.TempPathFactory, stored: list[dict[str, Any]], asked: list[tuple[str, str]]
) -> None:
    folder = fill(tmp_path_factory.mktemp("count"), [orjson.dumps(one) for one in stored])
    for query, by in asked:
        told = count(folder, query, by, MINUTE)
        expected = naive(folder, query, by, MINUTE)
        assert told.total == expected["total"], query
        assert Counter(dict(told.values)) == expected["values"], (query, by)
        assert told.missing == expected["missing"], (query, by)
        assert Counter(dict(told.buckets)) == expected["buckets"], query


def test_the_most_frequent_come_first_and_the_rest_is_counted_too(tmp_path: Path) -> None:
    images = ["a"] * 5 + ["B", "b", "b"] + ["c"]
    folder = fill(tmp_path, [orjson.dumps({"Image": one}) for one in images])
    told = count(folder, "", "image", top=2)
    assert (told.total, told.values, told.rest) == (9, [("a", 5), ("b", 3)], 1)


def test_what_is_too_varied_to_be_told_apart_is_still_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MOST_VALUES", 3)
    folder = fill(tmp_path, [orjson.dumps({"Image": f"{number:02}"}) for number in range(20)])
    told = count(folder, "", "Image")
    assert (told.total, len(told.values), told.rest + 3, told.missing) == (20, 3, 20, 0)
