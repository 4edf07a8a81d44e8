"""Real nodes as real processes: what the demo, the region tests and the benches start.

Each node has a folder, keys, ports and processes of its own; everything else goes through HTTP.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson

from istmo.clock import SystemClock
from istmo.errors import IstmoError, Unavailable
from istmo.founding import found_node
from istmo.identity.passwords import generate_password
from istmo.kit.client import NodeClient, read_answer
from istmo.settings import Settings

START_SECONDS = 30.0
_LOWEST_PORT, _HIGHEST_PORT = 12_000, 32_000
STOP_SECONDS = 15.0


@dataclass
class RunningNode:
    """A node that runs as processes of its own. ``password`` is its first administrator's."""

    settings: Settings
    administrator: str
    password: str
    process: subprocess.Popen[bytes] | None = None
    passwords: dict[str, str] = field(default_factory=dict)
    """Of the people made by ``person``."""
    program: tuple[str, ...] = (sys.executable, "-m", "istmo", "serve")
    _clients: dict[str, NodeClient] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.settings.url

    @property
    def intake_url(self) -> str:
        scheme = "https" if self.settings.tls == "own" else "http"
        return f"{scheme}://{self.settings.intake_host}:{self.settings.intake_port}"

    @property
    def log_path(self) -> Path:
        """What the node's processes print."""
        return self.settings.data / "serve.log"

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start ``istmo serve`` and return once its API answers with a live worker."""
        self.launch(environment)
        self.wait_ready()

    def launch(self, environment: Mapping[str, str] | None = None) -> None:
        """Start the process without waiting. It ends with us, however we end."""
        with self.log_path.open("ab") as printed:
            self.process = subprocess.Popen(
                [*self.program, "--supervised", "--data", str(self.settings.data)],
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Return once the node answers and its worker is connected; Unavailable after ``seconds``."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process and self.process.poll() is not None:
                raise Unavailable("demo.node_ended", name=self.settings.name, log=self.tail())
            try:
                if self.operator.get("/api/v1/node")["worker"]["state"] == "ready":
                    return
            except Unavailable:
                pass  # not listening yet: asked again below until the deadline
            time.sleep(0.05)
        raise Unavailable("demo.node_slow", name=self.settings.name, seconds=int(seconds), log=self.tail())

    def tail(self, lines: int = 8) -> str:
        """The last that the node printed."""
        if not self.log_path.exists():
            return ""
        last = self.log_path.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join(line if len(line) <= 400 else f"{line[:100]} … {line[-300:]}" for line in last)

    def stop(self) -> None:
        """End the node as an administrator would, harder only if that is not heard.

        All of its processes: a web process that has ended, however it did, may have left its worker.
        """
        if self.process is None:
            return
        for number, patience in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, 5.0)):
            with _gone_is_fine():
                os.killpg(self.process.pid, number)
            if _has_ended(self.process, patience):
                break
        self.process = None

    def kill(self) -> None:
        """``kill -9`` for every process of the node, as a power cut would."""
        if self.process is not None:
            with _gone_is_fine():
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
            self.process = None

    def pids(self) -> list[int]:
        """The node's processes: the web process first; it alone where it does not answer any more."""
        if self.process is None:
            return []
        try:
            worker = self.operator.get("/api/v1/node")["worker"].get("pid")
        except IstmoError:
            worker = None
        return [self.process.pid, *([worker] if worker else [])]

    @property
    def operator(self) -> NodeClient:
        """The API, by the node's own key."""
        if "" not in self._clients:
            self._clients[""] = NodeClient.by_key(self.settings)
        return self._clients[""]

    def person(self, name: str, role: str, language: str = "en") -> NodeClient:
        """The API as a person of ``role``: an account and a token are made when first asked for."""
        if name not in self._clients:
            scopes = ["read", "publish", "work"]
            # Given, not made by the node: nobody has to change it first.
            self.passwords[name] = generate_password()
            wanted = {"name": name, "role": role, "password": self.passwords[name]}
            account = self.operator.post("/api/v1/accounts", wanted)
            made = self.operator.post(
                "/api/v1/tokens", {"name": "demo", "account": account["id"], "scopes": scopes}
            )
            self._clients[name] = NodeClient(
                self.operator.url,
                headers={"Authorization": f"Bearer {made['secret']}", "Accept-Language": language},
                verify=_trust(self.settings),
            )
        return self._clients[name]

    def source(self, name: str) -> Source:
        """A new intake source of this node."""
        made = self.operator.post("/api/v1/sources", {"name": name})
        return Source(self.intake_url, made["secret"], _trust(self.settings))


