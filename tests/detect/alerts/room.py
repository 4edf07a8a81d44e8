"""A watching room for tests: a real database, a real link, and a shelf of indicators to publish from."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
from sqlalchemy import Connection

from istmo.clock import Clock
from istmo.detect import wire
from istmo.detect.link import WorkerLink
from istmo.detect.service import Detect
from istmo.detect.stories import Stories
from istmo.detect.unix_socket import SOCKET
from istmo.detect.warned import Warned
from istmo.detect.wire import INDICATORS, SIGMA, SOURCES, Live, Position, Ready, WireHit
from istmo.model.ids import new_id
from istmo.model.markings import Tlp
from istmo.model.patterns import Term
from istmo.policy import Operator, Person, Role
from istmo.settings import Limits, Settings, save_settings
from istmo.store import migrations
from istmo.store.engine import Store, Transaction
from tables import with_tables

HERE = "identity--11111111-1111-4111-8111-111111111111"
THERE = "identity--22222222-2222-4222-8222-222222222222"
ANALYST = Person("1", "Ana", Role.ANALYST)
OBSERVER = Person("2", "Omar", Role.OBSERVER)
COORDINATOR = Person("3", "Carla", Role.COORDINATOR)
ADMINISTRATOR = Person("4", "Alba", Role.ADMINISTRATOR)
OPERATOR = Operator()
SECOND = 1_000_000
HOUR = 3600 * SECOND
T0 = 1_772_442_000 * SECOND
"""2026-03-02T09:00:00Z in µs."""
FAR = Position(1 << 40)


@dataclass(frozen=True)
class Watch:
    """An indicator as sharing tells of it."""

    id: str
    terms: Sequence[Term]
    tlp: Tlp = Tlp.AMBER
    plan: str | None = None
    valid_until: datetime | None = None
    origin: str = THERE
    audience: tuple[str, ...] = (HERE, THERE)
    owner: str = ""
    name: str = "Servidor de mando"
    confidence: int | None = None
    types: tuple[str, ...] = ("malicious-activity",)


@dataclass
class Shelf:
    """Indicators to watch for, and the sightings that came back."""

    store: Store
    held: dict[str, Watch] = field(default_factory=dict)
    sightings: list[tuple[str, int, datetime, datetime]] = field(default_factory=list)

    def detectable(self, connection: Connection, ids: Iterable[str] | None = None) -> list[Watch]:
        wanted = self.held.keys() if ids is None else [one for one in ids if one in self.held]
        return [self.held[one] for one in wanted]

    def record_sighting(
        self, tx: Transaction, object: str, *, count: int, first_seen: datetime, last_seen: datetime
    ) -> None:
        tx.after_commit(lambda: self.sightings.append((object, count, first_seen, last_seen)))

    def publish(self, *terms: tuple[str, str], id: str = "", **more: Any) -> Watch:
        """Watch for these from now on."""
        made = Watch(id or new_id("indicator"), [Term(kind, value) for kind, value in terms], **more)
        self.held[made.id] = made
        self._tell(made.id, "put")
        return made

    def retract(self, id: str) -> None:
        """Watch for it no more."""
        del self.held[id]
        self._tell(id, "drop")

    def _tell(self, id: str, action: str) -> None:
        with self.store.write() as tx:
            tx.notify("object", id, action=action)


@dataclass
class Room:
    """The parts of one node that watching needs."""

    settings: Settings
    clock: Clock
    store: Store
    shelf: Shelf
    stories: Stories
    link: WorkerLink
    detect: Detect

    def alerts(self, principal: Any = COORDINATOR, **wanted: Any) -> list[Any]:
        return list(self.detect.list_alerts(principal, **wanted).items)

    def tell(self, detector: str, hits: list[WireHit], after: Position = FAR) -> int:
        """Store hits as the link would."""
        with self.store.write() as tx:
            return self.stories.store(tx, detector, hits, after)


def open_room(
    folder: Path, url: str, clock: Clock, *, intake_port: int = 0, limits: Limits | None = None
) -> Room:
    """Nothing of it runs until ``link.start``."""
    settings = Settings(
        folder,
        "Prueba",
        "HN",
        member=HERE,
        database=url,
        intake_port=intake_port,
        limits=limits or Limits(),
    )
    store = Store(with_tables(url))
    migrations.upgrade(store)
    shelf = Shelf(store)
    warned = Warned(store)
    stories = Stories(HERE, clock, shelf, shelf, lambda: warned.current)
    link = WorkerLink(
        store, settings, clock, member=HERE, members=lambda: [HERE, THERE], indicators=shelf, stories=stories
    )
    detect = Detect(
        store,
        settings,
        clock,
        member=HERE,
        members=lambda: [HERE, THERE],
        link=link,
        indicators=shelf,
        warned=warned,
    )
    return Room(settings, clock, store, shelf, stories, link, detect)


def hit(
    subject: str,
    line: int,
    *,
    segment: int = 1,
    detector: str = INDICATORS,
    time: int = T0,
    host: str = "CAJA-1",
    stored: bool = False,
    fields: dict[str, str] | None = None,
) -> WireHit:
    """A match in the event ``segment-line``."""
    return WireHit(
        detector,
        subject,
        f"{segment}-{line}",
        time,
        host,
        fields or {"DestinationIp": "203.0.113.77"},
        b'{"EventID":3}',
        stored,
        T0,
        "x-istmo-source--1",
    )


def until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What the condition gives, once it gives something."""
    deadline = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)  # the pace of polling, not a wait for luck


