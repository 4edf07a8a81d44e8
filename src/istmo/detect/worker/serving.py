"""The intake port: uvicorn inside the worker's own loop, with no more at work than it can store."""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
import uvicorn

from istmo.detect.intake.pinning import fingerprint_of, server_context
from istmo.detect.intake.sources import Sources
from istmo.kit.heads import BoundedHeads
from istmo.kit.unread import HearsOut

log = structlog.get_logger(__name__)

MOST_AT_WORK: Final = 500
"""Requests that are being answered."""
MOST_CONNECTIONS: Final = 10_000
"""Open ones: agents keep theirs between what they send."""
_HANDSHAKE: Final = 10.0
_PACE: Final = 0.01
_AFTER_TROUBLE: Final = 0.5


@dataclass(frozen=True)
class Certificate:
    """The node's own certificate and key, as PEM files."""

    certificate: Path
    key: Path


def secure(certificate: Certificate, sources: Sources) -> ssl.SSLContext:
    """TLS for the port, where a sender may show a certificate of its own: one that a source has."""
    return server_context(certificate.certificate, certificate.key, sources.has_certificate)


class _Shown(BoundedHeads):
    """Tells the application who a connection has proved to be: ``certificate`` in the scope's state."""

    _certificate = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection is there, its handshake done."""
        super().connection_made(transport)
        secured: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if secured is not None and (shown := secured.getpeercert(binary_form=True)):
            self._certificate = fingerprint_of(shown)

    def on_headers_complete(self) -> None:
        """A head has ended: now there is a scope."""
        self.scope.setdefault("state", {})["certificate"] = self._certificate
        super().on_headers_complete()


def room_for_connections() -> int:
    """How many may be open: half of the files that the process may have, after it has asked for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * MOST_CONNECTIONS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, soft // 2)


def server_config(app: Any) -> uvicorn.Config:
    """How the port is served."""
    return uvicorn.Config(
        HearsOut(app),
        http=_Shown,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=3,
        ws="none",
    )


class Server(uvicorn.Server):
    """uvicorn inside our own loop: signals are ours, and so is when a connection is accepted.

    uvicorn accepts all, and answers 503 once there are too many. A sender that makes a connection for each
    event and reads no answer (GELF's handlers) never hears of that, and loses what it sends. Those who are
    not accepted yet wait, and so does whoever sends faster than the node stores.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        at_work: int = MOST_AT_WORK,
        connections: int = MOST_CONNECTIONS,
        secured: ssl.SSLContext | None = None,
    ) -> None:
        """Answers ``at_work`` requests at once on ``connections``; over TLS with ``secured``."""
        super().__init__(config)
        self._at_work = at_work
        self._connections = connections
        self._secured = secured
        self._accepting: list[asyncio.Task[None]] = []
        self._greeting: set[asyncio.Task[None]] = set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        self.servers = []
        self._accepting = [asyncio.create_task(self._accept(one)) for one in sockets or ()]
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for task in (*self._accepting, *self._greeting):
            task.cancel()
        await asyncio.gather(*self._accepting, *self._greeting, return_exceptions=True)
        await super().shutdown(sockets)

    @property
    def _is_full(self) -> bool:
        coming = len(self._greeting)
        # A request whose sender has hung up is still at work.
        if len(self.server_state.tasks) + coming >= self._at_work:
            return True
        return len(self.server_state.connections) + coming >= self._connections

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        while True:
            while self._is_full:  # noqa: ASYNC110 - several things make room, none of which tells
                await asyncio.sleep(_PACE)
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:  # no more files, or the sender has gone already
                log.warning("intake_accept_failed", error=error.strerror)
                await asyncio.sleep(_AFTER_TROUBLE)
                continue
            task = loop.create_task(self._greet(connection))
            self._greeting.add(task)
            task.add_done_callback(self._greeting.discard)

    async def _greet(self, connection: socket.socket) -> None:
        timeout = _HANDSHAKE if self._secured else None
        with suppress(OSError, TimeoutError):  # a handshake that came to nothing is the sender's matter
            await asyncio.get_running_loop().connect_accepted_socket(
                self._protocol, connection, ssl=self._secured, ssl_handshake_timeout=timeout
            )

    def _protocol(self) -> asyncio.Protocol:
        return _Shown(self.config, self.server_state, self.lifespan.state)
