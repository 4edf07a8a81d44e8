"""The web application of one node: every room's routes, one door, one way to fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from litestar import Litestar, Request, Response, Router, get
from litestar.config.compression import CompressionConfig
from litestar.di import Provide
from litestar.enums import MediaType
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, License, SecurityScheme
from litestar.types import ControllerRouterHandler

import istmo
from istmo.errors import IstmoError
from istmo.kit.access import PUBLIC
from istmo.kit.asking import Asker
from istmo.kit.pages import Faces, asker_of
from istmo.node import Node
from istmo.web import live, node_api, statics
from istmo.web.admission import Door, check_access_declared
from istmo.web.headers import header_hook
from istmo.web.keeping import Keeping
from istmo.web.pages import preferences, sign_in, situation
from istmo.web.problems import Problems
from istmo.web.rooms import API_ROUTES, PAGE_ROUTES
from istmo.web.routes import handlers_of

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
)
"""Parts of the node that a handler may ask for by name."""

_STREAMS = ["^/static/", "^/api/v1/changes", "^/api/v1/events/", "^/federation/"]
"""Not compressed by us: compressed already, or read line by line while it is written."""


def create_app(node: Node) -> Litestar:
    """The node's application. It refuses to be made when a route is silent about its access."""
    keeping = Keeping(node)
    faces = Faces(node.catalogue, node.settings, node.clock, keeping.may, keeping.fingerprint)
    door = Door(faces, keeping.keepers())
    problems = Problems(faces, door.greet, keeping.record_denial)
    listening = live.Live(node.store.changes, keeping.may_know)

    pages: Sequence[ControllerRouterHandler] = [
        *situation.routes,
        *sign_in.routes,
        *preferences.routes,
        *PAGE_ROUTES,
    ]
    app = Litestar(
        route_handlers=[
            Router(path="/", route_handlers=pages, include_in_schema=False),
            *statics.routes,
            *live.routes,
            *node_api.routes,
            *API_ROUTES,
            openapi_document,
        ],
        dependencies={
            "asker": Provide(_asker, sync_to_thread=False),
            "live": _given(listening),
            "node": _given(node),
            **{name: _given(getattr(node, name)) for name in SERVICES},
        },
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
        openapi_config=OpenAPIConfig(
            title="istmo",
            version=istmo.__version__,
            license=License(name="Apache-2.0", identifier="Apache-2.0"),
            use_handler_docstrings=True,
            components=Components(
                security_schemes={
                    "token": SecurityScheme(type="http", scheme="bearer"),
                    "session": SecurityScheme(
                        type="apiKey", name=faces.cookie("session"), security_scheme_in="cookie"
                    ),
                }
            ),
            security=[{"token": []}, {"session": []}],
            openapi_router=Router(path="/api/v1", route_handlers=[], include_in_schema=False),
            render_plugins=[],
        ),
        request_max_body_size=node.settings.limits.body_bytes,
        multipart_form_part_limit=50,
        on_shutdown=[listening.close],
        logging_config=None,
        debug=False,
    )
    app.state.faces = faces
    app.state.node = node
    check_access_declared(handlers_of(app))
    return app


@get("/api/v1/openapi.json", opt=PUBLIC, include_in_schema=False, media_type=MediaType.JSON)
async def openapi_document(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """The machine interface, described (OpenAPI 3.1): the same for everyone, and nothing of this node."""
    return Response(request.app.openapi_schema.to_schema(), media_type=MediaType.JSON)


def _asker(request: Request[Any, Any, Any]) -> Asker:
    return asker_of(request)


def _given(part: object) -> Provide:
    return Provide(lambda: part, sync_to_thread=False)
