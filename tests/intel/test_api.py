"""The machine interface: what goes in and comes out, in the asker's language."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from litestar import Litestar, Request, Response
from litestar.di import Provide
from litestar.testing import TestClient

from istmo.errors import IstmoError
from istmo.intel import api
from istmo.kit.access import ACCESS
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.model.markings import Tlp

from .conftest import ANALYST, OBSERVER, SHORT, Node, bundle, indicator, malware, relationship

CATALOGUE = Catalogue(strict=True)


def failed(request: Request[Any, Any, Any], error: IstmoError) -> Response[Any]:
    told = CATALOGUE.error("es", error)
    return Response(
        {"code": error.code, "message": told.message, "remedy": told.remedy}, status_code=error.status
    )


@pytest.fixture
def open_api() -> Callable[..., TestClient[Litestar]]:
    def make(node: Node, who: Any = ANALYST, language: str = "en") -> TestClient[Litestar]:
        def given(part: Any) -> Provide:
            return Provide(lambda: part, sync_to_thread=False)

        app = Litestar(
            api.routes,
            dependencies={
                "asker": given(Asker(who, language)),
                "intel": given(node.intel),
                "catalogue": given(CATALOGUE),
            },
            exception_handlers={IstmoError: failed},
            logging_config=None,
            request_max_body_size=1 << 20,
        )
        return TestClient(app)

    return make


def test_relations_are_listed_where_they_are_asked_for_and_called_by_what_they_connect(
    hn: Node, open_api: Any
) -> None:
    one, other = indicator(name="A"), malware(name="B")
    client = open_api(hn)
    client.post("/api/v1/objects/import?tlp=green", content=bundle(one, other, relationship(one, other)))

    def names(query: str) -> list[str]:
        return [found["name"] for found in client.get(f"/api/v1/objects{query}").json()["items"]]

    assert names("") == ["B", "A"]
    assert names("?parts=true") == ["A indicates B", "B", "A"]
    assert names("?type=relationship") == ["A indicates B"]
    whole = client.get("/api/v1/objects/export").json()["objects"]
    assert len(whole) == 3, "a file without its relations would say less than what was asked for"
    assert len(client.get("/api/v1/objects/export?parts=false").json()["objects"]) == 2


def test_preview_publish_list_read_and_retract(hn: Node, sv: Node, open_api: Any) -> None:
    client = open_api(hn)
    one = indicator(x_ours=1)
    body = bundle(one, indicator(confidence=999))
    query = "?audience=Guatemala&tlp=amber"
    plan = client.post("/api/v1/objects/preview" + query, content=body).json()
    assert plan["counts"] == {"publish": 1, "already": 0, "refused": 1}
    assert plan["problems"][0]["path"] == "$.confidence"
    assert "100" in plan["problems"][0]["text"]
    sees = {one["member"]["name"]: one for one in plan["items"][0]["sees"]}
    assert [sees[name]["allowed"] for name in ("Honduras", "Guatemala", "El Salvador")] == [True, True, False]
    assert sees["El Salvador"]["reasons"][0]["text"] == "It is not in the audience."

    done = client.post("/api/v1/objects/publish" + query, content=body).json()
    assert done["items"][0]["sequence"] == 1
    listed = client.get("/api/v1/objects?q=198.51&type=indicator&state=live").json()
    assert (listed["total"], listed["next"], listed["items"][0]["id"]) == (1, None, one["id"])

    shown = client.get(f"/api/v1/objects/{one['id']}").json()
    assert (shown["tlp"], shown["state"], shown["stix"]["x_ours"]) == ("TLP:AMBER", "live", 1)
    assert shown["provenance"][0]["origin"] == {"id": SHORT["hn"], "name": "Honduras"}
    raw = client.get(f"/api/v1/objects/{one['id']}/raw")
    assert raw.content == json.dumps(one).encode()
    assert raw.headers["content-type"].startswith("application/stix+json")

    taken = client.post(
        f"/api/v1/objects/{one['id']}/retract", json={"reason": "false-positive", "note": "x"}
    ).json()
    assert taken["retractions"] == [{"sequence": 2, "retracts": 1}]
    recipients = client.get(f"/api/v1/objects/{one['id']}/recipients").json()
    assert recipients["items"] == [
        {
            "member": {"id": SHORT["gt"], "name": "Guatemala"},
            "sequence": 1,
            "acknowledged": None,
            "retraction": {"sequence": 2, "acknowledged": None},
        }
    ]


def test_sightings_are_summed_and_told_by_member(hn: Node, sv: Node, open_api: Any) -> None:
    one = indicator()
    hn.publish(one, tlp=Tlp.GREEN)
    hn.deliver(sv)
    sv.see(one["id"], 3)
    sv.deliver(hn)
    hn.see(one["id"], 2)
    client = open_api(hn)
    found = client.get(f"/api/v1/objects/{one['id']}/sightings").json()
    assert (found["count"], found["members"]) == (5, 2)
    assert {(each["member"]["name"], each["count"]) for each in found["items"]} == {
        ("El Salvador", 3),
        ("Honduras", 2),
    }
    assert client.get("/api/v1/objects").json()["items"][0]["sightings"]["count"] == 5


def test_import_keeps_a_large_bundle_here(hn: Node, open_api: Any) -> None:
    body = bundle(*(indicator(f"10.0.{n // 250}.{n % 250}", description="x" * 2000) for n in range(700)))
    assert len(body) > 1 << 20
    done = open_api(hn).post("/api/v1/objects/import?tlp=green", content=body).json()
    assert done["counts"]["publish"] == 700
    assert done["audience"] == [{"id": SHORT["hn"], "name": "Honduras"}]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("publish?audience=region&tlp=green", b"no json", 400, "bundle.invalid"),
        ("publish?audience=&tlp=green", b"[]", 400, "intel.empty_audience"),
        ("publish?audience=Atlantis&tlp=green", b"[]", 400, "intel.unknown_member"),
        ("publish?audience=region&tlp=purple", b"[]", 400, "intel.unknown_tlp"),
        (
            "indicator--00000000-0000-4000-8000-000000000000/retract",
            b'{"reason": "error"}',
            404,
            "intel.no_object",
        ),
        (
            "indicator--00000000-0000-4000-8000-000000000000/retract",
            b'{"reason": "x"}',
            400,
            "intel.unknown_reason",
        ),
    ],
)
def test_what_cannot_be_done_is_told_with_a_remedy(
    hn: Node, open_api: Any, path: str, body: bytes, status: int, code: str
) -> None:
    answer = open_api(hn).post(f"/api/v1/objects/{path}", content=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["remedy"]


def test_who_may_not_publish_gets_403_and_an_unknown_state_400(hn: Node, open_api: Any) -> None:
    client = open_api(hn, OBSERVER, "es")
    assert (
        client.post("/api/v1/objects/publish?audience=region&tlp=green", content=bundle()).status_code == 403
    )
    assert client.get("/api/v1/objects?state=sleeping").status_code == 400
    assert client.get("/api/v1/objects/indicator--x").status_code == 404


def test_words_come_in_the_askers_language(hn: Node, open_api: Any) -> None:
    body = bundle(indicator(pattern="[file:name LIKE 'x']"), indicator())
    for language, word in (("es", "distingue"), ("en", "singles out")):
        client = open_api(hn, ANALYST, language)
        plan = client.post("/api/v1/objects/preview?audience=region", content=body).json()
        assert word in plan["items"][0]["not_detected"]["text"]
        assert plan["items"][1]["problem"]["code"] == "intel.no_marking"


def test_every_problem_and_reason_has_its_words_in_both_languages() -> None:
    for language in ("es", "en"):
        keys = CATALOGUE.keys(language)
        for prefix in ("stix.", "json.", "bundle.", "pattern.not_detected.", "policy."):
            assert sum(key.startswith(prefix) for key in keys) > 1


def test_every_route_says_who_may_come() -> None:
    assert len(api.routes) == 14
    assert all(one.opt.get(ACCESS) == "people" for one in api.routes)
