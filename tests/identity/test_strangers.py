"""Denials of the unknown: each leaves a line, and a flood of them does not fill the disk."""

from __future__ import annotations

import pytest

from istmo.clock import ManualClock
from istmo.identity import audit
from istmo.identity.strangers import MINUTE, Strangers
from istmo.store.engine import Store

HERE, THERE = "192.0.2.1", "198.51.100.9"


@pytest.fixture
def strangers(store: Store, clock: ManualClock) -> Strangers:
    return Strangers(store, clock, lines=5, an_address=3)


def trail(store: Store) -> list[tuple[str, str, dict[str, str]]]:
    """(address, reason, what it tells) of each line, oldest first."""
    with store.read() as connection:
        lines = audit.lines(connection)
    assert all((one.outcome, one.principal) == ("denied", "anonymous") for one in lines)
    return [(one.address, one.reasons[0]["code"], one.reasons[0]["params"]) for one in reversed(lines)]


def refuse(strangers: Strangers, times: int, address: str = HERE) -> None:
    for _ in range(times):
        strangers.denied("web.request", "GET /api/v1/objects", "web.token_unknown", address)


def test_a_denial_leaves_a_line_with_its_address(strangers: Strangers, store: Store) -> None:
    refuse(strangers, 1)
    assert trail(store) == [(HERE, "web.token_unknown", {})]


def test_a_flood_is_told_in_one_line_once_its_minute_is_over(
    strangers: Strangers, store: Store, clock: ManualClock
) -> None:
    refuse(strangers, 1_000)
    strangers.tell_rest()
    assert len(trail(store)) == 3, "the minute is not over"
    clock.advance(MINUTE)
    strangers.tell_rest()
    strangers.tell_rest()
    assert trail(store)[3:] == [(HERE, "more_denied", {"count": "997", "addresses": "1"})]


def test_the_next_minute_has_room_again(strangers: Strangers, store: Store, clock: ManualClock) -> None:
    refuse(strangers, 4)
    clock.advance(MINUTE)
    refuse(strangers, 1)
    assert [code for _, code, _ in trail(store)] == [
        *["web.token_unknown"] * 3,
        "more_denied",
        "web.token_unknown",
    ]


def test_one_loud_address_does_not_hide_another(strangers: Strangers, store: Store) -> None:
    refuse(strangers, 100)
    refuse(strangers, 1, THERE)
    assert trail(store)[-1][0] == THERE


def test_many_addresses_together_have_no_more_room(strangers: Strangers, store: Store) -> None:
    for number in range(3_000):
        refuse(strangers, 1, f"2001:db8::{number:x}")
    strangers.tell_rest(is_last=True)
    assert len(trail(store)) == 6
    assert trail(store)[-1][2]["count"] == "2995"


def test_what_is_left_is_told_at_the_end(strangers: Strangers, store: Store) -> None:
    refuse(strangers, 5)
    strangers.tell_rest(is_last=True)
    assert trail(store)[-1][1:] == ("more_denied", {"count": "2", "addresses": "1"})
