from __future__ import annotations

import gzip
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.intake.arrivals import Arrivals
from istmo.detect.intake.bodies import EventBody
from istmo.detect.intake.inflating import PIECE, Inflater
from istmo.detect.intake.splitting import Piece, Splitter
from istmo.errors import TooLarge
from istmo.settings import Limits

cuts = st.lists(st.integers(0, 400), max_size=6)
lines = st.lists(
    st.sampled_from(
        [b"{}", b'{"a":1}', b"", b"  ", b"\r", b"nonsense", b'{"long":"' + b"x" * 90 + b'"}', b"[1]"]
    ),
    max_size=12,
)
documents = st.lists(
    st.dictionaries(
        st.text(max_size=4),
        st.text(st.sampled_from('[]{},"\\ aé\n'), max_size=8) | st.lists(st.integers(0, 99), max_size=3),
        max_size=3,
    ),
    max_size=6,
)


def split(body: bytes, at: list[int], limit: int) -> list[Piece]:
    splitter = Splitter(limit)
    places = sorted({0, len(body), *(min(one, len(body)) for one in at)})
    found: list[Piece] = []
    for start, end in pairwise(places):
        found += splitter.feed(body[start:end])
    return found + splitter.finish()


@given(lines, cuts)
def test_lines_do_not_depend_on_how_the_body_arrives(given_lines: list[bytes], at: list[int]) -> None:
    if b"".join(given_lines).strip().startswith(b"["):
        given_lines = [b"{}", *given_lines]
    found = split(b"\n".join(given_lines), at, 60)
    expected = [
        (number, None if len(line) > 60 else line.strip())
        for number, line in enumerate(given_lines, 1)
        if line.strip() or len(line) > 60
    ]
    assert found == expected


@given(documents, cuts, st.booleans())
def test_an_array_gives_its_elements_however_it_arrives(
    elements: list[dict[str, object]], at: list[int], is_pretty: bool
) -> None:
    body = orjson.dumps(elements, option=orjson.OPT_INDENT_2 if is_pretty else 0)
    found = split(body, at, 10_000)
    assert [number for number, _ in found] == list(range(1, len(elements) + 1))
    assert [orjson.loads(raw or b"") for _, raw in found] == elements


def test_an_element_past_the_limit_costs_no_other() -> None:
    body = orjson.dumps([{"n": 1}, {"x": "y" * 500}, {"n": 2}])
    assert split(body, [30, 200], 60) == [(1, b'{"n":1}'), (2, None), (3, b'{"n":2}')]


def test_lines_after_an_array_count_on() -> None:
    assert split(b'[1, 2]\n{"n":1}\n', [3], 60) == [(1, b"1"), (2, b"2"), (4, b'{"n":1}')]


@given(st.binary(max_size=2000), st.integers(1, 200), st.integers(1, 3))
def test_gzip_is_read_however_it_arrives(content: bytes, step: int, members: int) -> None:
    packed = gzip.compress(content, mtime=0) * members
    inflater = Inflater(1 << 20, 200)
    out = b"".join(
        piece for at in range(0, len(packed), step) for piece in inflater.feed(packed[at : at + step])
    )
    inflater.finish()
    assert out == content * members


def test_a_bomb_is_never_unpacked_whole() -> None:
    bomb = gzip.compress(b"{" + b" " * (200 << 20), mtime=0)
    inflater, most = Inflater(1 << 40, 200), 0
    with pytest.raises(TooLarge):
        for piece in inflater.feed(bomb):
            most = max(most, len(piece))
    assert 0 < most <= PIECE


def test_a_body_of_one_endless_line_keeps_nothing_of_it() -> None:
    body = EventBody(Arrivals(Limits()))
    body.feed(b'{"n":1}\n')
    for _ in range(400):
        body.feed(b"x" * (1 << 18))
        assert body.size < 1000
    body.feed(b'\n{"n":2}')
    body.finish()
    assert [raw for raw, _ in body.arrived.events] == [b'{"n":1}', b'{"n":2}']
    assert body.refused == [{"line": 2, "code": "detect.line_too_long"}]


def test_a_body_of_one_endless_element_ends_soon() -> None:
    """Each bracket costs a look, and 200 of them come out of each byte that was sent."""
    limits = Limits(line_bytes=1000, batch_bytes=10_000)
    body = EventBody(Arrivals(limits))
    body.feed(b'[{"n":1},' + b"[" * 9_000)
    with pytest.raises(TooLarge) as error:
        body.feed(b"[" * 3_000)
    assert (error.value.code, error.value.params) == ("detect.batch_too_large", {"limit": 10_000})


@pytest.mark.parametrize(
    ("body", "events", "at"),
    [
        (b'[{"a":1},', 1, 2),
        (b'[{"a":1}', 1, 2),
        (b'[{"a":1},{"b":', 1, 2),
        (b'[{"a":1},{"b":"x]', 1, 2),
        (b"[", 0, 1),
    ],
)
def test_an_array_that_breaks_off_is_told_and_what_came_of_it_kept(body: bytes, events: int, at: int) -> None:
    whole = EventBody(Arrivals(Limits()))
    whole.feed(body)
    whole.finish()
    assert len(whole.arrived.events) == events
    assert whole.refused == [{"line": at, "code": "detect.array_cut_short"}]
    assert whole.arrived.refused.total() == 1


def test_a_whole_array_is_not_told_of() -> None:
    whole = EventBody(Arrivals(Limits()))
    whole.feed(b'[{"a":1}, {"b":2}]')
    whole.finish()
    assert (len(whole.arrived.events), whole.refused) == (2, [])
