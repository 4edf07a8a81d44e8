"""Which passwords are refused, where an account's own tests do not say."""

from __future__ import annotations

from istmo.identity.passwords import check_password


def test_a_random_password_with_few_letters_is_not_taken_for_the_name() -> None:
    check_password("8-4_7a29x61_0b35c2", "admin")
