"""A line is passed over only when no reading of it could come to the indicator."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.search.needles import ANYTHING, Needles

TERMS = st.sampled_from(
    [
        ("domain", "evil.example"),
        ("ipv4", "198.51.100.7"),
        ("ipv4", "198.51.0.0/16"),
        ("url", "https://evil.example/a/b"),
        ("email", "a@evil.example"),
        ("md5", "d41d8cd98f00b204e9800998ecf8427e"),
        ("filename", "a/b.exe"),
    ]
)


def written(value: str, how: int) -> bytes:
    """A JSON line that carries a value, written in one of several ways."""
    text = json.dumps({"a": f"C:\\Users x {value} y"})
    if how == 1:
        text = text.replace("e", "\\u0065").replace("1", "\\u0031")
    if how == 2:
        text = text.replace("/", "\\/").replace("evil", "EVIL")
    if how == 3:
        text = json.dumps({"a": f"ñ {value}"}, ensure_ascii=False).upper()
    return text.encode() + b"\n"


@given(st.lists(TERMS, min_size=1, max_size=4), st.integers(0, 3), st.data())
def test_every_line_with_a_term_is_read_however_it_is_written(
    terms: list[tuple[str, str]], how: int, data: st.DataObject
) -> None:
    kind, value = data.draw(st.sampled_from(terms))
    value = value.removesuffix(".0.0/16") + ".9.9" if value.endswith("/16") else value
    line = written(value, how)
    assert Needles(terms).may_hold(line), (kind, line)
    assert Needles(terms).may_hold(b'{"a":"nothing"}\n' * 50 + line)


def test_a_windows_path_hides_nothing() -> None:
    """Most of what looks like an escape is a folder's name: such lines are passed over."""
    line = b'{"Image":"C:\\\\Users\\\\update\\\\users\\\\x.exe","n":"198.51.100.8"}\n'
    assert not Needles([("ipv4", "198.51.100.7"), ("domain", "evil.example")]).may_hold(line)


def test_where_nothing_certain_can_be_said_all_is_read() -> None:
    assert Needles([ANYTHING]).may_hold(b"{}")
