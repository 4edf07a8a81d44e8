"""One's own account: its sessions, its language and zone; and nobody shuts themself out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from istmo.clock import ManualClock
from istmo.errors import Conflict, NotFound, RateLimited, Unauthenticated
from istmo.identity.service import Identity
from istmo.policy.principals import Person, Role

from .conftest import PASSWORD


def test_sessions_are_listed_by_use_and_ended_by_their_owner_alone(
    identity: Identity, admin: Person, clock: ManualClock
) -> None:
    other, _ = identity.create_account(admin, "Ana", Role.ANALYST, PASSWORD)
    first = identity.sign_in("marta solís", PASSWORD, "192.0.2.1")
    clock.advance(90)
    second = identity.sign_in("marta solís", PASSWORD, "192.0.2.2")
    found = identity.open_sessions(admin, second.token)
    assert [(one.address, one.is_here) for one in found] == [("192.0.2.2", True), ("192.0.2.1", False)]
    with pytest.raises(NotFound, match="no_session"):
        identity.end_session(other.person, found[1].id)
    identity.end_session(admin, found[1].id)
    assert identity.session(first.token) is None
    assert identity.end_sessions(admin, but=second.token) == 0
    clock.advance(timedelta(hours=3).total_seconds())
    assert identity.open_sessions(admin) == [], "one that has ended by itself is none"


def test_who_was_seen_when_and_who_is_locked_out(
    identity: Identity, admin: Person, clock: ManualClock
) -> None:
    session = identity.sign_in("Marta Solís", PASSWORD, "192.0.2.1")
    clock.advance(120)
    identity.session(session.token)
    for _ in range(9):
        with pytest.raises((Unauthenticated, RateLimited)):
            identity.sign_in("Marta Solís", "no es esta", "192.0.2.9")
    seen, locked = identity.standing(admin)[admin.id]
    assert seen == clock.now() and locked is not None and locked > clock.now()


def test_nobody_takes_away_their_own_access_or_role(identity: Identity, admin: Person) -> None:
    identity.create_account(admin, "Otra", Role.ADMINISTRATOR, PASSWORD)
    with pytest.raises(Conflict, match="yourself"):
        identity.disable_account(admin, "MARTA SOLÍS")
    with pytest.raises(Conflict, match="yourself"):
        identity.change_role(admin, "Marta Solís", Role.OBSERVER)
    assert identity.change_role(admin, "Marta Solís", Role.ADMINISTRATOR).role is Role.ADMINISTRATOR
    identity.set_preferences(admin, language="en", zone="America/Panama")
    own = identity.myself(admin)
    assert (own.language, own.zone, own.is_disabled) == ("en", "America/Panama", False)
