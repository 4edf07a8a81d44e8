"""One node: its rooms, built and wired. Nothing is global, so several nodes live in one process.

``create_node`` opens the node of a data folder (``founding.found_node`` made it); ``Node.running`` holds
what runs beside the requests: jobs, the detection worker, the dialling of peers.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from istmo.clock import Clock
from istmo.detect.link import WorkerLink
from istmo.detect.service import Detect
from istmo.detect.supervise import Supervisor
from istmo.errors import Conflict, InvalidInput
from istmo.federation.service import Federation
from istmo.identity.service import Identity
from istmo.intel.service import Intel
from istmo.kit.i18n import Catalogue
from istmo.ledger import keys as node_keys
from istmo.ledger.keys import NodeKeys
from istmo.ledger.log import Ledger
from istmo.model.ids import new_id
from istmo.respond.service import Respond
from istmo.settings import FILE, Settings, save_settings
from istmo.store import migrations
from istmo.store.engine import Store
from istmo.store.jobs import JobRunner

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass
class Node:
    """The parts of one node, wired. Every part that tells the time is told by ``clock``."""

    settings: Settings
    clock: Clock
    keys: NodeKeys
    store: Store
    catalogue: Catalogue
    identity: Identity
    ledger: Ledger
    intel: Intel
    detect: Detect
    respond: Respond
    federation: Federation
    link: WorkerLink
    jobs: JobRunner

    @contextmanager
    def running(self) -> Iterator[None]:
        """Do what a node does beside answering, until the block is left."""
        supervisor = Supervisor(self.settings)
        self.link.start()
        self.jobs.start()
        supervisor.start()
        self.federation.start()
        try:
            yield
        finally:
            self.federation.stop()
            supervisor.stop()
            self.jobs.stop()
            self.link.stop()
            self.store.close()


def create_node(settings: Settings, clock: Clock) -> Node:
    """Open the node in ``settings.data`` and wire its rooms."""
    raise SystemExit("wiring follows")
