"""Which pages there are to read: the routes say it, so that none is forgotten by a test that looks at all."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
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
PARTS = ("/rows", "/count", "/counts", "/export")
"""Streams, files and parts of a page, not pages. Signing in is a page of those who have not."""
OF_ATTACK = re.compile(r"https://attack\.mitre\.org/techniques/T\d{4}/(\d{3}/)?", re.ASCII)
"""The one place outside to which a page of ours leads by itself."""
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


@dataclass
class SeenForm:
    """A form of a page: where it goes, and its fields by name: what kind, and what stands in them."""

    action: str
    method: str
    fields: list[tuple[str, str, str]] = field(default_factory=list)


class Reader(HTMLParser):
    """What a browser would run (scripts, handlers, styles, images, addresses that are code) or fetch.

    And the forms, so that each can be sent.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.forms: list[SeenForm] = []
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in ("img", "iframe", "object", "embed", "style", "base"):
            self.found.append(tag)
        if tag == "script" and not given.get("src", "").startswith("/static/"):
            self.found.append(f"script {given}")
        if tag == "link" and not given.get("href", "").startswith("/"):
            self.found.append(f"link {given}")
        for name, value in given.items():
            is_code = value.strip().lower().startswith(("javascript:", "data:", "vbscript:"))
            leads_away = name in ("href", "action", "formaction", "src") and value.startswith(("//", "http"))
            leads_away &= not (tag == "a" and OF_ATTACK.fullmatch(value))
            if name.startswith("on") or name == "style" or is_code or leads_away:
                self.found.append(f"{tag} {name}={value}")
        self._form(tag, given)

    def _form(self, tag: str, given: dict[str, str]) -> None:
        if tag == "form":
            self.forms.append(SeenForm(given.get("action", ""), given.get("method", "get")))
        if tag == "option" and self.forms and self.forms[-1].fields:
            name, kind, value = self.forms[-1].fields[-1]
            if kind == "select" and not value:
                self.forms[-1].fields[-1] = name, kind, given.get("value", "")
        if not self.forms or not (name := given.get("name", "")):
            return
        if tag == "input" or (tag == "button" and "value" in given):
            self.forms[-1].fields.append((name, given.get("type", "text"), given.get("value", "")))
        elif tag == "textarea":
            self.forms[-1].fields.append((name, "text", ""))
        elif tag == "select":
            self.forms[-1].fields.append((name, "select", ""))


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader
