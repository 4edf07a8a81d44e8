"""Statements and frames: what is written is read, and no bytes whatever do anything but fail in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from istmo.clock import ManualClock
from istmo.errors import InvalidInput, IstmoError
from istmo.federation import statement
from istmo.federation.budget import Budget
from istmo.federation.frames import KIND, Frame, Item, read_frame
from istmo.ledger.envelope import Envelope
from istmo.ledger.records import Chain

ME = "identity--11111111-1111-4111-8111-111111111111"
YOU = "identity--22222222-2222-4222-8222-222222222222"
LIMIT = 1 << 20
NUMBERS = st.integers(0, (1 << 53) - 1)
ENVELOPES = st.builds(
    Envelope,
    st.binary(max_size=50),
    st.just("0" * 64),
    st.binary(min_size=64, max_size=64),
    st.binary(max_size=50),
)
ITEMS = st.builds(Item, NUMBERS, NUMBERS, st.binary(min_size=32, max_size=32), st.none() | ENVELOPES)
FRAMES = st.builds(
    Frame,
    st.sampled_from(("envelopes", "urgent", "heartbeat", "receipt")),
    st.just(ME),
    st.just(YOU),
    st.text("abc-_", max_size=20),
    st.datetimes(timezones=st.just(UTC)),
    st.builds(Chain, NUMBERS, st.binary(min_size=32, max_size=32)),
    NUMBERS,
    NUMBERS,
    st.lists(ITEMS, max_size=4).map(tuple),
    st.text(max_size=30),
    st.lists(st.tuples(NUMBERS, st.text(max_size=10)), max_size=3).map(tuple),
)


@settings(max_examples=50, deadline=None)
@given(frame=FRAMES)
def test_for_all_frames_what_is_written_is_read(key_store, frame: Frame) -> None:
    keys = key_store["Guatemala"]
    line = frame.encode(keys)
    assert b"\n" not in line
    value = statement.read_verified(line, KIND, keys.public, limit=LIMIT)
    assert read_frame(value, LIMIT) == frame


@settings(max_examples=50, deadline=None)
@given(frame=FRAMES, data=st.data())
def test_for_all_changed_bytes_the_statement_is_forged_or_unreadable(key_store, frame: Frame, data) -> None:
    """House invariant 3: nobody changes another's bytes unseen."""
    keys = key_store["Guatemala"]
    line = bytearray(frame.encode(keys))
    place = data.draw(st.integers(0, len(line) - 1))
    line[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(InvalidInput):
        statement.read_verified(bytes(line), KIND, keys.public, limit=LIMIT)


def test_a_statement_of_one_kind_does_not_pass_for_another(key_store) -> None:
    keys = key_store["Guatemala"]
    line = statement.sign(keys, "hello", {"a": 1})
    assert statement.read_verified(line, "hello", keys.public, limit=LIMIT) == {"a": 1}
    for kind, public in (("frame", keys.public), ("hello", key_store["Honduras"].public)):
        with pytest.raises(InvalidInput):
            statement.read_verified(line, kind, public, limit=LIMIT)


@settings(max_examples=100, deadline=None)
@given(raw=st.binary(max_size=300))
def test_for_all_bytes_reading_ends_in_words(raw: bytes) -> None:
    with pytest.raises(IstmoError):
        statement.read(raw, limit=200)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("v", "kind", "origin", "session", "created", "chain", "items", "refused", "charter", "checkpoint")


@settings(max_examples=150, deadline=None)
@given(frame=FRAMES, field=st.sampled_from(FIELDS), value=JSON)
def test_for_all_values_in_a_field_a_frame_is_read_or_refused_in_words(
    key_store, frame: Frame, field: str, value
) -> None:
    whole = statement.read(frame.encode(key_store["Guatemala"]), limit=LIMIT)[2]
    try:
        read_frame(whole | {field: value}, LIMIT)
    except IstmoError as error:
        assert error.code.startswith(("federation.", "instant."))


def test_an_envelope_that_cannot_be_read_stops_only_itself(key_store) -> None:
    """House invariant 8."""
    item = Item(1, 1, bytes(32), None)
    frame = Frame(
        "envelopes", ME, YOU, "", datetime(2026, 3, 2, tzinfo=UTC), Chain(2, bytes(32)), 2, 1, (item, item)
    )
    value = statement.read(frame.encode(key_store["Guatemala"]), limit=LIMIT)[2]
    value["items"][0]["envelope"] = {"header": "no"}
    read = read_frame(value, LIMIT)
    assert read.items[0].envelope is None
    assert read.items[1] == replace(item)


def test_a_budget_fills_at_its_rate(clock: ManualClock) -> None:
    budget = Budget(10, 20, clock)
    assert budget.take(20)
    assert not budget.take(1)
    clock.advance(0.5)
    assert budget.take(5)
    assert not budget.take(1)
    clock.advance(100)
    assert budget.take(20)
    assert not budget.take(1)
