"""Accounts: who makes them, what a password must be, and never locking everybody out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from identity.conftest import PASSWORD
from istmo.clock import ManualClock
from istmo.errors import Conflict, InvalidInput, IstmoError, NotAllowed, NotFound, Unauthenticated
from istmo.identity import passwords, records
from istmo.identity.service import Identity
from istmo.policy.principals import Anonymous, Operator, Peer, Person, Role
from istmo.store.engine import Store


def test_a_new_node_gets_one_administrator_with_a_random_password(identity: Identity) -> None:
    account, password = identity.create_first_administrator("admin")
    assert account.role is Role.ADMINISTRATOR
    assert len(password) == 29
    assert identity.sign_in("admin", password, "192.0.2.1").account.id == account.id
    with pytest.raises(Conflict):
        identity.create_first_administrator("second")


def test_a_password_is_never_stored_in_clear(identity: Identity, admin: Person, store: Store) -> None:
    """A password is never stored or logged in clear: only its argon2id hash, 19 MiB and two passes."""
    with store.read() as connection:
        row = connection.execute(select(records.accounts)).one()
        rest = repr([connection.execute(select(one)).all() for one in (records.audit, records.sessions)])
    assert row.password.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PASSWORD not in repr(row) + rest


def test_names_differ_by_more_than_case(identity: Identity, admin: Person) -> None:
    with pytest.raises(Conflict):
        identity.create_account(admin, "MARTA SOLÍS", "analyst")


@pytest.mark.parametrize("name", ["", " ", "a" * 65, "a\nb", "<b>", "_x", "a  b", "a/b"])
def test_names_that_are_refused(identity: Identity, admin: Person, name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        identity.create_account(admin, name, "analyst")
    assert refused.value.code == "identity.bad_name"


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("corta", "identity.password_too_short"),
        ("x" * 300, "identity.password_too_long"),
        ("Guatemala2026!", "identity.password_common"),
        ("P4ssw0rd!P4ssw0rd", "identity.password_common"),
        ("aaaaaaaaaaaaaaaa", "identity.password_common"),
        ("abcdefghijklmnop", "identity.password_common"),
        ("123456789012", "identity.password_common"),
        ("Contraseña2026", "identity.password_common"),
        ("lucia.mejia.2026", "identity.password_is_name"),
    ],
)
def test_passwords_that_are_refused(identity: Identity, admin: Person, password: str, code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        identity.create_account(admin, "lucia.mejia", "analyst", password)
    assert refused.value.code == code


@given(st.integers())
def test_every_generated_password_is_a_good_one(_: int) -> None:
    passwords.check_password(passwords.generate_password(), "admin")


@pytest.mark.parametrize("role", ["analyst", "observer", "coordinator"])
def test_only_an_administrator_and_the_operator_manage_accounts(
    identity: Identity, admin: Person, role: str
) -> None:
    account, _ = identity.create_account(admin, "someone", role)
    for asker in (account.person, Anonymous(), Peer("identity--x")):
        attempts: list[Callable[[], object]] = [
            partial(identity.create_account, asker, "another", "administrator"),
            partial(identity.accounts, asker),
            partial(identity.disable_account, asker, "someone"),
            partial(identity.reset_password, asker, "Marta Solís"),
            partial(identity.change_role, asker, "someone", "administrator"),
        ]
        if not (role == "coordinator" and asker == account.person):  # coordinators read the audit trail
            attempts.append(partial(identity.audit_trail, asker))
        for attempt in attempts:
            with pytest.raises(NotAllowed):
                attempt()
    assert [one.name for one in identity.accounts(Operator())] == ["Marta Solís", "someone"]


def test_a_disabled_account_is_out_at_once_and_may_come_back(
    identity: Identity, admin: Person, clock: ManualClock
) -> None:
    _, password = identity.create_account(admin, "ana", "analyst")
    session = identity.sign_in("ana", password, "")
    identity.disable_account(admin, "ana")
    assert identity.session(session.token) is None
    with pytest.raises(Unauthenticated):
        identity.sign_in("ana", password, "")
    identity.disable_account(admin, "ana", disabled=False)
    assert identity.sign_in("ana", password, "").account.name == "ana"
    assert identity.session(session.token) is None


def test_the_last_administrator_stays(identity: Identity, admin: Person) -> None:
    with pytest.raises(Conflict):
        identity.disable_account(admin, "marta solís")
    with pytest.raises(Conflict):
        identity.change_role(admin, "Marta Solís", "observer")
    assert [one.role for one in identity.accounts(admin)] == [Role.ADMINISTRATOR]
    assert not identity.accounts(admin)[0].is_disabled


def test_a_role_counts_from_the_next_request_on(identity: Identity, admin: Person) -> None:
    _, password = identity.create_account(admin, "ana", "observer")
    session = identity.sign_in("ana", password, "")
    identity.change_role(admin, "ana", "analyst")
    again = identity.session(session.token)
    assert again is not None
    assert again.principal.role is Role.ANALYST


def test_changing_ones_password_ends_every_other_session(identity: Identity, admin: Person) -> None:
    here, elsewhere = (identity.sign_in("Marta Solís", PASSWORD, "") for _ in range(2))
    with pytest.raises(NotAllowed):
        identity.change_password(admin, "not the password", "otra clave muy larga", session=here.token)
    identity.change_password(admin, PASSWORD, "otra clave muy larga", session=here.token)
    assert identity.session(here.token)
    assert identity.session(elsewhere.token) is None
    assert identity.sign_in("Marta Solís", "otra clave muy larga", "")


def test_guessing_the_old_password_locks_like_signing_in(identity: Identity, admin: Person) -> None:
    for _ in range(6):
        with pytest.raises(NotAllowed):
            identity.change_password(admin, "wrong", "otra clave muy larga")
    with pytest.raises(IstmoError) as refused:
        identity.change_password(admin, PASSWORD, "otra clave muy larga")
    assert refused.value.code == "identity.locked"


def test_a_new_password_that_will_not_do_is_no_failed_attempt(identity: Identity, admin: Person) -> None:
    for _ in range(7):
        with pytest.raises(InvalidInput):
            identity.change_password(admin, PASSWORD, "short")
    assert identity.sign_in("Marta Solís", PASSWORD, "")


@pytest.mark.parametrize(
    "changes",
    [
        {"role": "analyst", "password": "short"},
        {"disabled": True, "role": "emperor"},
        {"password": "otra clave muy larga", "role": "observer"},
    ],
)
def test_of_a_change_that_is_refused_nothing_is_done(
    identity: Identity, admin: Person, changes: dict[str, Any]
) -> None:
    """The last one would leave the node without an administrator."""
    with pytest.raises(IstmoError):
        identity.change_account(admin, "Marta Solís", **changes)
    (account,) = identity.accounts(admin)
    assert (account.role, account.is_disabled) == ("administrator", False)
    assert identity.sign_in("Marta Solís", PASSWORD, "")
    told = {line.action for line in identity.audit_trail(admin)}
    assert not told & {"account.role", "account.disable", "account.password"}


def test_a_change_of_several_things_is_done_whole(identity: Identity, admin: Person) -> None:
    identity.create_account(admin, "ana", "observer", PASSWORD)
    account, password = identity.change_account(admin, "ana", role="analyst", disabled=False, password="")
    assert account.role == "analyst" and identity.sign_in("ana", password, "").principal.role == "analyst"


def test_a_reset_password_ends_sessions_and_lifts_a_lockout(identity: Identity, admin: Person) -> None:
    session = identity.sign_in("Marta Solís", PASSWORD, "")
    for _ in range(6):
        with pytest.raises(Unauthenticated):
            identity.sign_in("Marta Solís", "wrong", "")
    password = identity.reset_password(Operator(), "Marta Solís")
    assert identity.session(session.token) is None
    assert identity.sign_in("Marta Solís", password, "")


def test_an_account_that_does_not_exist_is_not_found(identity: Identity, admin: Person) -> None:
    with pytest.raises(NotFound):
        identity.disable_account(admin, "nobody")
    with pytest.raises(InvalidInput):
        identity.create_account(admin, "x", "emperor")
