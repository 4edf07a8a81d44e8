"""Three nations' nodes with real ledgers; what one writes is carried to the others when the test says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from istmo.clock import ManualClock
from istmo.errors import NotFound
from istmo.ledger import keys
from istmo.ledger.entry import Entry
from istmo.ledger.log import Ledger
from istmo.policy.principals import Person, Principal, Role
from istmo.respond.objects import AlertSnapshot, Findable, ObjectSnapshot
from istmo.respond.service import Respond
from istmo.store import migrations
from istmo.store.engine import Store
from machine import DATABASES
from tables import with_tables

MEMBERS = {
    "gt": "identity--11111111-1111-4111-8111-111111111111",
    "hn": "identity--22222222-2222-4222-8222-222222222222",
    "sv": "identity--33333333-3333-4333-8333-333333333333",
}
REGION = frozenset(MEMBERS.values())
NAMES = {member: f"CSIRT {country.upper()}" for country, member in MEMBERS.items()}


@dataclass
class Shelf:
    """Alerts and objects by id: what detection and sharing hold in a whole node."""

    alerts: dict[str, AlertSnapshot] = field(default_factory=dict)
    objects: dict[str, ObjectSnapshot] = field(default_factory=dict)

    def find_alerts(self, principal: Principal, words: str, limit: int) -> list[Findable]:
        found = [one for one in self.alerts.values() if words.lower() in one.title.lower()]
        return [Findable(one.id, one.title, one.tlp, one.level) for one in found[:limit]]

    def find_objects(self, principal: Principal, words: str, limit: int) -> list[Findable]:
        found = [one for one in self.objects.values() if words.lower() in one.name.lower()]
        return [Findable(one.id, one.name, one.tlp) for one in found[:limit]]

    def alert_snapshot(self, principal: Principal, alert_id: str) -> AlertSnapshot:
        if alert_id not in self.alerts:
            raise NotFound("detect.no_alert", id=alert_id)
        return self.alerts[alert_id]

    def object_snapshot(self, principal: Principal, object_id: str) -> ObjectSnapshot:
        if object_id not in self.objects:
            raise NotFound("intel.no_object", id=object_id)
        return self.objects[object_id]


@dataclass
class Nation:
    """One nation's node, as far as cases go."""

    name: str
    store: Store
    keys: keys.NodeKeys
    ledger: Ledger
    respond: Respond
    shelf: Shelf
    analyst: Person
    taken: dict[str, int] = field(default_factory=dict)
    refused: list[Entry] = field(default_factory=list)

    @property
    def member(self) -> str:
        return self.ledger.member_id

    def take_from(self, other: Nation) -> int:
        """Receive what the other's log holds for this node and has not been taken yet."""
        with other.store.read() as connection:
            due = other.ledger.due(connection, self.member, self.taken.get(other.name, 0), 1000)
        for one in due:
            with self.store.write() as tx:
                entry = self.ledger.receive(tx, one.envelope, key=other.keys.public)
            if entry.state == "refused":
                self.refused.append(entry)
            self.taken[other.name] = one.sequence
        return len(due)


def carry(*nations: Nation) -> None:
    """Deliver everything everywhere."""
    for one in nations:
        for other in nations:
            if one is not other:
                one.take_from(other)


@pytest.fixture(scope="session")
def node_keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, keys.NodeKeys]:
    return {name: keys.create(tmp_path_factory.mktemp(name) / "keys") for name in MEMBERS}


@pytest.fixture(params=DATABASES)
def database_kind(request: pytest.FixtureRequest) -> str:
    """What Guatemala's node stands on; the others stand on SQLite."""
    kind: str = request.param
    return kind


@pytest.fixture
def make_nation(
    tmp_path: Path, clock: ManualClock, node_keys: dict[str, keys.NodeKeys]
) -> Iterator[Callable[..., Nation]]:
    made: list[Nation] = []

    def make(name: str, url: str = "") -> Nation:
        store = Store(url or with_tables(f"sqlite:///{tmp_path / f'{name}.db'}"))
        migrations.upgrade(store)
        ledger = Ledger(store, node_keys[name], MEMBERS[name], clock, tmp_path / f"{name}-log")
        ages = {MEMBERS[one]: node_keys[one].age_recipient for one in MEMBERS}
        ledger.find_age_keys(lambda connection, member: ages.get(member))
        shelf = Shelf()
        respond = Respond(store, ledger, clock, lambda: REGION, shelf, shelf)
        analyst = Person(f"account--{name}", f"analyst of {name}", Role.ANALYST)
        nation = Nation(name, store, node_keys[name], ledger, respond, shelf, analyst)
        made.append(nation)
        return nation

    yield make
    for one in made:
        one.store.close()


@pytest.fixture
def gt(make_nation: Callable[..., Nation], make_database: Callable[[str], str]) -> Nation:
    """Guatemala, once on SQLite and once on PostgreSQL."""
    return make_nation("gt", make_database("gt"))


@pytest.fixture
def hn(make_nation: Callable[..., Nation]) -> Nation:
    return make_nation("hn")


@pytest.fixture
def sv(make_nation: Callable[..., Nation]) -> Nation:
    return make_nation("sv")
