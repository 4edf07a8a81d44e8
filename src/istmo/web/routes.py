"""Which routes there are: what the leak test and the access table go through, so that none is forgotten."""

from __future__ import annotations

from dataclasses import dataclass

from litestar import Litestar
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import HTTPRoute

from istmo.kit.access import ACCESS


@dataclass(frozen=True, order=True)
class RouteEntry:
    """One path and method. ``path`` has its parameters as ``{name:type}``."""

    path: str
    method: str
    access: str
    handler: str
    """Dotted name of the function."""


def handlers_of(app: Litestar) -> list[tuple[str, BaseRouteHandler]]:
    """Every path with each of its handlers. The answer to OPTIONS, which the framework adds, is left out."""
    found: list[tuple[str, BaseRouteHandler]] = []
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            handlers = [one for one in route.route_handlers if one.http_methods != {"OPTIONS"}]
            found += [(route.path, handler) for handler in handlers]
        else:
            found.append((route.path, route.route_handler))
    return found


def routes_of(app: Litestar) -> list[RouteEntry]:
    """Every route of the application, by path and method."""
    entries: list[RouteEntry] = []
    for path, handler in handlers_of(app):
        methods = handler.http_methods if isinstance(handler, HTTPRouteHandler) else {"*"}
        entries += [
            RouteEntry(path, str(method), handler.opt.get(ACCESS, ""), handler.handler_name)
            for method in methods
        ]
    return sorted(entries)
