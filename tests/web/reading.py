"""Which pages there are to read: the routes say it, so that none is forgotten by a test that looks at all."""

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
ASKED = {
    "/hunt": "?q=EventID:22",
    "/hunt/value": "?field=host&value=evil.example",
    "/rules/switch": "?to=off",
    "/search": "?q=evil",
    "/warning-lists": "?value=192.168.1.1",
}
"""What a page is asked for beside its plain form, so that it has something to say."""
NO_PAGES = ("/api/", "/static/", "/federation/", "/sign-in")
PARTS = ("/rows", "/counts", "/export")
"""Streams and files, not pages. Signing in is a page of those who have not."""
OF_ADMINISTRATORS = ("/administration", "/sources/new")


def paths_of(app: Any, scene: Scene | None, peer: str) -> list[str]:
    """Every page that is read, with the ids of the scene; pages of one thing only where there is one."""
    found = {"/nothing-here"}
    for route in routes_of(app):
        path = route.path
        if route.method != "GET" or path.startswith(NO_PAGES) or path.endswith(PARTS):
            continue
        if "." in path.rsplit("/", 1)[-1]:
            continue
        if "{" not in path:
            found.add(path)
            if scene is not None and path in ASKED:
                found.add(path + ASKED[path])
        elif path.startswith("/peers/"):
            found.add(_with(path, peer))
        elif scene is not None:
            kind = next(name for start, name in ONE_OF.items() if path.startswith(start))
            last = path.rsplit("/", 1)[-1]
            asked = {"share": f"?member={peer}", "compare": f"?{scene.compared}"}.get(last, "")
            found.add(_with(path, getattr(scene, kind)) + asked)
    return sorted(found)


def reader_of(path: str) -> str:
    """Who reads a page: an analyst, or who administers the node where only they may."""
    return "raiz" if path.startswith(OF_ADMINISTRATORS) else "ana"


def page_routes(app: Any, method: str) -> list[RouteEntry]:
    """The routes of the console that answer to ``method``."""
    return [one for one in routes_of(app) if one.method == method and not one.path.startswith(NO_PAGES[:3])]


def peer_of(node: Any) -> str:
    """The other member of the test region."""
    return str(next(iter(node.federation.members() - {node.ledger.member_id})))


def _with(path: str, id: str) -> str:
    before, _, rest = path.partition("{")
    return before + id + rest.partition("}")[2]
