"""Each target for a moment, in every run, and the inputs that once failed."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .mutating import mutated
from .targets import SEEDS, TARGETS, WELL

ASKED = {"queries", "statements"}
"""Targets of which each input is asked of a store."""
FAILED: list[tuple[str, bytes]] = [("expressions", b"(?:x{0,1000}z?)" * 50 + b"y\0" + b"x" * 400)]
"""Target and input, of what was found and mended."""


def test_the_rule_that_others_are_tried_on_is_a_good_one() -> None:
    assert (len(WELL.rules), WELL.problems) == (1, ())


@pytest.mark.parametrize("name", TARGETS)
def test_changed_seeds(name: str) -> None:
    for data in islice(mutated(SEEDS[name]), 15 if name in ASKED else 60):
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=25, deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes(name: str, data: bytes) -> None:
    TARGETS[name](data)


@pytest.mark.parametrize(("name", "data"), FAILED)
def test_what_once_failed(name: str, data: bytes) -> None:
    TARGETS[name](data)
