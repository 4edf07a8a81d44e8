"""A node's lower half (real database, keys, identity) behind the real application, with rooms of our own."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from litestar import Litestar, Request, Response, get, post
from litestar.testing import TestClient

from istmo.clock import Clock, ManualClock
from istmo.errors import NotFound
from istmo.federation.objects import Member
from istmo.founding import found_node
from istmo.kit.access import OPERATOR, PEER, PEOPLE, PUBLIC
from istmo.kit.asking import Asker
from istmo.kit.forms import Sent
from istmo.kit.i18n import Catalogue
from istmo.kit.pages import Undo, back_to, page
from istmo.ledger import keys
from istmo.model.ids import new_id
from istmo.node import Node, create_node
from istmo.policy.principals import Operator, Role
from istmo.settings import Settings, load_settings
from istmo.web.app import create_app
from istmo.web.rooms import Rooms
from tables import with_tables

HOST = "http://127.0.0.1:8443"
PASSWORD = "cuatro lanchas azules 47"


NOTHING: dict[str, Any] = {
    "message": "", "remedy": "", "reference": "", "kept": [], "sign_in": "", "back": ""
}  # fmt: skip
"""What the page of an error says, where it says nothing."""


@get("/", opt=PEOPLE, sync_to_thread=True)
def home(request: Request[Any, Any, Any], asker: Asker) -> Response[str]:
    return page(request, "kit/error.html", **NOTHING | {"message": f"hola {asker.principal.name}"})


@get("/echo", opt=PUBLIC, sync_to_thread=True)
def echo(request: Request[Any, Any, Any]) -> Response[str]:
    text = request.query_params.get("text", "")
    shown = dict.fromkeys(("message", "remedy", "reference"), text)
    return page(request, "kit/error.html", **NOTHING | shown)


@post("/write", opt=PEOPLE, sync_to_thread=True)
def write(request: Request[Any, Any, Any], data: Sent) -> Response[str]:
    request.app.state.written.append(str(data.get("text")))
    undo = Undo(str(data.get("undo")), {"change": str(data.get("text"))}) if data.get("undo") else None
    return back_to(request, "/", notice="web.notice.signed_out", undo=undo)


@post("/api/v1/write", opt=PEOPLE, sync_to_thread=True)
def api_write(request: Request[Any, Any, Any], data: dict[str, str]) -> dict[str, str]:
    request.app.state.written.append(data["text"])
    return data


@get("/api/v1/who", opt=PEOPLE, sync_to_thread=True)
def who(asker: Asker) -> dict[str, str]:
    return {"who": type(asker.principal).__name__, "language": asker.language, "csrf": asker.csrf}


@get("/api/v1/missing", opt=PEOPLE, sync_to_thread=True)
def missing_thing() -> None:
    raise NotFound("web.no_page")


@get(["/broken", "/api/v1/broken"], opt=PUBLIC, sync_to_thread=True)
def broken() -> None:
    secret = "hunter2-in-a-local-variable"
    raise ValueError("hunter2" + secret[:0])


@get("/api/v1/for-peers", opt=PEER, sync_to_thread=True)
def for_peers() -> dict[str, str]:
    return {}


@get("/api/v1/for-operator", opt=OPERATOR, sync_to_thread=True)
def for_operator() -> dict[str, str]:
    return {}


ROOMS = Rooms([api_write, who, missing_thing, for_peers, for_operator], [home, echo, write, broken])


@dataclass
class Site:
    """The application, its parts, and what the write routes received."""

    app: Litestar
    node: Node
    clock: Any
    written: list[str]

    def client(self, **headers: str) -> TestClient[Litestar]:
        client = TestClient(self.app, base_url=HOST, raise_server_exceptions=False)
        client.headers.update(headers)
        return client

    def cookie(self, name: str) -> str:
        found: str = self.app.state.faces.cookie(name)
        return found

    def sign_in(self, client: TestClient[Litestar], name: str = "ana", following: str = "/") -> Any:
        token = csrf_in(client.get("/sign-in").text)
        data = {"name": name, "password": PASSWORD, "csrf": token, "next": following}
        return client.post("/sign-in", data=data, follow_redirects=False)


def csrf_in(html: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', html)
    assert found, html
    return found[1]


def make_site(folder: Path, clock: Clock, rooms: Rooms | None = ROOMS, **changed: Any) -> Site:
    """A node in ``folder``, first of a region of two, with an analyst; nothing else runs.

    Two of the same instant with the same settings are the same node, opened once more.
    """
    if "database" in changed:
        settings = _found(folder, clock, **changed)
    else:
        founded = _founded(clock.now(), **changed)
        settings = load_settings(shutil.copytree(founded, folder, dirs_exist_ok=True))
    node = create_node(settings, clock)
    node.catalogue = Catalogue(strict=True)
    site = Site(create_app(node, rooms), node, clock, [])
    site.app.state.written = site.written
    return site


@cache
def _founded(now: datetime, **changed: Any) -> Path:
    """A node's folder, to be copied: making its keys, tables and accounts takes longer than most tests."""
    folder = Path(tempfile.mkdtemp(prefix="istmo-site-"))
    atexit.register(shutil.rmtree, folder)
    with_tables(f"sqlite:///{folder / 'node.db'}")
    _found(folder, ManualClock(now), **changed)
    return folder


def _found(folder: Path, clock: Clock, **changed: Any) -> Settings:
    values = {"data": folder, "name": "CSIRT de prueba", "country": "HN", "url": HOST, **changed}
    settings = found_node(Settings(**values), administrator="raiz", password=PASSWORD, clock=clock)
    node = create_node(settings, clock)
    node.identity.create_account(Operator(), "ana", Role.ANALYST, PASSWORD)
    node.identity.create_account(Operator(), "rosa", Role.COORDINATOR, PASSWORD)
    node.federation.found(Operator(), "Istmo de prueba")
    with node.store.write() as tx:
        node.federation.region.add(tx, neighbour(folder / "neighbour", clock))
    node.store.close()
    return settings


def neighbour(folder: Path, clock: Clock) -> Member:
    """Another member of the region, whose node is away."""
    made = keys.create(folder, url="https://gt.example", clock=clock)
    return Member(
        id=new_id("identity"),
        name="CSIRT Guatemala",
        country="GT",
        kind="member",
        url="https://gt.example",
        signing_key=made.public,
        age_recipient=made.age_recipient,
        tls_certificate="",
        joined=clock.now(),
    )
