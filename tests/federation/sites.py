"""Nodes with real sockets: a ledger, a federation and the wire's routes each, served by uvicorn."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from litestar import Litestar, Request, Response, get
from litestar.concurrency import sync_to_thread
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler
from litestar.params import FromQuery
from litestar.response import Stream

from istmo.clock import Clock
from istmo.errors import IstmoError, NotAllowed, Unauthenticated
from istmo.federation import api
from istmo.federation.objects import Cursor
from istmo.federation.service import Federation, Pace
from istmo.kit.access import ACCESS, PEER
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.kit.signed import Presented, nonce_of
from istmo.ledger import keys as node_keys
from istmo.ledger.entry import Entry
from istmo.ledger.log import Ledger
from istmo.model.markings import Tlp
from istmo.policy.principals import Anonymous, Operator, Peer, Principal
from istmo.settings import Settings
from istmo.store import migrations
from istmo.store.engine import Store

AMBER = (Tlp.AMBER.marking_id,)
RED = (Tlp.RED.marking_id,)
OPERATOR = Operator()
SECONDS = 20.0
COUNTRIES = {"Guatemala": "GT", "Honduras": "HN", "El Salvador": "SV"}

Meddle = Callable[[list[bytes]], list[bytes]]


def eventually(condition: Callable[[], Any], what: str = "", seconds: float = SECONDS) -> Any:
    """Poll a real condition until it holds; its value. Fails after ``seconds``."""
    started = time.monotonic()
    while (elapsed := time.monotonic() - started) < seconds:
        found = condition()
        if found:
            return found
        time.sleep(min(0.1, 0.003 + elapsed / 20))  # the pace of polling, not a wait for luck
    raise AssertionError(f"never came true: {what or condition}")


@dataclass
class Site:
    """One node, as far as federation goes, with its server."""

    name: str
    folder: Path
    clock: Clock
    settings: Settings
    keys: node_keys.NodeKeys
    listener: socket.socket
    pace: Pace
    meddle: Meddle | None = None
    """What a hostile origin makes of the lines of its feed."""
    store: Store = field(init=False)
    ledger: Ledger = field(init=False)
    federation: Federation = field(init=False)
    applied: list[tuple[str, int]] = field(default_factory=list)
    """(origin, sequence) in the order in which handlers of type ``stix`` saw them."""
    refuse: set[bytes] = field(default_factory=set)
    """Payloads that this node's handler refuses."""
    certificate: tuple[str, str] | None = None
    """Certificate and key that the server shows instead of the node's own."""
    _server: uvicorn.Server | None = None
    _thread: threading.Thread | None = None

    def open(self) -> None:
        """Open store, ledger and federation, as a node does when it starts."""
        self.store = Store(self.settings.database_url)
        migrations.upgrade(self.store)
        self.ledger = Ledger(self.store, self.keys, self.settings.member, self.clock, self.settings.log_files)
        self.ledger.on("stix", self._handle)
        self.federation = Federation(
            self.store, self.ledger, self.keys, self.settings, self.clock, pace=self.pace
        )

    def _handle(self, tx: Any, entry: Entry) -> None:
        if entry.payload in self.refuse:
            raise NotAllowed("test.refused")
        tx.after_commit(lambda: self.applied.append((entry.origin, entry.sequence)))

    def serve(self) -> None:
        """Answer on the node's socket and begin to dial."""
        certificate, key = self.certificate or (None, None)
        if self.settings.tls == "own" and certificate is None:
            certificate, key = str(self.keys.tls_certificate), str(self.keys.tls_key)
        config = uvicorn.Config(
            make_app(self), http="h11", ws="none", lifespan="off", log_config=None, access_log=False,
            timeout_graceful_shutdown=2, ssl_certfile=certificate, ssl_keyfile=key,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        listener = self.listener.dup()
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        eventually(lambda: self._server and self._server.started, "server started")
        self.federation.start()

    def stop(self) -> None:
        """Stop as a node does; its data stays."""
        self.federation.stop()
        if self._server and self._thread:
            self._server.should_exit = True
            self._thread.join(15)
            assert not self._thread.is_alive()
        self._server = None
        self.store.close()

    def restart(self) -> None:
        self.open()
        self.serve()

    @property
    def id(self) -> str:
        return self.settings.member

    def publish(self, *to: Site, payload: bytes | None = None, markings=AMBER, **more: Any) -> Entry:
        content = payload if payload is not None else f"{self.name} {time.monotonic_ns()}".encode()
        audience = (self.id, *(one.id for one in to))
        with self.store.write() as tx:
            return self.ledger.append(tx, "stix", content, audience=audience, markings=markings, **more)

    def publish_many(self, count: int, *to: Site, **more: Any) -> list[Entry]:
        audience = (self.id, *(one.id for one in to))
        with self.store.write() as tx:
            return [
                self.ledger.append(
                    tx, "stix", b"%s %d" % (self.name.encode(), n), audience=audience, markings=AMBER, **more
                )
                for n in range(count)
            ]

    def log_of(self, origin: Site) -> list[tuple[int, bytes, bytes, bytes | None, str]]:
        """What this node holds of an origin's log, entry by entry, as bytes."""
        with self.store.read() as connection:
            found = self.ledger.entries(connection, 0, 100_000)
        return [
            (one.sequence, one.envelope.header, one.envelope.signature, one.envelope.body, one.state)
            for one in sorted(found, key=lambda one: one.sequence)
            if one.origin == origin.id
        ]

    def due_to(self, recipient: Site) -> list[tuple[int, bytes, bytes, bytes | None, str]]:
        """What of this node's log is meant for ``recipient``, in the same form."""
        with self.store.read() as connection:
            due = self.ledger.due(connection, recipient.id, 0, 100_000)
            found = [self.ledger.entry(connection, self.id, one.sequence) for one in due]
        return [
            (one.sequence, one.envelope.header, one.envelope.signature, one.envelope.body, one.state)
            for one in found
        ]

    def problem_with(self, other: Site) -> str:
        problem = self.federation.links.get(other.id).problem
        return problem.code if problem else ""

    def acknowledged_by(self, other: Site) -> int:
        with self.store.read() as connection:
            return self.federation.acknowledged(connection, other.id)

    def report(self, other: Site) -> dict[str, Any]:
        return self.federation.reconciliation(OPERATOR, other.id).to_json()


def has_all(receiver: Site, origin: Site) -> bool:
    """Whether ``receiver`` holds exactly what is meant for it of ``origin``, entry by entry."""
    return [one[:4] for one in receiver.log_of(origin)] == [one[:4] for one in origin.due_to(receiver)]


def is_settled(*sites: Site) -> bool:
    """Every site holds exactly what each other one meant for it, and each has been told so."""
    pairs = [(one, other) for one in sites for other in sites if one is not other]
    for receiver, origin in pairs:  # first what is cheap to ask
        with origin.store.read() as connection:
            due = origin.ledger.chains(connection, [receiver.id])[receiver.id].count
            if origin.federation.acknowledged(connection, receiver.id) != due:
                return False
    return all(has_all(receiver, origin) for receiver, origin in pairs)


def make_app(site: Site) -> Litestar:
    """The wire's routes of a site, with a door that knows signatures alone."""

    async def admit(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        request = Request[Any, Any, Any](connection.scope, connection.receive, connection.send)
        principal: Principal = Anonymous()
        if "signature-input" in request.headers:
            presented = Presented(
                request.method, str(request.url), dict(request.headers), await request.body()
            )
            principal = await sync_to_thread(site.federation.who_signed, presented)
        connection.scope["state"]["asker"] = Asker(principal, "en")
        if handler.opt.get(ACCESS) == "peer" and not isinstance(principal, Peer):
            raise Unauthenticated("test.no_peer")
        if handler.opt.get(ACCESS) == "people" and not isinstance(principal, Operator):
            raise Unauthenticated("test.no_operator")

    def told(_: Request[Any, Any, Any], error: IstmoError) -> Response[Any]:
        body = {"error": {"code": error.code, "message": error.code, "params": error.params}}
        return Response(body, status_code=error.status)

    def asker_of(request: Request[Any, Any, Any]) -> Asker:
        found: Asker = request.scope["state"]["asker"]
        return found

    @get("/federation/v1/feed", opt=PEER)
    async def hostile_feed(
        request: Request[Any, Any, Any],
        asker: Asker,
        after: FromQuery[int] = 0,
        sequence: FromQuery[int] = 0,
        head: FromQuery[str] = "",
    ) -> Stream:
        cursor = Cursor(after, sequence, bytes.fromhex(head) if head else bytes(32))
        feed = await sync_to_thread(
            site.federation.open_feed, asker.principal, cursor, nonce_of(request.headers), False
        )

        async def stream() -> AsyncIterator[bytes]:
            async for event in feed.stream():
                lines = [line[6:] for line in event.split(b"\n") if line.startswith(b"data: ")]
                if lines and site.meddle is not None:
                    yield b"".join(b"data: %s\n\n" % line for line in site.meddle(lines))
                else:
                    yield event

        return Stream(stream(), media_type="text/event-stream")

    honest = [one for one in api.routes if site.meddle is None or one is not api.feed]
    return Litestar(
        route_handlers=[*honest, *([] if site.meddle is None else [hostile_feed])],
        guards=[admit],
        dependencies={
            "federation": Provide(lambda: site.federation, sync_to_thread=False),
            "names": Provide(
                lambda: {one: site.federation.name_of(one) for one in site.federation.members()},
                sync_to_thread=False,
            ),
            "catalogue": Provide(Catalogue, sync_to_thread=False),
            "asker": Provide(asker_of, sync_to_thread=False),
        },
        exception_handlers={IstmoError: told},  # type: ignore[dict-item]
        openapi_config=None,
        logging_config=None,
    )


def join(first: Site, *others: Site) -> None:
    """Found a region at ``first`` and bring the others in, each with its fingerprint known."""
    if first.federation.region.current() is None:
        first.federation.found(OPERATOR, "Centroamérica")
    for other in others:
        _, code = first.federation.invite(OPERATOR, other.settings.name, other.keys.fingerprint)
        assert other.federation.accept(OPERATOR, code).state == "joined"
