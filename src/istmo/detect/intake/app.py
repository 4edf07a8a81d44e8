"""The intake port: a small ASGI application of its own, so that a flood of events meets little code.

Each way of sending is a door (``doors/``). Every 2xx is sent after the events are on disk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import structlog

from istmo.clock import Clock
from istmo.detect.eventstore.log import EventLog
from istmo.detect.intake.asking import Door, Receive, Reply, Request, Router, no_handler
from istmo.detect.intake.denials import Denials
from istmo.detect.intake.desk import Desk, SenderGone
from istmo.detect.intake.doors import DOORS, NATIVE
from istmo.detect.intake.sources import Sources
from istmo.errors import IstmoError, NotAllowed, Unauthenticated, Unavailable
from istmo.kit.i18n import LANGUAGES, Catalogue, negotiate
from istmo.settings import Limits

log = structlog.get_logger(__name__)

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

ROUTES: Final = tuple(route for door in DOORS for route in door.routes)
"""All that the port answers, by method and path: what the leak test goes through."""


class Intake:
    """The ASGI application."""

    def __init__(
        self,
        event_log: EventLog,
        sources: Sources,
        denials: Denials,
        limits: Limits,
        clock: Clock,
        languages: tuple[str, ...] = LANGUAGES,
    ) -> None:
        self._desk = Desk(event_log, sources, limits, clock)
        self._denials = denials
        self._languages = languages
        self._catalogue = Catalogue()
        self._router = Router(DOORS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            return
        request = _request(scope, receive)
        door, handle, parts = self._router.find(request.method, request.path)
        try:
            if handle is None:
                raise no_handler(door, request.method)
            if parts:
                request = _request(scope, receive, parts)
            reply = await handle(self._desk, request)
        except IstmoError as error:
            if isinstance(error, (Unauthenticated, NotAllowed)):
                self._denials.count(error.code, request.address)
            self._desk.count_refused(request, error)
            reply = self._refused(door, error, request)
        except SenderGone:
            return
        except Exception:
            log.exception("intake_failed")
            reply = self._refused(door, Unavailable("detect.store_failed"), request)
        await _send(send, reply, is_head=request.method == "HEAD")

    def _refused(self, door: Door | None, error: IstmoError, request: Request) -> Reply:
        language = negotiate(None, request.headers.get("accept-language"), self._languages)
        reply = (door or NATIVE).refuse(error, self._catalogue.error(language, error))
        after = error.params.get("retry_after")
        if after is None:
            return reply
        headers = (*reply.headers, (b"retry-after", b"%d" % after))
        return Reply(reply.status, reply.body, reply.type, headers)


def _request(scope: Scope, receive: Receive, parts: dict[str, str] | None = None) -> Request:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=headers,
        address=(scope.get("client") or ("",))[0],
        receive=receive,
        certificate=scope.get("state", {}).get("certificate", ""),
        parts=parts or {},
    )


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        kind = message["type"].removeprefix("lifespan.")
        await send({"type": f"lifespan.{kind}.complete"})
        if kind == "shutdown":
            return


async def _send(send: Send, reply: Reply, *, is_head: bool) -> None:
    headers = [
        (b"content-type", reply.type),
        (b"content-length", b"%d" % len(reply.body)),
        (b"cache-control", b"no-store"),
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if is_head else reply.body})
