"""An intake port on a real socket with a real store behind it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from istmo.clock import ManualClock
from istmo.detect.eventstore.log import EventLog
from istmo.detect.intake.app import Intake
from istmo.detect.intake.denials import Denials
from istmo.detect.intake.sources import Sources
from istmo.detect.wire import WireSource
from istmo.settings import Limits
from listening import listening

SECRET = "istmo_src_of-a-test"


def source(secret: str = SECRET, **other: Any) -> WireSource:
    """A source as the web process tells of it."""
    digest = hashlib.sha256(secret.encode()).digest()
    return WireSource(**{"id": "s1", "name": "fuente", "digest": digest, "scopes": ["submit"]} | other)


class Port:
    """The port, its sources, and what has come to rest behind it."""

    def __init__(self, folder: Path, clock: ManualClock, limits: Limits) -> None:
        self.folder, self.clock = folder, clock
        self.log = EventLog(folder, clock)
        self.sources = Sources("test")
        self.sources.introduce("here", ["here"])
        self.sources.replace([source()])
        self.app = Intake(self.log, self.sources, Denials(clock), limits, clock)
        self.number = 0

    def ask(
        self, method: str, path: str, body: bytes = b"", secret: str = SECRET, **headers: str
    ) -> httpx.Response:
        """Ask the port; by ``Authorization: Bearer`` unless a header says otherwise."""
        told = {"Authorization": f"Bearer {secret}"} | {
            name.replace("_", "-"): text for name, text in headers.items()
        }
        url = f"http://127.0.0.1:{self.number}{path}"
        return httpx.request(method, url, content=body, headers=told, trust_env=False, timeout=30)

    def stored(self) -> list[dict[str, Any]]:
        """Every stored line, in the order of the log."""
        paths = [self.log.folder.wal_path(one) for one in self.log.folder.wal_segments()]
        return [orjson.loads(line) for path in paths for line in path.read_bytes().splitlines()]

    def events(self) -> list[dict[str, Any]]:
        """Every stored event."""
        return [line["event"] for line in self.stored()]

    def count(self) -> dict[str, Any]:
        """What was counted for the one source since the last time."""
        (told,) = self.sources.take_counts()
        return {name: getattr(told, name) for name in told.__struct_fields__}


@pytest.fixture
def limits() -> Limits:
    return Limits()


@pytest.fixture
def port(tmp_path: Path, clock: ManualClock, limits: Limits) -> Iterator[Port]:
    made = Port(tmp_path / "events", clock, limits)
    with listening(made.app) as number:
        made.number = number
        yield made
    made.log.close()
