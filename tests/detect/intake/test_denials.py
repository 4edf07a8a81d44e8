"""Senders that are turned away: the first is told at once, the others together, once a minute."""

from __future__ import annotations

from istmo.clock import ManualClock
from istmo.detect.intake.denials import MINUTE, Denials


def test_the_first_is_told_at_once_and_nothing_twice(clock: ManualClock) -> None:
    denials = Denials(clock)
    assert denials.take() is None
    denials.count("detect.token_unknown", "192.0.2.1")
    told = denials.take()
    assert told is not None and told.code == "detect.intake_denied"
    assert told.params == {
        "n": 1, "addresses": 1, "address": "192.0.2.1", "problem": "detect.token_unknown",
    }  # fmt: skip
    assert denials.take() is None


def test_a_flood_is_told_once_a_minute(clock: ManualClock) -> None:
    denials = Denials(clock)
    denials.count("detect.token_unknown", "192.0.2.1")
    denials.take()
    for number in range(5_000):
        denials.count("detect.token_expired", f"2001:db8::{number:x}" if number % 2 else "192.0.2.9")
        assert denials.take() is None
    clock.advance(MINUTE)
    told = denials.take()
    assert told is not None
    assert (told.params["n"], told.params["address"]) == (5_000, "192.0.2.9")
    assert int(told.params["addresses"]) <= 1_001, "what is remembered is bounded"
