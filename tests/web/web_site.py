"""A node's lower half (real database, keys, identity) behind the real application, with rooms of our own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from litestar import Litestar, Request, Response, get, post
from litestar.testing import TestClient

from istmo.clock import ManualClock
from istmo.errors import NotFound
from istmo.identity.service import Identity
from istmo.kit.access import OPERATOR, PEER, PEOPLE, PUBLIC
from istmo.kit.asking import Asker
from istmo.kit.forms import Sent
from istmo.kit.i18n import Catalogue
from istmo.kit.pages import back_to, page
from istmo.ledger import keys
from istmo.policy.principals import Operator, Role
from istmo.settings import Settings
from istmo.store import migrations
from istmo.store.engine import Store
from istmo.web.app import create_app
from istmo.web.rooms import Rooms

HOST = "http://127.0.0.1:8443"
PASSWORD = "cuatro lanchas azules 47"


@get("/", opt=PEOPLE, sync_to_thread=True)
def home(request: Request[Any, Any, Any], asker: Asker) -> Response[str]:
    return page(request, "kit/error.html", message=f"hola {asker.principal.name}", remedy="", reference="")


@get("/echo", opt=PUBLIC, sync_to_thread=True)
def echo(request: Request[Any, Any, Any]) -> Response[str]:
    text = request.query_params.get("text", "")
    return page(request, "kit/error.html", message=text, remedy=text, reference=text)


@post("/write", opt=PEOPLE, sync_to_thread=True)
def write(request: Request[Any, Any, Any], data: Sent) -> Response[str]:
    request.app.state.written.append(str(data.get("text")))
    return back_to(request, "/", notice="web.notice.signed_out")


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
    node: Any
    clock: ManualClock
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


def make_site(folder: Path, clock: ManualClock, rooms: Rooms = ROOMS, **changed: Any) -> Site:
    values = {"data": folder, "name": "CSIRT de prueba", "country": "HN", "url": HOST, **changed}
    settings = Settings(**values)
    store = Store(f"sqlite:///{folder / 'node.db'}")
    migrations.upgrade(store)
    identity = Identity(store, clock)
    identity.create_account(Operator(), "ana", Role.ANALYST, PASSWORD)
    node: Any = SimpleNamespace(
        settings=settings,
        clock=clock,
        store=store,
        keys=keys.create(folder / "keys"),
        identity=identity,
        ledger=SimpleNamespace(member_id="hn"),
        catalogue=Catalogue(strict=True),
        intel=None,
        detect=None,
        respond=None,
        federation=None,
    )
    site = Site(create_app(node, rooms), node, clock, [])
    site.app.state.written = site.written
    return site
