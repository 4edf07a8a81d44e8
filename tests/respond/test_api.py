"""The routes of cases, as a program meets them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import msgspec
import pytest
from litestar import Litestar, Request, Response
from litestar.di import Provide
from litestar.testing import TestClient

from istmo.errors import IstmoError
from istmo.kit.asking import Asker
from istmo.model.markings import Tlp
from istmo.respond import api
from respond.conftest import NAMES, Nation, carry
from respond.test_service import ALERT, HN, OWN_ALERT, SV

Client = TestClient[Litestar]


def _told(_request: Request, error: IstmoError) -> Response:  # type: ignore[type-arg]
    return Response(
        {"error": {"code": error.code, "params": msgspec.to_builtins(error.params)}},
        status_code=error.status,
    )


@pytest.fixture
def client_of() -> Iterator[Callable[[Nation], Client]]:
    def make(nation: Nation) -> Client:
        return TestClient(
            Litestar(
                api.routes,
                dependencies={
                    "asker": Provide(lambda: Asker(nation.analyst, "es"), sync_to_thread=False),
                    "respond": Provide(lambda: nation.respond, sync_to_thread=False),
                    "names": Provide(lambda: NAMES, sync_to_thread=False),
                },
                exception_handlers={IstmoError: _told},
                logging_config=None,
            )
        )

    yield make


@pytest.fixture
def gt(make_nation: Callable[..., Nation]) -> Nation:
    return make_nation("gt")


def test_a_case_from_opening_to_sharing(
    gt: Nation, hn: Nation, client_of: Callable[[Nation], Client]
) -> None:
    ours, theirs = client_of(gt), client_of(hn)
    gt.shelf.alerts = {OWN_ALERT.id: OWN_ALERT}
    opened = ours.post("/api/v1/cases", json={"alert": OWN_ALERT.id, "note": "mire esto"})
    assert opened.status_code == 201
    case = opened.json()
    path = f"/api/v1/cases/{case['id']}"
    assert [one["kind"] for one in case["timeline"]] == ["opening", "alert", "note"]
    assert case["timeline"][1]["evidence"] == list(OWN_ALERT.evidence)
    plan = ours.post(f"{path}/share?preview=1", json={"member": HN}).json()
    assert (plan["allowed"], len(plan["sends"]), plan["refused"]) == (True, 3, [])
    assert ours.post(f"{path}/share", json={"member": HN}).status_code == 201
    carry(gt, hn)
    for entry in (
        {"kind": "note", "text": "aquí también"},
        {"kind": "status", "value": "working"},
        {"kind": "severity", "value": "critical"},
        {"kind": "owner", "member": HN, "name": "Ana"},
        {"kind": "task", "text": "bloquear el dominio"},
    ):
        added = theirs.post(f"{path}/entries", json=entry)
        assert added.status_code == 201, added.text
    task = added.json()["id"]
    assert theirs.post(f"{path}/entries", json={"kind": "task_done", "task": task}).status_code == 201
    carry(gt, hn)
    assert ours.get(path).json() == theirs.get(path).json()
    found = ours.get(path).json()
    assert found["status"]["value"] == "working"
    assert found["owner"]["value"] == f"{HN}/Ana"
    assert [one["is_done"] for one in found["tasks"]] == [True]
    listed = ours.get("/api/v1/cases", params={"q": "dominio", "severity": "critical"}).json()
    assert [one["id"] for one in listed["items"]] == [case["id"]]
    assert (listed["next"], listed["total"]) == (None, None)


def test_what_may_not_be_shared_is_named_with_its_reasons(
    gt: Nation, client_of: Callable[[Nation], Client]
) -> None:
    client = client_of(gt)
    gt.shelf.alerts = {ALERT.id: ALERT}
    case = client.post("/api/v1/cases", json={"alert": ALERT.id}).json()
    path = f"/api/v1/cases/{case['id']}/share"
    refused = client.post(path, json={"member": SV})
    assert refused.status_code == 403
    (one,) = refused.json()["error"]["params"]["refused"]
    assert (one["title"], one["reasons"][0]["code"]) == (ALERT.title, "not_in_audience")
    assert client.post(path, json={"member": SV, "leave_out": [one["entry"]]}).status_code == 201


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/v1/cases", {"title": "x", "tlp": "TLP:PINK"}, 400),
        ("/api/v1/cases", {"title": "x", "colour": "red"}, 400),
        ("/api/v1/cases", {}, 400),
        ("/api/v1/cases/nothing/entries", {"kind": "note", "text": "x"}, 404),
        ("/api/v1/cases/nothing/entries", {"kind": "spell"}, 400),
        ("/api/v1/cases/nothing/share", {"member": HN}, 404),
        ("/api/v1/cases", {"title": "x" * 5000, "severity": "awful"}, 400),
    ],
)
def test_input_that_cannot_be_used(
    gt: Nation, client_of: Callable[[Nation], Client], path: str, body: dict[str, str], status: int
) -> None:
    assert client_of(gt).post(path, json=body).status_code == status


def test_every_route_says_who_may_come() -> None:
    assert {handler.opt["access"] for handler in api.routes} == {"people"}


def test_what_makes_a_case_stricter_is_done_when_it_is_said_so(
    gt: Nation, client_of: Callable[[Nation], Client]
) -> None:
    client = client_of(gt)
    gt.shelf.alerts = {OWN_ALERT.id: replace(OWN_ALERT, tlp=Tlp.AMBER_STRICT)}
    case = client.post("/api/v1/cases", json={"title": "Caso"}).json()
    path, entry = f"/api/v1/cases/{case['id']}/entries", {"kind": "alert", "alert": OWN_ALERT.id}
    asked = client.post(path, json=entry)
    assert asked.status_code == 409
    assert asked.json()["error"]["params"]["tlp"] == "TLP:AMBER+STRICT"
    assert client.post(path, json={**entry, "raise_to": "TLP:PINK"}).status_code == 400
    assert client.post(path, json={**entry, "raise_to": "TLP:AMBER+STRICT"}).status_code == 201
    assert client.post(path, json=entry).json()["error"]["code"] == "respond.already_there"


def test_a_program_shares_what_it_was_shown_and_renames(
    gt: Nation, client_of: Callable[[Nation], Client]
) -> None:
    client = client_of(gt)
    case = client.post("/api/v1/cases", json={"title": "Caso"}).json()
    path = f"/api/v1/cases/{case['id']}"
    plan = client.post(f"{path}/share?preview=1", json={"member": HN}).json()
    added = client.post(f"{path}/entries", json={"kind": "title", "value": "Otro"})
    assert (added.status_code, added.json()["title"]) == (201, "Otro")
    wanted = {"member": HN, "seen": plan["seen"]}
    assert client.post(f"{path}/share", json=wanted).status_code == 409
    again = client.post(f"{path}/share?preview=1", json=wanted).json()
    assert again["new"] == [added.json()["id"]]
    shared = client.post(f"{path}/share", json={**wanted, "seen": again["seen"]})
    assert (shared.status_code, shared.json()["title"]) == (201, "Otro")
