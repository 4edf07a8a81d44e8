"""A form's token belongs to one session and cannot be made without its secret."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from istmo.kit import csrf


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_token_serves_its_own_session_and_no_other(secret: str, other: str) -> None:
    made = csrf.token(secret)
    assert csrf.is_valid(secret, made)
    assert csrf.is_valid(other, made) == (secret == other)


@given(st.text(max_size=200))
def test_nothing_made_up_passes(given_token: str) -> None:
    assert not csrf.is_valid("secret", given_token)
    assert not csrf.is_valid("", given_token)


def test_every_page_has_a_different_token() -> None:
    assert csrf.token("secret") != csrf.token("secret")


def test_one_changed_character_is_refused() -> None:
    made = csrf.token("secret")
    for at in range(len(made)):
        other = "0" if made[at] != "0" else "1"
        assert not csrf.is_valid("secret", made[:at] + other + made[at + 1 :])
