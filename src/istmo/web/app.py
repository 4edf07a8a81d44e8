"""The web application of one node: every room's routes, one door, one way to fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import structlog
from litestar import Litestar, Request, Router
from litestar.config.compression import CompressionConfig
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, License, Reference, SecurityScheme

import istmo
from istmo.errors import IstmoError
from istmo.identity.strangers import MINUTE, Strangers
from istmo.kit.access import PUBLIC
from istmo.kit.asking import Asker
from istmo.kit.pages import Faces, asker_of
from istmo.web import live, statics
from istmo.web.admission import Door, check_access_declared
from istmo.web.bodies import Asked
from istmo.web.document import Document
from istmo.web.examining import Examining
from istmo.web.headers import header_hook
from istmo.web.keeping import Keeping
from istmo.web.pages import preferences, sign_in
from istmo.web.problems import Problems
from istmo.web.rooms import Rooms, open_rooms
from istmo.web.routes import handlers_of
from istmo.web.waiting import Waiting

if TYPE_CHECKING:
    from istmo.node import Node

log = structlog.get_logger(__name__)

THREADS: Final = 24
"""Requests that may wait for the database, a search or the worker side by side."""

SERVICES: Final = (
    "identity",
    "ledger",
    "store",
    "intel",
    "detect",
    "respond",
    "federation",
    "settings",
    "catalogue",
    "clock",
    "jobs",
    "notices",
)
"""Parts of the node that a handler may ask for by name."""

_STREAMS = [
    "^/static/",
    "^/api/v1/changes",
    "^/api/v1/events/",
    "^/federation/",
    r"^/hunt/(.+/)?(rows|counts|export)$",
]
"""Not compressed by us: compressed already, or read line by line while it is written."""


def create_app(node: Node, rooms: Rooms | None = None) -> Litestar:
    """The node's application. It refuses to be made when a route is silent about its access.

    ``app.state.stopping`` is an event: set it, and every open stream ends.
    """
    rooms = rooms or open_rooms()
    keeping = Keeping(node)
    faces = Faces(
        node.catalogue,
        node.settings,
        node.clock,
        keeping.may,
        keeping.fingerprint,
        keeping.names,
        unread=keeping.unread,
    )
    door = Door(faces, keeping.keepers())
    problems = Problems(faces, door.greet, door.recognise, keeping.record_denial)
    stopping = asyncio.Event()
    pages = [*sign_in.routes, *preferences.routes, *rooms.pages]
    app = Litestar(
        route_handlers=[
            Router(path="/", route_handlers=pages, include_in_schema=False),
            # In one router: a path whose methods are registered one by one would be wrapped twice.
            Router(path="/", route_handlers=[*statics.routes, *live.routes, *rooms.api]),
        ],
        dependencies=_given_to_handlers(node, keeping, stopping),
        guards=[door.admit],
        exception_handlers={
            IstmoError: problems.foreseen,
            HTTPException: problems.http,
            Exception: problems.unforeseen,
        },
        before_send=[header_hook(faces)],
        compression_config=CompressionConfig(
            backend="gzip", minimum_size=800, gzip_compress_level=6, exclude=_STREAMS
        ),
        openapi_config=_described(faces.cookie("session")),
        request_class=Asked,
        request_max_body_size=node.settings.limits.body_bytes,
        multipart_form_part_limit=300,
        on_startup=[_more_threads],
        lifespan=[_telling_rest(keeping.strangers)],
        on_shutdown=[stopping.set],
        logging_config=None,
        debug=False,
    )
    app.state.faces = faces
    app.state.stopping = stopping
    check_access_declared(handlers_of(app))
    return app


def _given_to_handlers(node: Node, keeping: Keeping, stopping: asyncio.Event) -> dict[str, Provide]:
    """What a handler may ask for by name."""
    return {
        "asker": Provide(_asker, sync_to_thread=False),
        "live": _given(live.Live(node.store.changes, keeping.may_know, stopping)),
        "waiting": _given(Waiting(node.store.changes, stopping)),
        "names": Provide(keeping.names, sync_to_thread=False),
        "watching": _given(node.detect.detection),
        "past": _given(node.detect.past),
        "taken_back": _given(keeping.taken_back),
        "neighbours": _given(node.neighbours),
        "examining": _given(Examining(node)),
        "own_member": _given(node.ledger.member_id),
        **{name: _given(getattr(node, name)) for name in SERVICES},
    }


def _described(session_cookie: str) -> OpenAPIConfig:
    """What the OpenAPI document says of all routes together."""
    schemes: dict[str, SecurityScheme | Reference] = {
        "token": SecurityScheme(type="http", scheme="bearer"),
        "session": SecurityScheme(type="apiKey", name=session_cookie, security_scheme_in="cookie"),
    }
    return OpenAPIConfig(
        title="istmo",
        version=istmo.__version__,
        license=License(name="Apache-2.0", identifier="Apache-2.0"),
        use_handler_docstrings=True,
        components=Components(security_schemes=schemes),
        security=[{"token": []}, {"session": []}],
        openapi_router=Router(
            path="/api/v1/openapi.json", route_handlers=[], opt=PUBLIC, include_in_schema=False
        ),
        render_plugins=[Document(path="/")],
    )


def _telling_rest(strangers: Strangers) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    """While the application runs: tell each minute of the denials that the minute had no room for."""

    @asynccontextmanager
    async def telling(_: Litestar) -> AsyncIterator[None]:
        task = asyncio.create_task(_tell_rest(strangers))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.to_thread(strangers.tell_rest, is_last=True)

    return telling


async def _tell_rest(strangers: Strangers) -> None:
    while True:
        await asyncio.sleep(MINUTE)
        try:
            await asyncio.to_thread(strangers.tell_rest)
        except Exception:  # a full disk now is no reason to stay silent for good
            log.exception("denials_not_told")


def _more_threads() -> None:
    """Handlers run in threads, and asyncio gives six on two cores: a few slow searches would hold up all."""
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="request")
    asyncio.get_running_loop().set_default_executor(threads)


def _asker(request: Request[Any, Any, Any]) -> Asker:
    return asker_of(request)


def _given(part: object) -> Provide:
    return Provide(lambda: part, sync_to_thread=False)
