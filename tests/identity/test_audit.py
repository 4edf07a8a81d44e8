"""The audit trail: every write, every denial, in order, and alterations are found."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, update

from istmo.clock import ManualClock
from istmo.errors import NotAllowed
from istmo.identity import audit, records
from istmo.identity.service import Identity
from istmo.policy.decisions import Reason
from istmo.policy.principals import Operator, Peer, Person, System
from istmo.store.engine import Store


def fill(store: Store, clock: ManualClock, count: int = 5) -> None:
    for number in range(count):
        with store.write() as tx:
            audit.record(
                tx,
                Peer("identity--hn") if number % 2 else System("jobs"),
                "object.read",
                f"indicator--{number}",
                "denied" if number % 2 else "done",
                [Reason("not_in_audience", {"member": "identity--hn"})],
                clock.now(),
                address="192.0.2.1",
            )
        clock.advance(60)


def test_every_write_leaves_a_line(identity: Identity, admin: Person) -> None:
    identity.create_account(admin, "ana", "analyst")
    identity.change_role(admin, "ana", "observer")
    identity.reset_password(Operator(), "ana")
    identity.disable_account(admin, "ana")
    told = [(line.name, line.action, line.subject) for line in identity.audit_trail(admin)]
    assert told == [
        ("Marta Solís", "account.disable", "ana"),
        ("", "account.password", "ana"),
        ("Marta Solís", "account.role", "ana"),
        ("Marta Solís", "account.create", "ana"),
        ("", "account.create", "Marta Solís"),
    ]


def test_a_line_is_written_with_what_it_tells_or_not_at_all(store: Store, clock: ManualClock) -> None:
    with pytest.raises(ZeroDivisionError), store.write() as tx:
        audit.record(tx, Operator(), "node.manage", "x", "done", (), clock.now())
        raise ZeroDivisionError
    with store.read() as connection:
        assert audit.lines(connection) == []


def test_lines_are_paged_and_filtered(store: Store, clock: ManualClock) -> None:
    start = clock.now()
    fill(store, clock, 10)
    with store.read() as connection:
        first = audit.lines(connection, limit=4)
        second = audit.lines(connection, limit=4, before=first[-1].id)
        assert [line.subject[-1] for line in first + second] == list("98765432")
        assert len(audit.lines(connection, outcome="denied")) == 5
        assert len(audit.lines(connection, principal="system:jobs")) == 5
        assert [line.subject for line in audit.lines(connection, subject="indicator--3")] == ["indicator--3"]
        assert len(audit.lines(connection, since=start, until=clock.now())) == 10
        assert first[0].reasons == ({"code": "not_in_audience", "params": {"member": "identity--hn"}},)


def test_an_altered_or_missing_line_is_found(store: Store, clock: ManualClock) -> None:
    fill(store, clock, 6)
    with store.read() as connection:
        assert audit.first_broken(connection) is None
        third = audit.lines(connection)[3].id
    with store.write() as tx:
        tx.connection.execute(
            update(records.audit).where(records.audit.c.id == third).values(subject="other")
        )
    with store.read() as connection:
        assert audit.first_broken(connection) == third
    with store.write() as tx:
        tx.connection.execute(delete(records.audit).where(records.audit.c.id == third))
    with store.read() as connection:
        assert audit.first_broken(connection) == third + 1


def test_an_analyst_does_not_read_it(identity: Identity, admin: Person) -> None:
    analyst, _ = identity.create_account(admin, "ana", "analyst")
    with pytest.raises(NotAllowed):
        identity.audit_trail(analyst.person)
