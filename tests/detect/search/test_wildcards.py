"""Wildcards mean what a regular expression would say, and no pattern takes long."""

from __future__ import annotations

import re
import time
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.search.find import Finder
from istmo.detect.search.query import parse_query
from istmo.detect.search.wildcards import inside_test, whole_test

from .test_find import END, fill, naive, search

LETTERS = "abñ.\\\n*?\ud800\u0130"


def expression(value: str) -> re.Pattern[str]:
    parts = re.split(r"([*?])", value.lower())
    return re.compile(
        "".join({"*": ".*", "?": "."}.get(part) or re.escape(part) for part in parts), re.DOTALL
    )


@given(st.text(LETTERS, max_size=9), st.text(LETTERS.replace("*", "").replace("?", ""), max_size=9))
def test_wildcards_mean_any_text_and_any_one_character(value: str, text: str) -> None:
    low = text.lower()
    assert whole_test(value, has_wildcards=True)(low) == bool(expression(value).fullmatch(low))
    assert inside_test(value, has_wildcards=True)(low) == bool(expression(value).search(low))


@given(st.text(LETTERS, max_size=4), st.text(LETTERS, max_size=9))
def test_without_wildcards_a_star_is_a_star(value: str, text: str) -> None:
    low = text.lower()
    assert whole_test(value, has_wildcards=False)(low) == (value.lower() == low)
    assert inside_test(value, has_wildcards=False)(low) == (value.lower() in low)


@pytest.mark.parametrize(
    "value", ["*?" * 16 + "x", "*a" * 40 + "*x", "*a?" * 300 + "x", "?" * 4000, "?ñ" * 2000, "*" * 4000 + "x"]
)
def test_no_pattern_takes_long(tmp_path: Path, value: str) -> None:
    lines = [orjson.dumps({"Image": "a" * 2000 + str(n % 7), "Data": ["a" * 200, "b"]}) for n in range(30)]
    folder = fill(tmp_path / "events", lines)
    begun = time.monotonic()
    for text in (f"Image:{value}", f"Data:{value}", value):
        query = parse_query(text)
        assert search(folder, query) == naive(folder, query, 100) == []
    assert time.monotonic() - begun < 10


def test_many_pieces_narrow_down_and_lose_nothing(tmp_path: Path) -> None:
    folder = fill(tmp_path / "events", [b'{"Image":"abcdefghijklmnopqrstuvwxyz%d"}' % n for n in range(20)])
    query = parse_query("Image:a*b*c*d*e*f*g*h*i*j*k*l*m*n*o*z1?")
    assert len([row for rows in Finder(folder, query, 100, END, 60).rows() for row in rows]) == 10
