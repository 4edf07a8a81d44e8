"""Signing in: one answer for every failure, a wait that doubles, sessions that end."""

from __future__ import annotations

import statistics
import threading
import time

import pytest
from sqlalchemy import func, select

from identity.conftest import PASSWORD
from istmo.clock import ManualClock
from istmo.errors import IstmoError, RateLimited, Unauthenticated
from istmo.identity import records
from istmo.identity.service import IDLE, LONGEST_SESSION, Identity
from istmo.policy.principals import Operator, Person
from istmo.store.engine import Store


def fail(identity: Identity, name: str, address: str = "192.0.2.1", password: str = "wrong") -> IstmoError:
    with pytest.raises(IstmoError) as refused:
        identity.sign_in(name, password, address)
    return refused.value


def test_the_answer_is_the_same_whether_the_account_exists_or_not(identity: Identity, admin: Person) -> None:
    identity.create_account(admin, "gone", "analyst", "una clave bastante larga")
    identity.disable_account(admin, "gone")
    answers = [
        fail(identity, "Marta Solís", "192.0.2.1"),
        fail(identity, "nobody", "192.0.2.2"),
        fail(identity, "gone", "192.0.2.3", "una clave bastante larga"),
        fail(identity, "", "192.0.2.4"),
        fail(identity, "x" * 10_000, "192.0.2.5", "y" * 100_000),
    ]
    assert {(type(one), one.code, str(one.params)) for one in answers} == {
        (Unauthenticated, "identity.sign_in_failed", "{}")
    }


def test_the_time_is_the_same_whether_the_account_exists_or_not(
    identity: Identity, admin: Person, clock: ManualClock
) -> None:
    times: dict[str, list[float]] = {"Marta Solís": [], "nobody": []}
    fail(identity, "warm up")
    for _ in range(12):
        for name, taken in times.items():
            started = time.perf_counter()
            fail(identity, name, "")
            taken.append(time.perf_counter() - started)
            clock.advance(100_000)
    known, unknown = (statistics.median(taken) for taken in times.values())
    assert 0.6 < known / unknown < 1.7


def test_after_five_failures_the_wait_doubles(identity: Identity, admin: Person, clock: ManualClock) -> None:
    for name in ("Marta Solís", "nobody"):
        waits = []
        for _ in range(9):
            error = fail(identity, name, "")
            if isinstance(error, RateLimited):
                waits.append(error.params["retry_after"])
                clock.advance(error.params["retry_after"])
                fail(identity, name, "")
        assert waits == [3, 5, 9]  # 2, 4 and 8 s, told rounded up


def test_the_right_password_does_not_help_while_locked(
    identity: Identity, admin: Person, clock: ManualClock
) -> None:
    for _ in range(6):
        fail(identity, "Marta Solís", "")
    error = fail(identity, "Marta Solís", "", PASSWORD)
    assert isinstance(error, RateLimited)
    clock.advance(error.params["retry_after"])
    assert identity.sign_in("Marta Solís", PASSWORD, "")
    assert fail(identity, "Marta Solís", "").code == "identity.sign_in_failed"


def test_the_wait_has_an_end(identity: Identity, admin: Person, clock: ManualClock) -> None:
    for _ in range(60):
        error = fail(identity, "Marta Solís", "")
        if isinstance(error, RateLimited):
            assert error.params["retry_after"] <= 901
            clock.advance(error.params["retry_after"])


def test_an_address_that_tries_many_names_is_slowed(identity: Identity, admin: Person) -> None:
    codes = [fail(identity, f"name{number}", "2001:db8::1").code for number in range(22)]
    assert codes == ["identity.sign_in_failed"] * 21 + ["identity.locked"]
    assert fail(identity, "other", "2001:db8::ffff").code == "identity.locked"  # the same network
    assert identity.sign_in("Marta Solís", PASSWORD, "192.0.2.9")


@pytest.mark.parametrize("days", [400, 2, 1 / 24, 1 / 288])
def test_nobody_waits_because_the_clock_was_ahead_and_is_set_back(
    identity: Identity, admin: Person, clock: ManualClock, days: float
) -> None:
    """Right passwords alone were typed at that address; a clock ahead must not shut it out."""
    clock.advance(days * 86_400)
    for _ in range(3):
        fail(identity, "nobody")
    identity.sign_in("Marta Solís", PASSWORD, "192.0.2.1")
    clock.advance(-days * 86_400)
    assert identity.sign_in("Marta Solís", PASSWORD, "192.0.2.1")


