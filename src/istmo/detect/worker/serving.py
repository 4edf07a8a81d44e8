"""The intake port: uvicorn inside the worker's own loop, with no more connections than it can serve."""

from __future__ import annotations

import asyncio
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

MOST_CONNECTIONS: Final = 500
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
        self, config: uvicorn.Config, most: int = MOST_CONNECTIONS, secured: ssl.SSLContext | None = None
    ) -> None:
        """``most`` connections at once; over TLS with ``secured``."""
        super().__init__(config)
        self._most = most
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
        # A request whose sender has hung up is still at work.
        at_work = max(len(self.server_state.connections), len(self.server_state.tasks))
        return at_work + len(self._greeting) >= self._most

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
