"""Whatever happens in whatever order, after each step the whole log of each node still verifies."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from istmo.clock import ManualClock
from istmo.errors import Conflict, InvalidInput
from istmo.ledger import keys
from istmo.ledger.export import export_log
from istmo.ledger.log import Ledger
from istmo.ledger.log_files import LogFiles
from istmo.ledger.verify import verify_folder
from istmo.ledger.verify_node import verify_node
from istmo.store.engine import Store, metadata

from .conftest import AMBER, MEMBERS, RED

_KEYS = Path(tempfile.mkdtemp(prefix="istmo-keys-"))
KEYS = {name: keys.create(_KEYS / name) for name in ("gt", "hn")}


@pytest.fixture(autouse=True, scope="module")
def _remove_keys():
    yield
    shutil.rmtree(_KEYS)


class Region(RuleBasedStateMachine):
    """Two nodes: each appends, delivers late, twice and out of order, erases, restarts, publishes."""

    @initialize()
    def found(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="istmo-history-"))
        self.clock = ManualClock(datetime(2026, 3, 2, tzinfo=UTC))
        self.nodes: dict[str, Ledger] = {}
        self.delivered: dict[str, set[int]] = {"gt": set(), "hn": set()}
        for name in KEYS:
            self.open(name)

    def open(self, name: str) -> None:
        store = Store(f"sqlite:///{self.folder / name}.db")
        metadata.create_all(store.engine)
        ledger = Ledger(store, KEYS[name], MEMBERS[name], self.clock, self.folder / f"{name}-log")
        ledger.find_age_keys(
            lambda connection, member: next(
                (KEYS[one].age_recipient for one in KEYS if MEMBERS[one] == member), None
            )
        )
        ledger.on("case", self.refuse)
        self.nodes[name] = ledger

    def refuse(self, tx, entry) -> None:
        if entry.origin != self.nodes["gt"].member_id:
            raise InvalidInput("stix.invalid", path="$")

    names = st.sampled_from(["gt", "hn"])

    @rule(
        payload=st.binary(max_size=40), is_shared=st.booleans(), is_red=st.booleans(),
        type=st.sampled_from(["stix", "case"]), lane=st.sampled_from(["fast", "normal"]),
    )  # fmt: skip
    def append(self, payload, is_shared, is_red, type, lane) -> None:
        ledger = self.nodes["gt"]
        audience = {MEMBERS["gt"], MEMBERS["hn"]} if is_shared else {MEMBERS["gt"]}
        self.clock.advance(1)
        with ledger.store.write() as tx:
            ledger.append(tx, type, payload, audience=audience, markings=RED if is_red else AMBER, lane=lane)

    @rule(payload=st.binary(max_size=40))
    def append_at_the_other(self, payload) -> None:
        with self.nodes["hn"].store.write() as tx:
            self.nodes["hn"].append(
                tx, "stix", payload, audience=(MEMBERS["gt"], MEMBERS["hn"]), markings=AMBER
            )

    @rule(origin=names, data=st.data())
    def deliver(self, origin, data) -> None:
        other = "hn" if origin == "gt" else "gt"
        with self.nodes[origin].store.read() as connection:
            due = self.nodes[origin].due(connection, MEMBERS[other], 0, 1000)
        if due:
            one = data.draw(st.sampled_from(due))
            with self.nodes[other].store.write() as tx:
                self.nodes[other].receive(
                    tx, one.envelope, key=KEYS[origin].public, commitment=one.commitment
                )
            self.delivered[origin].add(one.sequence)

    @rule(name=names, data=st.data())
    def erase(self, name, data) -> None:
        ledger = self.nodes[name]
        with ledger.store.read() as connection:
            entries = ledger.entries(connection, limit=1000)
        if entries:
            one = data.draw(st.sampled_from(entries))
            try:
                with ledger.store.write() as tx:
                    ledger.erase(tx, one.origin, one.sequence, "asked")
            except Conflict:
                assert one.state == "erased"
            except InvalidInput:
                assert one.type == "erasure"

    @rule(name=names)
    def restart(self, name) -> None:
        self.nodes[name].store.close()
        self.open(name)

    @rule(name=names)
    def publish(self, name) -> None:
        LogFiles(self.nodes[name]).publish()

    @precondition(lambda self: hasattr(self, "nodes"))
    @invariant()
    def everything_verifies(self) -> None:
        for name, ledger in self.nodes.items():
            with ledger.store.read() as connection:
                report = verify_node(connection, KEYS[name], MEMBERS[name], ledger.files)
                assert report.problems == []

    @precondition(lambda self: hasattr(self, "nodes"))
    @invariant()
    def equal_heads_mean_that_nothing_lacks(self) -> None:
        for origin, other in (("gt", "hn"), ("hn", "gt")):
            with self.nodes[origin].store.read() as here, self.nodes[other].store.read() as there:
                sent = self.nodes[origin].chains(here, [MEMBERS[other]])[MEMBERS[other]]
                got = self.nodes[other].received_chain(there, MEMBERS[origin])
            assert got.count == len(self.delivered[origin])
            assert (sent == got) == (sent.count == got.count)

    def teardown(self) -> None:
        if hasattr(self, "nodes"):
            for name, ledger in self.nodes.items():
                target = self.folder / f"{name}-export"
                with ledger.store.read() as connection:
                    export_log(connection, KEYS[name], MEMBERS[name], target)
                assert verify_folder(target).problems == []
                ledger.store.close()
            shutil.rmtree(self.folder)


TestRegion = Region.TestCase
TestRegion.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
