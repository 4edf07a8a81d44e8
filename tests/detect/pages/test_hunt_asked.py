"""The address of the hunting page: what it asks, and the conditions that a value adds to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.eventstore.lines import parse
from istmo.detect.pages.hunt_asked import Asked, between, narrowed, read_asked, term_of
from istmo.detect.search.asking import question_of
from istmo.detect.search.query import parse_query
from istmo.detect.search.stored import see
from istmo.errors import InvalidInput

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
values = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=60)
queries = st.sampled_from(["", "a", "a OR b", "host:x", "NOT a", "(a OR b) c", "from:2026-03-01 a", "-a"])


def finds(query: str, **fields: str) -> bool:
    line = b'{"id":"1-0","at":1772442000000000,"from":"s","event":' + orjson.dumps(fields) + b"}\n"
    assert parse(line)
    seen = see(line)
    assert seen is not None
    return question_of(parse_query(query))(seen)


@given(value=values, other=values)
def test_a_value_finds_the_events_that_have_it_and_no_others(value: str, other: str) -> None:
    term = term_of("Image", value)
    assert finds(term, Image=value)
    assert finds(term, Image=other) == (value.lower() == other.lower())


@given(query=queries, value=values)
def test_with_and_without_a_value_share_what_the_query_finds(query: str, value: str) -> None:
    asked = Asked(query=query)
    only = narrowed(asked, term_of("Image", value))
    without = narrowed(asked, term_of("Image", value), without=True)
    assert only is not None and without is not None
    for text in ("a", "b", "c"):
        event = {"Image": value, "other": text, "timestamp": "2026-03-02T09:00:00Z"}
        assert finds(only.query, **event) == finds(query, **event)
        assert not finds(without.query, **event)


@pytest.mark.parametrize("name", ["has space", "a:b", "x(y)", '"q"', "-x"])
def test_a_field_that_the_language_cannot_name_is_searched_as_text(name: str) -> None:
    assert term_of(name, "v") == '"v"'


@pytest.mark.parametrize(
    ("query", "start", "end"),
    [
        ({"from": "1h"}, NOW - timedelta(hours=1), None),
        ({}, NOW - timedelta(hours=24), None),
        ({"from": "all"}, None, None),
        ({"from": "2026-03-01"}, MARCH, None),
        ({"from": "2026-03-01..2026-03-02"}, MARCH, MARCH + timedelta(days=1)),
        ({"from": "2026-03-01", "to": "2026-03-02"}, MARCH, MARCH + timedelta(days=1)),
        ({"since": "2026-03-02T03:00"}, NOW, None),
        ({"until": "2026-03-02T03:00"}, None, NOW),
    ],
)  # fmt: skip
def test_a_stretch_of_time_is_read_as_people_and_links_write_it(
    query: dict[str, str], start: datetime | None, end: datetime | None
) -> None:
    assert read_asked(query, "America/Tegucigalpa").stretch(NOW) == (start, end)


@given(text=st.text(max_size=40))
def test_what_is_no_stretch_is_refused_and_never_breaks(text: str) -> None:
    asked = read_asked({"from": text, "before": text, "since": text, "columns": text}, "UTC")
    asked.page()
    try:
        asked.stretch(NOW)
    except InvalidInput as error:
        assert error.code == "detect.hunting_stretch"


def test_an_address_asks_the_same_again() -> None:
    asked = Asked(
        query='host:"a b" & c', within=between(NOW, NOW + timedelta(hours=1)), columns=("Image",), by="host"
    )
    again = read_asked(dict(parse_qsl(urlsplit(asked.path()).query)), "UTC")
    assert again == asked
