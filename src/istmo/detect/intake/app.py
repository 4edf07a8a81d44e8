"""The intake port: a small ASGI application of its own, so that a flood of events meets little code.

``POST /api/v1/events`` (newline JSON or a JSON array, plain or gzip; ``Authorization: Bearer``) and
``GET /healthz``. Every 2xx is sent after the events are on disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

import orjson
import structlog

from istmo.clock import Clock
from istmo.detect.eventstore.log import Batch, EventLog
from istmo.detect.eventstore.times import to_micros
from istmo.detect.intake.bodies import EventBody
from istmo.detect.intake.denials import Denials
from istmo.detect.intake.sources import Sources
from istmo.errors import (
    InvalidInput,
    IstmoError,
    NotAllowed,
    NotFound,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from istmo.kit.i18n import LANGUAGES, Catalogue, negotiate
from istmo.settings import Limits

log = structlog.get_logger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Answer = tuple[int, dict[str, Any]]
"""Status and what becomes the body."""

PATH: Final = "/api/v1/events"
HEALTH: Final = "/healthz"
IN_HAND_BYTES: Final = 64 << 20
"""What all requests together may hold in memory."""
PATIENCE: Final = 60.0
"""Seconds that a sender may be silent in the middle of a body."""
_YIELD_BYTES: Final = 128 << 10


class MethodNotAllowed(IstmoError):
    """The path exists; the method does not."""

    status = 405


class SenderSilent(IstmoError):
    """A body that stopped coming."""

    status = 408


class UnsupportedEncoding(InvalidInput):
    """A content encoding that we do not read."""

    status = 415


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
        self._log = event_log
        self._sources = sources
        self._denials = denials
        self._limits = limits
        self._clock = clock
        self._languages = languages
        self._catalogue = Catalogue()
        self._in_hand = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            status, answer = await self._answer(scope, headers, receive)
        except IstmoError as error:
            if isinstance(error, (Unauthenticated, NotAllowed)):
                self._denials.count(error.code, (scope.get("client") or ("",))[0])
            status, answer = error.status, self._told(error, headers)
        except _SenderGone:
            return
        except Exception:
            log.exception("intake_failed")
            failed = Unavailable("detect.store_failed")
            status, answer = failed.status, self._told(failed, headers)
        await _send(send, status, answer)

    async def _answer(self, scope: Scope, headers: dict[str, str], receive: Receive) -> Answer:
        path, method = scope["path"], scope["method"]
        handle = ROUTES.get((method, path))
        if handle is not None:
            return await handle(self, headers, receive)
        if path not in {known for _, known in ROUTES}:
            raise NotFound("detect.no_such_path")
        raise MethodNotAllowed("detect.method_not_allowed", method=method[:20])

    async def _tell_health(self, headers: dict[str, str], receive: Receive) -> Answer:
        if self._log.is_full:
            raise Unavailable("detect.disk_full", folder="")
        return 200, {"status": "ok"}

    async def _take(self, headers: dict[str, str], receive: Receive) -> Answer:
        if not self._sources.is_known:
            raise Unavailable("detect.intake_not_ready", retry_after=1)
        source = self._sources.admit(headers.get("authorization", ""), self._clock.now())
        if self._in_hand > IN_HAND_BYTES:
            raise RateLimited("detect.intake_busy", retry_after=1)
        encoding = headers.get("content-encoding", "").strip().lower()
        try:
            body = EventBody(self._limits, encoding)
        except InvalidInput as error:
            raise UnsupportedEncoding(error.code, **error.params) from None
        try:
            await self._read(body, receive)
            if body.events:
                await self._store(source.id, body)
        finally:
            self._in_hand -= body.size
        at = to_micros(self._clock.now()) if body.events else 0
        self._sources.count(source.id, len(body.events), body.refused_total, at)
        answer = {
            "accepted": len(body.events),
            "refused": body.refused,
            "refused_total": body.refused_total,
        }
        if body.refused_total and not body.events:
            problem = InvalidInput("detect.nothing_accepted", n=body.refused_total)
            return problem.status, answer | self._told(problem, headers)
        return 200, answer

    async def _read(self, body: EventBody, receive: Receive) -> None:
        unyielded = 0
        while True:
            try:
                async with asyncio.timeout(PATIENCE):
                    message = await receive()
            except TimeoutError:
                raise SenderSilent("detect.sender_silent", seconds=int(PATIENCE)) from None
            if message["type"] == "http.disconnect":
                raise _SenderGone
            data = message.get("body", b"")
            before = body.size
            try:
                body.feed(data)
            finally:
                self._in_hand += body.size - before
            if not message.get("more_body"):
                break
            unyielded += len(data)
            if unyielded > _YIELD_BYTES:  # a long body must not hold up the detecting stages
                unyielded = 0
                await asyncio.sleep(0)
        before = body.size
        try:
            body.finish()
        finally:
            self._in_hand += body.size - before

    async def _store(self, source: str, body: EventBody) -> None:
        loop = asyncio.get_running_loop()
        stored: asyncio.Future[None] = loop.create_future()

        def settle(problem: IstmoError | None) -> None:
            if stored.cancelled():
                return
            if problem:
                stored.set_exception(problem)
            else:
                stored.set_result(None)

        def answer(problem: IstmoError | None) -> None:
            loop.call_soon_threadsafe(settle, problem)

        self._log.append(Batch(source, body.events, answer))
        await stored

    def _told(self, error: IstmoError, headers: dict[str, str]) -> dict[str, Any]:
        language = negotiate(None, headers.get("accept-language"), self._languages)
        told = self._catalogue.error(language, error)
        return {
            "error": {
                "code": error.code,
                "message": told.message,
                "remedy": told.remedy,
                "params": error.params,
            }
        }


ROUTES: Final[Mapping[tuple[str, str], Callable[[Intake, dict[str, str], Receive], Awaitable[Answer]]]] = {
    ("GET", HEALTH): Intake._tell_health,
    ("HEAD", HEALTH): Intake._tell_health,
    ("POST", PATH): Intake._take,
}
"""All that the port answers, by method and path: what the leak test goes through."""


class _SenderGone(Exception):
    """The connection broke before the body ended: nobody is there to be answered."""


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        kind = message["type"].removeprefix("lifespan.")
        await send({"type": f"lifespan.{kind}.complete"})
        if kind == "shutdown":
            return


async def _send(send: Send, status: int, answer: dict[str, Any]) -> None:
    body = orjson.dumps(answer)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    after = answer.get("error", {}).get("params", {}).get("retry_after")
    if after is not None:
        headers.append((b"retry-after", b"%d" % after))
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
