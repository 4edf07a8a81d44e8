"""The OpenAPI document says what comes: every JSON answer has its shape, and real answers keep to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from scenes import Scene, fill
from web_site import PASSWORD, Site, make_site

from istmo.clock import ManualClock
from istmo.kit.signed import SignedAuth
from istmo.model.ids import new_id

Json = dict[str, Any]

LOOSE = {
    "EvidenceShape.event": "a stored event, as its source wrote it",
    "UnusableRule.line": "a number, or what the rule's own text says in its place",
}
"""Where the document admits any JSON value, and why. One more is one more to think about."""

TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = make_site(
        tmp_path_factory.mktemp("node"), ManualClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC)), rooms=None
    )
    yield made
    made.node.store.close()


@pytest.fixture(scope="module")
def document(site: Site) -> Json:
    with site.client() as client:
        return dict(client.get("/api/v1/openapi.json").json())


@pytest.fixture(scope="module")
def scene(site: Site) -> Scene:
    return fill(site.node)


@pytest.fixture
def desk(site: Site) -> Iterator[TestClient[Litestar]]:
    """The local command line's way in."""
    with site.client() as client:
        client.auth = SignedAuth(site.node.keys, site.clock)
        yield client


def answers(document: Json) -> Iterator[tuple[str, str, Json]]:
    """(operation, media type, schema) of every answer of 2xx that has a body."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for status, told in operation["responses"].items():
                if status.startswith("2"):
                    for media, content in told.get("content", {}).items():
                        yield f"{method.upper()} {path}", media, content["schema"]


def test_every_json_answer_has_a_shape(document: Json) -> None:
    found = [(where, schema) for where, media, schema in answers(document) if media == "application/json"]
    assert len(found) > 45
    for where, schema in found:
        assert schema.keys() == {"$ref"}, f"{where}: say with a TypedDict what it answers, not {schema}"
        assert resolve(schema, document)["properties"], where


def test_no_shape_leaves_open_what_comes_but_where_that_is_so(document: Json) -> None:
    open_ = {
        f"{name}.{key}"
        for name, schema in document["components"]["schemas"].items()
        for key, one in schema.get("properties", {}).items()
        if not one
    }
    assert open_ == set(LOOSE)


def test_what_is_no_json_is_told_by_its_own_media_type(document: Json) -> None:
    told = {where: media for where, media, _ in answers(document) if media != "application/json"}
    assert told == {
        "GET /api/v1/audit/export": "application/x-ndjson",
        "GET /api/v1/changes": "text/event-stream",
        "GET /api/v1/events/search": "application/x-ndjson",
        "POST /api/v1/events/hunt": "application/x-ndjson",
        "POST /api/v1/hunts/{hunt_id}/run": "application/x-ndjson",
        "POST /api/v1/events/sql": "application/x-ndjson",
        "GET /api/v1/objects/{object_id}/raw": "application/stix+json;version=2.1",
        "GET /api/v1/objects/export": "text/csv",
        "GET /api/v1/peers/{member}/frames": "application/octet-stream",
    }


def test_every_change_that_takes_a_body_says_which(document: Json) -> None:
    bare = {
        path
        for path, item in document["paths"].items()
        if "post" in item and "requestBody" not in item["post"]
    }
    assert bare == {
        "/api/v1/doctor",
        "/api/v1/jobs/{id}/discard",
        "/api/v1/jobs/{id}/retry",
        "/api/v1/notice-ways/{way_id}/secret",
        "/api/v1/notice-ways/{way_id}/test",
        "/api/v1/sources/{source_id}/token",
    }, "only these take none"
    for name in ("preview", "publish", "import", "past"):
        body = document["paths"][f"/api/v1/objects/{name}"]["post"]["requestBody"]
        assert body["required"] and set(body["content"]) == {"application/json", "application/stix+json"}


def test_an_error_is_told_in_the_one_shape_that_it_has(document: Json, desk: TestClient[Litestar]) -> None:
    for item in document["paths"].values():
        for operation in item.values():
            assert {one for one in operation["responses"] if not one.startswith("2")} == {"default"}
    told = desk.get("/api/v1/objects/nothing").json()
    assert problems(told, {"$ref": "#/components/schemas/Error"}, document) == []


def test_real_answers_keep_to_the_document(
    document: Json, desk: TestClient[Litestar], scene: Scene, site: Site
) -> None:
    member = next(one for one in site.node.federation.members() if one != site.node.settings.member)
    rule = "6c9a36b0-1c2e-4bd5-9b54-2b1a55d0a001"
    for path, values in (
        ("/api/v1/node", {}),
        ("/api/v1/me", {}),
        ("/api/v1/accounts", {}),
        ("/api/v1/audit", {}),
        ("/api/v1/jobs/dead", {}),
        ("/api/v1/ledger/checkpoint", {}),
        ("/api/v1/ledger/entries/{origin}/{sequence}", {"origin": site.node.settings.member, "sequence": 3}),
        ("/api/v1/objects", {}),
        ("/api/v1/objects/{object_id}", {"object_id": scene.indicator}),
        ("/api/v1/objects/{object_id}/sightings", {"object_id": scene.indicator}),
        ("/api/v1/objects/{object_id}/recipients", {"object_id": scene.indicator}),
        ("/api/v1/objects/{object_id}/neighbours", {"object_id": scene.indicator}),
        ("/api/v1/objects/{object_id}/compare?before=3&after=3", {"object_id": scene.indicator}),
        ("/api/v1/objects/{object_id}/detection", {"object_id": scene.indicator}),
        ("/api/v1/objects/{object_id}/alerts", {"object_id": scene.indicator}),
        ("/api/v1/alerts", {}),
        ("/api/v1/alerts?order=queue&who=mine&snoozed=no", {}),
        ("/api/v1/alerts/lines", {}),
        ("/api/v1/alerts/lines?by=host", {}),
        ("/api/v1/alerts/{alert_id}", {"alert_id": scene.alert}),
        ("/api/v1/alerts/{alert_id}/history", {"alert_id": scene.alert}),
        ("/api/v1/rules", {}),
        ("/api/v1/rules/{rule_id}", {"rule_id": rule}),
        ("/api/v1/value-lists", {}),
        ("/api/v1/hunts", {}),
        ("/api/v1/hunts/{hunt_id}", {"hunt_id": scene.hunt}),
        ("/api/v1/hunts/{hunt_id}/runs", {"hunt_id": scene.hunt}),
        ("/api/v1/warning-lists", {}),
        ("/api/v1/sources", {}),
        ("/api/v1/sources/{source_id}", {"source_id": scene.source}),
        ("/api/v1/cases", {}),
        ("/api/v1/cases/{case_id}", {"case_id": scene.case}),
        ("/api/v1/peers", {}),
        ("/api/v1/peers/{member}/reconciliation", {"member": member}),
        ("/api/v1/peers/invitations", {}),
    ):  # fmt: skip
        check(document, desk, "GET", path, values)


def test_real_answers_to_changes_keep_to_the_document(
    document: Json, desk: TestClient[Litestar], scene: Scene, site: Site
) -> None:
    member = next(one for one in site.node.federation.members() if one != site.node.settings.member)
    indicator = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": new_id("indicator"),
        "created": "2026-03-02T08:00:00.000Z",
        "modified": "2026-03-02T08:00:00.000Z",
        "pattern": "[ipv4-addr:value = '203.0.113.9']",
        "pattern_type": "stix",
        "valid_from": "2026-03-02T08:00:00Z",
    }
    objects = [indicator, {**indicator, "id": new_id("indicator"), "confidence": 900}]
    bundle = {"type": "bundle", "id": new_id("bundle"), "objects": objects}
    query = "?audience=region&tlp=TLP:AMBER"
    case, alert = {"case_id": scene.case}, {"alert_id": scene.alert}
    other = desk.get("/api/v1/alerts", params={"detector": "sigma"}).json()["items"][0]["id"]
    for path, values, body in (
        ("/api/v1/objects/preview" + query, {}, bundle),
        ("/api/v1/objects/publish" + query, {}, bundle),
        ("/api/v1/objects/import", {}, bundle),
        ("/api/v1/objects/check", {}, {"values": "evil[.]example nonsense"}),
        ("/api/v1/objects/{object_id}/retract", {"object_id": indicator["id"]}, {"reason": "error"}),
        ("/api/v1/alerts/{alert_id}/assign", alert, {"assignee": "ana"}),
        ("/api/v1/alerts/{alert_id}/snooze", alert, {"length": "1h"}),
        ("/api/v1/alerts/{alert_id}/status", alert, {"status": "closed", "reason": "resolved"}),
        ("/api/v1/alerts/undo", {}, {}),
        ("/api/v1/alerts/work", {}, {"deed": "acknowledge", "hosts": ["SRV-CORREO-0"]}),
        ("/api/v1/cases", {}, {"title": "Correo", "severity": "low"}),
        ("/api/v1/cases/{case_id}/entries", case, {"kind": "alert", "alert": other}),
        ("/api/v1/cases/{case_id}/share?preview=1", case, {"member": member}),
        ("/api/v1/cases/{case_id}/share", case, {"member": member}),
        ("/api/v1/cases/{case_id}/entries", case, {"kind": "owner", "member": member, "name": "Ana"}),
        ("/api/v1/hunts", {}, {"name": "Quién soy", "text": "whoami", "every": "15m"}),
        ("/api/v1/hunts/{hunt_id}/switch", {"hunt_id": scene.hunt}, {"on": False}),
        ("/api/v1/sources", {}, {"name": "proxy", "networks": ["10.1.0.0/16"], "silent_after": "15m"}),
        ("/api/v1/sources/{source_id}", {"source_id": scene.source}, {"zone": "America/Tegucigalpa"}),
        ("/api/v1/peers/invitations", {}, {"name": "CSIRT Panamá"}),
        ("/api/v1/accounts", {}, {"name": "nueva", "role": "analyst"}),
        ("/api/v1/accounts/{name}", {"name": "nueva"}, {"role": "observer", "new_password": True}),
        ("/api/v1/accounts/{name}", {"name": "nueva"}, {"password": PASSWORD}),
        ("/api/v1/tokens", {}, {"name": "x", "scopes": ["read"], "account": "ana"}),
    ):
        check(document, desk, "POST", path, values, body)


def check(
    document: Json, desk: TestClient[Litestar], method: str, path: str, values: Json, body: Json | None = None
) -> None:
    """Ask, and hold the answer to the schema of its status."""
    content = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if body is not None else {}
    answer = desk.request(method, path.format(**values), content=content, headers=headers)
    assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
    told = document["paths"][path.partition("?")[0]][method.lower()]["responses"]
    schema = told[str(answer.status_code)]["content"]["application/json"]["schema"]
    assert problems(answer.json(), schema, document) == [], f"{method} {path}"


def resolve(schema: Json, document: Json) -> Json:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def problems(value: Any, schema: Json, document: Json, where: str = "$") -> list[str]:
    """Where ``value`` is not what the schema says; a key that a shape does not name is one, too."""
    schema = resolve(schema, document)
    if "oneOf" in schema:
        tried = [problems(value, one, document, where) for one in schema["oneOf"]]
        return [] if [] in tried else [f"{where}: none of {len(tried)}", *min(tried, key=len)]
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is_a(value, one) for one in kinds):
        return [f"{where}: {type(value).__name__} is not {kinds}"]
    found: list[str] = []
    if isinstance(value, list):
        for place, one in enumerate(value):
            found += problems(one, schema.get("items", {}), document, f"{where}[{place}]")
    elif isinstance(value, dict):
        found += [f"{where}.{key}: missing" for key in schema.get("required", []) if key not in value]
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        for key, one in value.items():
            inner = known.get(key, others)
            if inner is not None:
                found += problems(one, inner, document, f"{where}.{key}")
            elif known:
                found.append(f"{where}.{key}: not in the document")
    return found


def _is_a(value: Any, kind: str) -> bool:
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
