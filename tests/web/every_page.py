"""Every page that there is: listed by the program, so that none is forgotten where all are gone through."""

from __future__ import annotations

from typing import Any

from scenes import Scene

from istmo.web.routes import RouteEntry, routes_of

ONE_OF = {
    "/alerts/": "alert",
    "/objects/": "indicator",
    "/cases/": "case",
    "/rules/": "rule",
    "/sources/": "source",
    "/hunts/": "hunt",
    "/administration/people/": "person",
    "/administration/notices/": "way",
}
"""What stands for the id in a page's path. A page that is not here fails the test."""
NO_PAGES = ("/api/", "/static/", "/federation/")


def paths_of(app: Any, scene: Scene | None, peer: str) -> list[str]:
    """Every page that is read, with the ids of the scene; pages of one thing only where there is one."""
    found = {"/nothing-here"}
    for route in page_routes(app, "GET"):
        if "{" not in route.path or route.path.startswith("/peers/") or scene is not None:
            found.add(path_of(route, scene, peer))
    return sorted(found)


def page_routes(app: Any, method: str) -> list[RouteEntry]:
    """The routes of the console that answer to ``method``."""
    return [
        one
        for one in routes_of(app)
        if one.method == method
        and not one.path.startswith(NO_PAGES)
        and "." not in one.path.rsplit("/", 1)[-1]
    ]


def path_of(route: RouteEntry, scene: Scene | None, peer: str) -> str:
    """A route's path with an id of the scene in it."""
    if "{" not in route.path:
        return route.path
    if route.path.startswith("/peers/"):
        return _with(route.path, peer)
    kind = next(name for start, name in ONE_OF.items() if route.path.startswith(start))
    return _with(route.path, getattr(scene, kind))


def peer_of(node: Any) -> str:
    """The other member of the test region."""
    return str(next(iter(node.federation.members() - {node.ledger.member_id})))


def _with(path: str, id: str) -> str:
    before, _, rest = path.partition("{")
    return before + id + rest.partition("}")[2]