class Source:
    """Something that sends events: newline JSON to the intake port."""

    def __init__(self, url: str, token: str, verify: Any = True) -> None:
        self.url, self.token = url, token
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=60.0,
            verify=verify,
            trust_env=False,
        )

    def send(self, events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Post a batch; the answer comes after the events are on disk.

        Raises NodeAnswered with the node's own words where it takes none, Unavailable where nobody answers.
        """
        return self.send_lines(b"\n".join(orjson.dumps(event) for event in events))

    def send_lines(self, lines: bytes) -> dict[str, Any]:
        """Post newline JSON as it is."""
        try:
            answer = self._http.post("/api/v1/events", content=lines)
        except httpx.TransportError as error:
            raise Unavailable("cli.no_answer", url=self.url, detail=type(error).__name__) from None
        told: dict[str, Any] = read_answer(answer)
        return told


def _trust(settings: Settings) -> Any:
    from_key = NodeClient.by_key(settings)
    from_key.close()
    return from_key.verify


_given: set[int] = set()
"""Ports that this process has given out: whoever got one may not have begun to use it."""


def free_ports(count: int) -> list[int]:
    """Ports that nothing uses just now on the loopback address, each given once.

    From below those that the system gives to outgoing connections: a node starts a while after its ports
    were chosen, and meanwhile no connection of a neighbour must take one.
    """
    with ExitStack() as held:
        found: list[int] = []
        while len(found) < count:
            one = held.enter_context(socket.socket())
            port = _LOWEST_PORT + secrets.randbelow(_HIGHEST_PORT - _LOWEST_PORT)
            if port in _given:
                continue
            with suppress(OSError):
                one.bind(("127.0.0.1", port))
                found.append(port)
                _given.add(port)
        return found


def make_node(
    folder: Path,
    name: str,
    country: str,
    *,
    languages: tuple[str, ...] = ("es", "en"),
    tls: str = "none",
    database: str = "",
) -> RunningNode:
    """Found a node in ``folder`` on free loopback ports. It does not run yet."""
    port, intake_port = free_ports(2)
    scheme = "https" if tls == "own" else "http"
    settings = Settings(
        data=folder,
        name=name,
        country=country,
        languages=languages,
        url=f"{scheme}://127.0.0.1:{port}",
        port=port,
        intake_port=intake_port,
        tls=tls,
        database=database,
    )
    password = secrets.token_urlsafe(12)
    settings = found_node(settings, administrator="admin", password=password, clock=SystemClock())
    return RunningNode(settings, "admin", password)


def join_region(nodes: list[RunningNode], region: str) -> None:
    """Found a region at the first node and bring the others in, fingerprints compared."""
    first, *others = nodes
    first.operator.post("/api/v1/peers/region", {"name": region})
    for other in others:
        fingerprint = other.operator.get("/api/v1/node")["fingerprint"]
        invitation = first.operator.post(
            "/api/v1/peers/invitations", {"name": other.settings.name, "fingerprint": fingerprint}
        )
        other.operator.post("/api/v1/peers/accept", {"code": invitation["code"]})
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if all(_sees_all(node, len(others)) for node in nodes):
            return
        time.sleep(0.05)
    raise Unavailable("demo.region_slow", seconds=int(START_SECONDS))


def _sees_all(node: RunningNode, count: int) -> bool:
    peers = node.operator.get("/api/v1/peers")["items"]
    return sum(1 for peer in peers if peer["state"] == "connected") == count


@contextmanager
def running(nodes: Iterable[RunningNode], environment: Mapping[str, str] | None = None) -> Iterator[None]:
    """Start the nodes side by side; stop them all on leaving, whatever happened."""
    nodes = list(nodes)
    try:
        for node in nodes:
            node.launch(environment)
        for node in nodes:
            node.wait_ready()
        yield
    finally:
        for node in nodes:
            if node.process is not None and node.process.poll() is None:
                with _gone_is_fine():
                    os.killpg(node.process.pid, signal.SIGTERM)
        for node in nodes:
            node.stop()


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except ProcessLookupError:
        return


def _has_ended(process: subprocess.Popen[bytes], patience: float) -> bool:
    """Whether a process and all that it started have ended within ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while True:
        # The first of a group stays in it until its status is taken.
        if process.poll() is not None:
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
