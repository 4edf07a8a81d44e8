"""However a stream is cut on its way, the same messages come out of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.intake.listeners.framing import Framing

MESSAGES = st.lists(
    st.binary(max_size=60).map(lambda body: b"<13>" + body.translate(None, b"\r\n\0")), min_size=1
)


@pytest.mark.parametrize("way", ["counted", "lines", "nul"])
@given(messages=MESSAGES, sizes=st.lists(st.integers(1, 40), min_size=1))
def test_no_message_is_lost_or_changed_by_where_the_stream_is_cut(
    way: str, messages: list[bytes], sizes: list[int]
) -> None:
    framing = Framing(1_000)
    if way == "counted":
        stream = b"".join(b"%d %b" % (len(one), one) for one in messages)
    else:
        stream = b"".join(one + (b"\n" if way == "lines" else b"\0") for one in messages)
    found, at, turn = [], 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        found += framing.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert found + framing.finish() == messages
    assert not framing.is_lost
