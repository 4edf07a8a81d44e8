"""A real worker process, and the web process's end of its socket in the test's own hands."""

from __future__ import annotations

import hashlib
import http.client
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pytest

from istmo.detect import wire
from istmo.settings import Limits, Settings, save_settings

SECRET = "s3cret-of-a-test"
M = TypeVar("M")


def source(secret: str = SECRET, **other: Any) -> wire.WireSource:
    """An intake token as the web process pushes it."""
    digest = hashlib.sha256(secret.encode()).digest()
    return wire.WireSource(**{"id": "s1", "name": "test", "digest": digest, "scopes": ["submit"]} | other)


class Rig:
    """A data folder with a worker; ``accept`` is the web process picking up."""

    def __init__(self, folder: Path, limits: Limits | None = None, port: int = 0) -> None:
        # Unix socket paths are short: the folder must be too.
        self.settings = Settings(
            data=folder, name="Prueba", country="HN", intake_port=port, limits=limits or Limits()
        )
        save_settings(self.settings)
        self.settings.run.mkdir(parents=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.settings.run / "worker.sock"))
        self._listener.listen(4)
        self._listener.settimeout(30)
        self.process: subprocess.Popen[bytes] | None = None
        self.channel: wire.Channel | None = None
        self.heard: queue.Queue[Any] = queue.Queue()
        self.aside: list[Any] = []
        self.port = 0
        self.sources = [source()]
        """What the worker is told first of who may send."""
        self._generation = 0

    def start(
        self,
        *prefix: str,
        segment_bytes: int = 64 << 20,
        tend_seconds: float = 3600,
        options: Sequence[str] = (),
    ) -> None:
        """Start the worker process; ``prefix`` is a program that runs it, ``options`` are its own."""
        command = [sys.executable, "-m", "istmo.detect.worker", str(self.settings.data), "--supervised"]
        command += ["--segment-bytes", str(segment_bytes), "--tend-seconds", str(tend_seconds)]
        self.process = subprocess.Popen([*prefix, *command, *options], stdin=subprocess.PIPE)

    def accept(self, positions: dict[str, wire.Position] | None = None, *, sync: bool = True) -> wire.Ready:
        """Take the worker's call; with ``sync``, tell it all that a quiet node would."""
        connection, _ = self._listener.accept()
        self.channel = wire.Channel(connection)
        self.heard = queue.Queue()
        self.aside = []
        threading.Thread(target=self._listen, args=(self.channel, self.heard), daemon=True).start()
        ready = self.hear(wire.Ready)
        self.port = ready.intake_port
        self.say(wire.Welcome(positions or {}, "hn", ["hn", "gt"]))
        self.say(wire.PutSources(1, self.sources))
        if sync:
            self.say(wire.Synced())
        self.hear(wire.Live)
        return ready

    @staticmethod
    def _listen(channel: wire.Channel, heard: queue.Queue[Any]) -> None:
        while (message := channel.receive()) is not None:
            heard.put(message)
        heard.put(None)

    def say(self, message: Any) -> None:
        assert self.channel is not None
        self.channel.send(message)

    def hear(self, kind: type[M], wanted: Callable[[M], bool] = lambda _: True, seconds: float = 30.0) -> M:
        """The next message of a kind; others wait in ``aside``."""
        for place, message in enumerate(self.aside):
            if isinstance(message, kind) and wanted(message):
                return self.aside.pop(place)
        deadline = time.monotonic() + seconds
        while True:
            message = self.heard.get(timeout=max(0.01, deadline - time.monotonic()))
            if isinstance(message, kind) and wanted(message):
                return message
            assert message is not None, "the worker has gone"
            self.aside.append(message)

    def put(self, *indicators: wire.WireIndicator) -> None:
        """Indicators, and wait until they are live."""
        self._generation += 1
        self.say(wire.PutIndicators(self._generation, list(indicators)))
        wanted = self._generation
        self.hear(wire.Live, lambda live: live.what == "indicators" and live.generation >= wanted)

    def hits(self, detector: str, count: int, seconds: float = 30.0) -> list[wire.WireHit]:
        """At least ``count`` live hits of a detector."""
        found: list[wire.WireHit] = []
        while len(found) < count:
            found += self.hear(wire.Hits, lambda hits: hits.detector == detector, seconds).hits
        return found

    def settle(self, detector: str, position: wire.Position) -> list[wire.WireHit]:
        """Every hit until a stage has come to ``position``."""
        found: list[wire.WireHit] = []
        while True:
            hits = self.hear(wire.Hits, lambda hits: hits.detector == detector)
            found += hits.hits
            if hits.position >= position:
                return found

    def hunt(self, *ids: str) -> list[wire.WireHit]:
        self._generation += 1
        request = self._generation
        self.say(wire.Hunt(request, list(ids)))
        found: list[wire.WireHit] = []
        while True:
            answer = self.hear(wire.HuntHits, lambda hits: hits.request == request)
            found += answer.hits
            if answer.done:
                assert answer.problem is None, answer.problem
                return found

    def search(self, query: str, **how: Any) -> tuple[list[wire.WireRow], wire.Problem | None]:
        self._generation += 1
        request = self._generation
        self.say(wire.Search(request, query, **how))
        found: list[wire.WireRow] = []
        while True:
            answer = self.hear(wire.Rows, lambda rows: rows.request == request)
            found += answer.rows
            if answer.done:
                return found, answer.problem

    def stats(self) -> wire.Stats:
        self._generation += 1
        self.say(wire.AskStats(self._generation))
        return self.hear(wire.Stats)

    def settle_stored(self) -> None:
        """Wait until the indicator stage has seen all that is stored: from there on only a hunt finds it."""
        while self.stats().behind["indicators"]:
            pass

    def post(
        self, body: bytes, secret: str = SECRET, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(
                "POST", "/api/v1/events", body, {"Authorization": f"Bearer {secret}"} | (headers or {})
            )
            answer = connection.getresponse()
            return answer.status, orjson.loads(answer.read())
        finally:
            connection.close()

    def send(self, *events: dict[str, Any]) -> None:
        status, answer = self.post(b"\n".join(orjson.dumps(event) for event in events))
        assert (status, answer["accepted"]) == (200, len(events)), answer

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._hang_up()

    def end(self) -> int:
        """Stop the worker as its supervisor does: its input ends."""
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.close()
        status = self.process.wait(30)
        self._hang_up()
        return status

    def _hang_up(self) -> None:
        if self.channel is not None:
            self.channel.close()
            self.channel = None

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
        self._hang_up()
        self._listener.close()


@pytest.fixture
def make_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def make(folder: Path | None = None, **how: Any) -> Rig:
        rig = Rig(folder or tmp_path_factory.mktemp("n") / "d", **how)
        made.append(rig)
        return rig

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """A running worker that has been told the state of a quiet node."""
    rig = make_rig()
    rig.start()
    rig.accept()
    return rig
