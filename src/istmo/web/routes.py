"""Which routes there are: what the leak test and the access table go through, so that none is forgotten."""

from __future__ import annotations

import re
from dataclasses import dataclass

from litestar import Litestar
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import HTTPRoute

from istmo.kit.access import ACCESS

_PARAMETER = re.compile(r"\\\{[^}]*\\\}")
_NO_PAGES = ("/api/", "/federation/", "/static/")


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


@dataclass(frozen=True)
class _Pages:
    """Paths by which a page is found, and those at which a form alone is answered."""

    plain: frozenset[str]
    forms: frozenset[str]
    patterns: tuple[re.Pattern[str], ...]

    def holds(self, path: str) -> bool:
        if path in self.plain or path in self.forms:
            return path in self.plain
        return any(one.fullmatch(path) for one in self.patterns)


def page_above(app: Litestar, path: str) -> str:
    """The page nearest to the address of a form: itself where it is one, else one above it, or ``"/"``."""
    pages: _Pages | None = getattr(app.state, "pages", None)
    if pages is None:
        routes = [one for one in routes_of(app) if not one.path.startswith(_NO_PAGES)]
        shown = {one.path for one in routes if one.method == "GET"}
        pages = app.state.pages = _Pages(
            frozenset(shown),
            frozenset({one.path for one in routes} - shown),
            tuple(re.compile(_PARAMETER.sub("[^/]+", re.escape(one))) for one in sorted(shown) if "{" in one),
        )
    while path not in ("", "/"):
        if pages.holds(path):
            return path
        path = path.rpartition("/")[0]
    return "/"


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
