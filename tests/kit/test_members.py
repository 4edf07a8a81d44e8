"""Members as people name them."""

from __future__ import annotations

import pytest

from istmo.kit.members import member_named

HN = "identity--22222222-2222-4222-8222-222222222222"
SV = "identity--33333333-3333-4333-8333-333333333333"
NAMES = {HN: "CSIRT Honduras", SV: "CSIRT El Salvador"}


@pytest.mark.parametrize("text", [HN, "CSIRT Honduras", "csirt honduras", "  CSIRT HONDURAS "])
def test_a_member_is_named_by_id_or_name(text: str) -> None:
    assert member_named(NAMES, text) == HN


@pytest.mark.parametrize("text", ["", "CSIRT", "CSIRT Panamá"])
def test_what_names_nobody_stays_as_it_is(text: str) -> None:
    assert member_named(NAMES, text) == text


def test_a_name_that_two_carry_names_neither() -> None:
    assert member_named({HN: "CSIRT", SV: "csirt"}, "CSIRT") == "CSIRT"


def test_nobody_takes_the_place_of_another_by_calling_himself_by_his_id() -> None:
    assert member_named({HN: "CSIRT Honduras", SV: HN}, HN) == HN
