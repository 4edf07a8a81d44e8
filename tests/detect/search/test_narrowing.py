"""A block is searched as a whole for what its lines would be searched for one by one."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.search.narrowing import line_filter_of
from istmo.detect.search.query import parse_query

texts = st.text(st.sampled_from('aAkKuU01257eE.\\/ ñİK"\n'), max_size=12)
values = texts | st.integers(-(10**6), 10**9) | st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.lists(st.dictionaries(texts, values, max_size=3), min_size=1, max_size=12),
    st.sampled_from(["a", "k", "ak", "uu", "125", "5", "1e2", "\\u", "a AND k", "a 5"]),
    st.booleans(),
)
def test_the_lines_of_a_block_are_those_for_which_it_may_hold(
    events: list[dict[str, object]], query: str, escapes: bool
) -> None:
    lines = [orjson.dumps(event) for event in events]
    if escapes:
        lines = [line.replace(b"K", b"\\u004b").replace(b"/", b"\\/") for line in lines]
    lines = [line + b"\n" for line in lines]
    found = line_filter_of(parse_query(query))
    if found is None:
        return
    wanted = [(number, line) for number, line in enumerate(lines) if found.may_hold(line)]
    assert found.lines_in(b"".join(lines)) == wanted
