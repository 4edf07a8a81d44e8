"""API tokens: shown once, narrow, ending."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from istmo.clock import ManualClock
from istmo.errors import InvalidInput, NotAllowed, NotFound
from istmo.identity import records
from istmo.identity.service import TOKEN_SCOPES, Identity
from istmo.policy.principals import Anonymous, Operator, Person, Role, Scope
from istmo.store.engine import Store

MONTH = timedelta(days=30)


@pytest.fixture
def analyst(identity: Identity, admin: Person) -> Person:
    return identity.create_account(admin, "ana", "analyst")[0].person


def test_a_token_stands_for_its_owner_narrowed_to_its_scopes(
    identity: Identity, analyst: Person, clock: ManualClock, store: Store
) -> None:
    token, secret = identity.create_token(analyst, "shipper", ["publish"], clock.now() + MONTH)
    assert secret.startswith("istmo_")
    holder = identity.token(secret)
    assert holder is not None
    assert (holder.role, holder.scopes, holder.id) == (Role.ANALYST, frozenset({Scope.PUBLISH}), token.id)
    with store.read() as connection:
        assert secret not in repr(connection.execute(select(records.api_tokens)).all())


def test_a_token_ends_when_it_expires_is_revoked_or_its_owner_is_out(
    identity: Identity, admin: Person, analyst: Person, clock: ManualClock
) -> None:
    made = [
        identity.create_token(analyst, f"t{n}", ["read"], clock.now() + MONTH * (n + 1)) for n in range(3)
    ]
    clock.advance(MONTH.total_seconds())
    assert [bool(identity.token(secret)) for _, secret in made] == [False, True, True]
    identity.revoke_token(analyst, made[1][0].id)
    assert [bool(identity.token(secret)) for _, secret in made] == [False, False, True]
    identity.disable_account(admin, "ana")
    assert not any(identity.token(secret) for _, secret in made)


def test_when_a_token_was_last_used_is_known(identity: Identity, analyst: Person, clock: ManualClock) -> None:
    _, secret = identity.create_token(analyst, "t", ["read"], clock.now() + MONTH)
    assert identity.tokens(analyst)[0].last_used is None
    clock.advance(10)
    identity.token(secret)
    assert identity.tokens(analyst)[0].last_used == clock.now()


def test_people_see_their_own_tokens_and_an_administrator_sees_all(
    identity: Identity, admin: Person, analyst: Person, clock: ManualClock
) -> None:
    other, _ = identity.create_account(admin, "otto", "observer")
    token, _ = identity.create_token(analyst, "mine", ["read"], clock.now() + MONTH)
    assert identity.tokens(other.person) == []
    assert [one.name for one in identity.tokens(admin)] == ["mine"]
    with pytest.raises(NotFound):  # the same answer as for a token that does not exist
        identity.revoke_token(other.person, token.id)
    assert identity.audit_trail(admin)[0].outcome == "denied"
    identity.revoke_token(admin, token.id)
    assert identity.tokens(analyst)[0].is_revoked


def test_nobody_makes_a_token_for_somebody_else_but_an_administrator(
    identity: Identity, admin: Person, analyst: Person, clock: ManualClock
) -> None:
    for name in ("Marta Solís", "nobody"):
        with pytest.raises(NotAllowed):
            identity.create_token(analyst, "t", ["read"], clock.now() + MONTH, account=name)
    assert identity.create_token(Operator(), "t", ["read"], clock.now() + MONTH, account="ana")
    with pytest.raises(InvalidInput):
        identity.create_token(Operator(), "t", ["read"], clock.now() + MONTH)


def test_a_token_makes_no_tokens(identity: Identity, analyst: Person, clock: ManualClock) -> None:
    _, secret = identity.create_token(analyst, "t", TOKEN_SCOPES, clock.now() + MONTH)
    holder = identity.token(secret)
    assert holder is not None
    with pytest.raises(NotAllowed):
        identity.create_token(holder, "u", ["read"], clock.now() + MONTH, account="ana")
    with pytest.raises(NotAllowed):
        identity.create_token(Anonymous(), "u", ["read"], clock.now() + MONTH, account="ana")


@pytest.mark.parametrize(
    ("scopes", "days"),
    [([], 30), ([""], 30), (["all"], 30), (["submit"], 30), (["read"], 0), (["read"], 400)],
)
def test_tokens_that_are_refused(
    identity: Identity, analyst: Person, clock: ManualClock, scopes: list[str], days: int
) -> None:
    with pytest.raises(InvalidInput):
        identity.create_token(analyst, "t", scopes, clock.now() + timedelta(days=days))
