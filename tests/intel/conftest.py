"""Three nodes with real ledgers and databases; what one owes another is carried over by ``deliver``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from istmo.clock import ManualClock
from istmo.intel.objects import Plan
from istmo.intel.service import Intel
from istmo.ledger import keys
from istmo.ledger.log import Ledger
from istmo.model import instants
from istmo.model.ids import new_id
from istmo.policy import Person, Role
from istmo.settings import Settings
from istmo.store import migrations
from istmo.store.engine import Store
from istmo.store.jobs import JobRunner
from machine import DATABASES
from tables import with_tables

NAMES = {
    "identity--11111111-1111-4111-8111-111111111111": "Guatemala",
    "identity--22222222-2222-4222-8222-222222222222": "Honduras",
    "identity--33333333-3333-4333-8333-333333333333": "El Salvador",
}
SHORT = dict(zip(("gt", "hn", "sv"), NAMES, strict=True))
ANALYST = Person("a1", "Ana", Role.ANALYST)
OTHER_ANALYST = Person("a2", "Beto", Role.ANALYST)
COORDINATOR = Person("c1", "Carla", Role.COORDINATOR)
OBSERVER = Person("o1", "Olga", Role.OBSERVER)
ADMINISTRATOR = Person("d1", "Dina", Role.ADMINISTRATOR)


@dataclass
class Node:
    """One member: intel over a ledger over a store."""

    member: str
    store: Store
    keys: keys.NodeKeys
    ledger: Ledger
    intel: Intel
    runner: JobRunner
    clock: ManualClock
    given: dict[str, int] = field(default_factory=dict)
    """Up to which sequence each other member has been served."""
    acknowledged: dict[str, dict[int, datetime]] = field(default_factory=dict)
    changes: list[Any] = field(default_factory=list)

    def of_entry(self, connection: Connection, sequence: int) -> Mapping[str, datetime | None]:
        sent = self.ledger.recipients(connection, sequence)
        return {one: self.acknowledged.get(one, {}).get(sequence) for one in sent}

    def publish(
        self, *objects: dict[str, Any], to: str = "region", tlp: Any = None, by: Person = ANALYST
    ) -> Plan:
        return self.intel.publish(by, bundle(*objects), audience=to.split(","), tlp=tlp)

    def deliver(self, to: Node, limit: int = 1000) -> list[Any]:
        """Hand over what is due; the entries as the other node keeps them."""
        with self.store.read() as connection:
            due = self.ledger.due(connection, to.member, self.given.get(to.member, 0), limit)
        entries = []
        for one in due:
            with to.store.write() as tx:
                entries.append(to.ledger.receive(tx, one.envelope, key=self.keys.public))
            self.given[to.member] = one.sequence
            self.acknowledged.setdefault(to.member, {})[one.sequence] = self.clock.now()
        return entries

    def watched(self) -> dict[str, list[str]]:
        with self.store.read() as connection:
            found = self.intel.detectable(connection)
        return {one.id: [term.value for term in one.terms] for one in found}

    def see(self, object: str, count: int = 1, at: datetime | None = None) -> None:
        at = at or self.clock.now()
        with self.store.write() as tx:
            self.intel.record_sighting(tx, object, count=count, first_seen=at, last_seen=at)
        self.runner.run_due()

    def log_size(self) -> int:
        with self.store.read() as connection:
            return self.ledger.last_sequence(connection)


def bundle(*objects: dict[str, Any]) -> bytes:
    return json.dumps({"type": "bundle", "id": new_id("bundle"), "objects": list(objects)}).encode()


def indicator(value: str = "198.51.100.7", **more: Any) -> dict[str, Any]:
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": new_id("indicator"),
        "created": "2026-03-01T09:00:00.000Z",
        "modified": "2026-03-01T09:00:00.000Z",
        "name": f"Address {value}",
        "pattern": f"[ipv4-addr:value = '{value}']",
        "pattern_type": "stix",
        "valid_from": "2026-03-01T09:00:00Z",
        **more,
    }


def malware(**more: Any) -> dict[str, Any]:
    return dated("malware", **{"name": "Loader", "is_family": False, **more})


def dated(type: str, **more: Any) -> dict[str, Any]:
    at = "2026-03-01T09:00:00.000Z"
    return {"type": type, "spec_version": "2.1", "id": new_id(type), "created": at, "modified": at, **more}


def relationship(source: dict[str, Any], target: dict[str, Any], **more: Any) -> dict[str, Any]:
    return dated(
        "relationship",
        relationship_type="indicates",
        source_ref=source["id"],
        target_ref=target["id"],
        **more,
    )


def newer(object: dict[str, Any], days: float = 1, **more: Any) -> dict[str, Any]:
    later = instants.parse(object["modified"]) + timedelta(days=days)
    return {**object, "modified": instants.format(later), **more}


@pytest.fixture(scope="session")
def node_keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, keys.NodeKeys]:
    """Keys for three members, made once."""
    return {name: keys.create(tmp_path_factory.mktemp(name) / "keys") for name in SHORT}


@pytest.fixture(params=DATABASES)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Every node on SQLite, and every node on PostgreSQL."""
    kind: str = request.param
    return kind


@pytest.fixture
def make_node(
    tmp_path: Path,
    clock: ManualClock,
    node_keys: dict[str, keys.NodeKeys],
    make_database: Callable[[str], str],
) -> Iterator[Callable[..., Node]]:
    stores: list[Store] = []

    def make(name: str, url: str | None = None) -> Node:
        store = Store(with_tables(url or make_database(name)))
        stores.append(store)
        migrations.upgrade(store)
        member = SHORT[name]
        ledger = Ledger(store, node_keys[name], member, clock, tmp_path / f"{name}-log")
        ages = {SHORT[one]: node_keys[one].age_recipient for one in SHORT}
        ledger.find_age_keys(lambda connection, other: ages.get(other))
        settings = Settings(tmp_path / name, name, name.upper())
        runner = JobRunner(store, clock)
        made = Node(member, store, node_keys[name], ledger, None, runner, clock)  # type: ignore[arg-type]
        made.intel = Intel(
            store, ledger, settings, clock, members=lambda: NAMES, acknowledgements=made, sighting_interval=60
        )
        made.intel.work(runner)
        store.changes.subscribe(made.changes.append, "object")
        return made

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def gt(make_node: Callable[..., Node]) -> Node:
    return make_node("gt")


@pytest.fixture
def hn(make_node: Callable[..., Node]) -> Node:
    return make_node("hn")


@pytest.fixture
def sv(make_node: Callable[..., Node]) -> Node:
    return make_node("sv")