class Peer:
    """Speaks as the worker does, and remembers what it was told."""

    def __init__(self, room: Room, *, ready: bool = True, answers: bool = True) -> None:
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.settimeout(10)
        run = os.open(room.settings.run, os.O_RDONLY)
        self.connection.connect(f"/proc/self/fd/{run}/{SOCKET}")
        os.close(run)
        self.answers = answers
        self.told: list[Any] = []
        if ready:
            self.send(Ready(os.getpid(), "127.0.0.1", 8444, Position()))

    def send(self, message: Any) -> None:
        self.connection.sendall(wire.encode(message))

    def receive(self) -> Any:
        """The next message; what puts something in force is acknowledged."""
        message = wire.decode_to_worker(self._exactly(int.from_bytes(self._exactly(4), "big")))
        self.told.append(message)
        if self.answers:
            self.acknowledge(message)
        return message

    def acknowledge(self, message: Any) -> None:
        for what, kinds in (
            (INDICATORS, (wire.PutIndicators, wire.DropIndicators)),
            (SIGMA, (wire.PutRules, wire.DropRules)),
            (SOURCES, (wire.PutSources,)),
        ):
            if isinstance(message, kinds):
                self.send(Live(what, message.generation))

    def expect(self, kind: type) -> Any:
        """The next message of this kind; what comes before it is remembered."""
        while not isinstance(message := self.receive(), kind):
            pass
        return message

    def close(self) -> None:
        self.connection.close()

    def _exactly(self, wanted: int) -> bytes:
        parts = b""
        while len(parts) < wanted:
            part = self.connection.recv(wanted - len(parts))
            if not part:
                raise EOFError
            parts += part
        return parts


class RealWorker:
    """``python -m istmo.detect.worker`` as a process of its own."""

    def __init__(self, room: Room) -> None:
        self.room = room
        save_settings(room.settings)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = (self.room.settings.data / "worker.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "istmo.detect.worker", str(self.room.settings.data)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()
        assert self.room.link.wait_ready(30), (self.room.settings.data / "worker.log").read_text()

    def kill(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        until(lambda: self.room.link.state == "away")

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(15)

    @contextmanager
    def sending(self, secret: str) -> Iterator[Callable[[list[dict[str, Any]]], int]]:
        """Post events as a shipper does; the answer is how many are on disk."""
        with httpx.Client(
            trust_env=False, timeout=30, headers={"Authorization": f"Bearer {secret}"}
        ) as client:

            def send(events: list[dict[str, Any]]) -> int:
                ready = self.room.link.ready
                assert ready
                answer = client.post(
                    f"http://127.0.0.1:{ready.intake_port}/api/v1/events",
                    content=b"\n".join(orjson.dumps(event) for event in events),
                )
                answer.raise_for_status()
                accepted: int = answer.json()["accepted"]
                return accepted

            yield send


def connection_event(address: str, host: str = "CAJA-1", number: int = 0) -> dict[str, Any]:
    """Sysmon 3."""
    return {
        "EventID": 3,
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "Hostname": host,
        "UtcTime": "2026-03-02 09:00:00.000",
        "DestinationIp": address,
        "Image": r"C:\Windows\System32\svchost.exe",
        "ProcessId": number,
    }
