"""A node's people, on a database of each kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from istmo.clock import ManualClock
from istmo.identity import records
from istmo.identity.service import Identity
from istmo.policy.principals import Person
from istmo.store.engine import Store, metadata

PASSWORD = "velero-azul-sobre-el-lago"


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = Store(database_url)
    own = [table for table in metadata.sorted_tables if table in vars(records).values()]
    with store.write() as tx:
        metadata.create_all(tx.connection, tables=own)
    yield store
    store.close()


@pytest.fixture
def identity(store: Store, clock: ManualClock) -> Identity:
    return Identity(store, clock)


@pytest.fixture
def admin(identity: Identity) -> Person:
    account, _ = identity.create_first_administrator("Marta Solís", PASSWORD)
    return account.person
