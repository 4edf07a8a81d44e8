"""Two nodes that know each other's keys, each with a ledger on a database of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from istmo.clock import ManualClock
from istmo.ledger import keys
from istmo.ledger.log import Ledger
from istmo.model.markings import Tlp
from istmo.store import migrations
from istmo.store.engine import Store
from tables import with_tables

MEMBERS = {
    "gt": "identity--11111111-1111-4111-8111-111111111111",
    "hn": "identity--22222222-2222-4222-8222-222222222222",
    "sv": "identity--33333333-3333-4333-8333-333333333333",
}
AMBER = (Tlp.AMBER.marking_id,)
RED = (Tlp.RED.marking_id,)


@dataclass
class Side:
    """One member: its store, keys and ledger."""

    member: str
    store: Store
    keys: keys.NodeKeys
    ledger: Ledger

    def append(self, payload: bytes, *to: Side, type: str = "stix", markings=AMBER, **more):
        audience = (self.member, *(one.member for one in to))
        with self.store.write() as tx:
            return self.ledger.append(tx, type, payload, audience=audience, markings=markings, **more)

    def receive(self, envelope, origin: Side, **more):
        with self.store.write() as tx:
            return self.ledger.receive(tx, envelope, key=origin.keys.public, **more)


@pytest.fixture(scope="session")
def node_keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, keys.NodeKeys]:
    """Keys for three members, made once."""
    return {name: keys.create(tmp_path_factory.mktemp(name) / "keys") for name in MEMBERS}


@pytest.fixture
def make_side(
    tmp_path: Path, clock: ManualClock, node_keys, make_database: Callable[[str], str]
) -> Iterator[Callable[..., Side]]:
    stores: list[Store] = []

    def make(name: str, url: str | None = None) -> Side:
        store = Store(with_tables(url or make_database(name)))
        stores.append(store)
        migrations.upgrade(store)
        ledger = Ledger(store, node_keys[name], MEMBERS[name], clock, tmp_path / f"{name}-log")
        ages = {MEMBERS[one]: node_keys[one].age_recipient for one in MEMBERS}
        ledger.find_age_keys(lambda connection, member: ages.get(member))
        return Side(MEMBERS[name], store, node_keys[name], ledger)

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def gt(make_side) -> Side:
    return make_side("gt")


@pytest.fixture
def hn(make_side) -> Side:
    return make_side("hn")


@pytest.fixture
def sv(make_side) -> Side:
    return make_side("sv")