def test_a_lock_of_a_clock_that_was_ahead_ends_with_it(
    identity: Identity, admin: Person, clock: ManualClock
) -> None:
    clock.advance(400 * 86_400)
    for _ in range(25):
        fail(identity, "Marta Solís")
    assert fail(identity, "Marta Solís", password=PASSWORD).code == "identity.locked"
    clock.advance(-400 * 86_400)
    assert not any(until for _, until in identity.standing(admin).values())
    assert identity.sign_in("Marta Solís", PASSWORD, "192.0.2.1")


def test_a_correction_by_seconds_opens_no_lock(identity: Identity, admin: Person, clock: ManualClock) -> None:
    for _ in range(6):
        fail(identity, "Marta Solís", "")
    clock.advance(-5)
    assert fail(identity, "Marta Solís", "", PASSWORD).code == "identity.locked"


def test_guesses_sent_at_once_are_counted_too(identity: Identity, admin: Person) -> None:
    codes: list[str] = []
    threads = [
        threading.Thread(target=lambda: codes.append(fail(identity, "Marta Solís", "").code))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert codes.count("identity.sign_in_failed") == 6


def test_what_was_typed_into_the_name_rests_nowhere_in_clear(
    identity: Identity, admin: Person, store: Store
) -> None:
    """A password is never stored in clear: also where somebody typed it into the field of the name."""
    fail(identity, "mi clave secreta de siempre", "192.0.2.77")
    with store.read() as connection:
        everything = repr(
            [connection.execute(select(one)).all() for one in (records.sign_in_failures, records.audit)]
        )
    assert "secreta" not in everything
    assert identity.audit_trail(Operator())[0].subject == "?"


def test_only_a_hash_of_the_session_rests_in_the_database(
    identity: Identity, admin: Person, store: Store
) -> None:
    session = identity.sign_in("marta solís", PASSWORD, "192.0.2.1")
    with store.read() as connection:
        rows = repr(connection.execute(select(records.sessions)).all())
    assert session.token not in rows
    assert session.token not in repr(session)
    assert len(session.token) >= 43


def test_a_session_planted_beforehand_is_worth_nothing(identity: Identity, admin: Person) -> None:
    planted = identity.sign_in("Marta Solís", PASSWORD, "")
    fresh = identity.sign_in("Marta Solís", PASSWORD, "", previous=planted.token)
    assert fresh.token != planted.token
    assert identity.session(planted.token) is None
    assert identity.session(fresh.token)


def test_a_session_ends_when_idle_and_at_the_latest_after_twelve_hours(
    identity: Identity, admin: Person, clock: ManualClock
) -> None:
    idle, busy = (identity.sign_in("Marta Solís", PASSWORD, "") for _ in range(2))
    lived = 0.0
    while identity.session(busy.token):
        clock.advance(3600)
        lived += 3600
        if lived == IDLE.total_seconds():
            assert identity.session(idle.token) is None
    assert lived == LONGEST_SESSION.total_seconds()


def test_ended_sessions_are_swept(
    identity: Identity, admin: Person, clock: ManualClock, store: Store
) -> None:
    for _ in range(3):
        identity.sign_in("Marta Solís", PASSWORD, "")
    clock.advance(LONGEST_SESSION.total_seconds())
    identity.sign_in("Marta Solís", PASSWORD, "")
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(records.sessions)).scalar() == 1


def test_signing_out_ends_it(identity: Identity, admin: Person) -> None:
    session = identity.sign_in("Marta Solís", PASSWORD, "")
    identity.sign_out(session.token)
    identity.sign_out(session.token)
    assert identity.session(session.token) is None
    assert identity.audit_trail(admin)[0].action == "session.end"


@pytest.mark.parametrize("token", ["", "x", "\x00", "\ud800", "a" * 100_000])
def test_a_token_that_is_none_is_nobody(identity: Identity, token: str) -> None:
    assert identity.session(token) is None
    assert identity.token(token) is None
