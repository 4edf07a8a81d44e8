"""Lines that a strict parser refuses and that say something all the same."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.eventstore.lines import compose, is_whole, read_event
from istmo.errors import InvalidInput
from istmo.settings import Limits


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r'"a \ud800 b"', "a \ufffd b"),
        (r'"\ude00\ud83d"', "\ufffd\ufffd"),
        (r'"\ud83d\ude00"', "😀"),
        ("9" * 5000, "9" * 5000),
        ("1e999", "1e999"),
    ],
)
def test_they_are_read_and_kept_beside_what_was_read(written: str, read: Any) -> None:
    line = f'{{"a": {written}, "b": 1}}'.encode()
    raw, data = read_event(line, Limits())
    assert (data["a"], data["b"]) == (read, 1)
    assert data.get("event.original", line.decode()) == line.decode()
    assert orjson.loads(raw) == data
    assert is_whole(compose(1, 2, 3, b'"s"', raw))


@pytest.mark.parametrize(
    "line", [b'{"a": 1', b"{'a': 1}", b'{"a": 01}', b'{"a": "\x01"}', b'{"\\ud800": }', b'{"a": NaN}']
)
def test_what_is_no_json_stays_none(line: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_event(line, Limits())


@given(st.dictionaries(st.text(st.characters()), st.text(st.characters())))
def test_any_text_that_programs_write_is_read(event: dict[str, str]) -> None:
    raw, data = read_event(json.dumps(event).encode(), Limits())
    whole = {
        name.encode("utf-16", "surrogatepass").decode("utf-16", "replace"): value
        for name, value in event.items()
    }
    assert set(whole) <= set(data)
    assert orjson.loads(raw) == data
