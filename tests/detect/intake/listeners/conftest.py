"""All listeners on real sockets with a real store behind them, and senders as plain as sockets are."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from istmo.clock import Clock, ManualClock
from istmo.detect.eventstore.log import EventLog
from istmo.detect.intake.denials import Denials
from istmo.detect.intake.listeners import KINDS, Listeners
from istmo.detect.intake.sources import Sources
from istmo.detect.wire import WireSource
from istmo.settings import Limits

HERE = "127.0.0.1"


def network_source(**other: Any) -> WireSource:
    """A source known by its network: this machine."""
    told = {
        "id": "s1",
        "name": "fuente",
        "digest": b"1" * 32,
        "scopes": ["submit"],
        "addresses": ["127.0.0.0/8"],
    }
    return WireSource(**told | other)


class Rig:
    """Listeners in a thread of their own, and what has come to rest behind them."""

    def __init__(
        self, folder: Path, clock: Clock, limits: Limits, certificate: tuple[Path, Path] | None = None
    ) -> None:
        self.log = EventLog(folder, clock)
        self.sources = Sources("test")
        self.sources.introduce("here", ["here"])
        self.denials = Denials(clock)
        kinds = [kind for kind in KINDS if certificate or kind != "syslog_tls"]
        self.listeners = Listeners(
            HERE, dict.fromkeys(kinds, 0), self.log, self.sources, self.denials, limits, clock, certificate
        )
        self._kinds = kinds
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._stop = asyncio.Event()

    async def _run(self) -> None:
        running = asyncio.create_task(self.listeners.run())
        await self._stop.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await self.listeners.close()

    def start(self, *sources: WireSource) -> None:
        self.sources.replace(list(sources or [network_source()]))
        self._thread.start()
        self.until(lambda: len(self.listeners.bound) == len(self._kinds))

    def stop(self) -> None:
        self.ask_to_stop()
        self._thread.join(20)
        assert not self._thread.is_alive()
        self._loop.close()
        self.log.close()

    def ask_to_stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)

    def wait_stopped(self) -> None:
        self._thread.join(20)

    def port(self, kind: str) -> int:
        return self.listeners.bound[kind]

    def connect(self, kind: str) -> socket.socket:
        return socket.create_connection((HERE, self.port(kind)), timeout=20)

    def send(self, kind: str, data: bytes) -> None:
        """One connection, ended; or one datagram."""
        if kind.endswith("_udp"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(data, (HERE, self.port(kind)))
            return
        with self.connect(kind) as connection:
            connection.sendall(data)

    def do(self, what: Callable[[], Any]) -> Any:
        """Something in the listeners' own thread."""

        async def doing() -> Any:
            return what()

        return asyncio.run_coroutine_threadsafe(doing(), self._loop).result(20)

    def events(self, number: int) -> list[dict[str, Any]]:
        """The stored events, once there are so many."""
        self.until(lambda: self.log.head.events >= number)
        paths = [self.log.folder.wal_path(one) for one in self.log.folder.wal_segments()]
        lines = [orjson.loads(line) for path in paths for line in path.read_bytes().splitlines()]
        return [line["event"] for line in lines]

    def refused(self, *codes: str) -> dict[str, int]:
        """Why messages were refused, once each of these is among the reasons."""
        found: dict[str, int] = {}

        def has_all() -> bool:
            for one in self.do(self.sources.take_counts):
                for code, number in one.reasons.items():
                    found[code] = found.get(code, 0) + number
            return set(codes) <= found.keys()

        self.until(has_all)
        return found

    @staticmethod
    def until(holds: Callable[[], Any], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, "it never came to that"
            time.sleep(0.005)  # the pace of polling, not a wait for luck


@pytest.fixture
def limits() -> Limits:
    return Limits()


@pytest.fixture
def certificate() -> tuple[Path, Path] | None:
    return None


@pytest.fixture
def rig(
    tmp_path: Path, clock: ManualClock, limits: Limits, certificate: tuple[Path, Path] | None
) -> Iterator[Rig]:
    made = Rig(tmp_path / "events", clock, limits, certificate)
    try:
        yield made
    finally:
        made.stop()
