"""A node that tells people; its jobs run when the test says so."""

from __future__ import annotations

import datetime as dt
import ipaddress
import shutil
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from istmo.clock import ManualClock
from istmo.detect.objects import Level, Status
from istmo.detect.records import alerts
from istmo.model.ids import new_id
from istmo.model.markings import Tlp
from istmo.node import Node, create_node
from istmo.notices.objects import Kind, Plan, Way
from istmo.policy.principals import Operator, Person, Role
from istmo.settings import load_settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "web"))

from web_site import PASSWORD, make_site


@dataclass
class Telling:
    """One node, and how to make something happen in it."""

    node: Node
    clock: ManualClock

    def person(self, name: str) -> Person:
        return next(one.person for one in self.node.identity.accounts(Operator()) if one.name == name)

    def alert(
        self,
        title: str = "Balizas a evil.example",
        level: Level = Level.HIGH,
        tlp: Tlp = Tlp.AMBER,
        rule: str = "",
        host: str = "SRV-1",
    ) -> str:
        """A new alert, stored as detection stores one; of a rule of its own unless one is named."""
        id, now = new_id("x-istmo-alert"), self.clock.now()
        with self.node.store.write() as tx:
            alerts.add_alert(
                tx.connection,
                {
                    "id": id, "detector": "sigma", "subject": rule or title, "title": title, "level": level,
                    "tlp": int(tlp), "origin": self.node.intel.member, "audience": None, "owner": "",
                    "entity": host, "first_seen": now, "last_seen": now, "count": 1, "stored_count": 0,
                    "created": now, "updated": now, "status": Status.OPEN, "note": "", "worked_by": "",
                    "former": None, "version": 1, "search": title.lower(),
                },
            )  # fmt: skip
            tx.notify("alert", id, action="new", detector="sigma", about=rule or title)
        return id

    def way(self, person: str = "ana", **plan: Any) -> Way:
        wanted = Plan(frozenset({Kind.ALERT, Kind.CASE}), **{"notifier": "webhook", **plan})
        return self.node.notices.add_way(Operator(), person, wanted)

    def run(self) -> int:
        """Do the jobs that are due."""
        return self.node.notices.jobs.run_due()

    def unread(self, name: str) -> list[str]:
        """Titles of a person's unread notices, newest first."""
        shown = self.node.notices.list_notices(self.person(name), unread=True)
        return [one.heading.title or one.heading.words if one.heading else "?" for one in shown]

    def change_settings(self, **changed: Any) -> None:
        """As if the node had been started with other settings."""
        settings = self.node.notices._settings
        for table, values in changed.items():
            settings = replace(settings, **{table: replace(getattr(settings, table), **values)})
        self.node.notices._settings = self.node.notices.sending._settings = settings


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node's folder, to be copied: making its keys and accounts takes longer than a test."""
    folder = tmp_path_factory.mktemp("telling") / "node"
    site = make_site(folder, ManualClock(dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)), rooms=None)
    site.node.identity.create_account(Operator(), "olga", Role.OBSERVER, PASSWORD)
    site.node.store.close()
    return folder


@pytest.fixture
def telling(founded: Path, tmp_path: Path, clock: ManualClock) -> Iterator[Telling]:
    node = create_node(load_settings(shutil.copytree(founded, tmp_path / "node")), clock)
    made = Telling(node, clock)
    made.change_settings(notices={"private_addresses": True})
    yield made
    node.store.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 and localhost that nobody trusts yet: its file, and a server's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return file, context
