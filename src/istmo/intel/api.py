"""The machine interface of sharing: ``/api/v1/objects``."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.openapi.spec import OpenAPIType, Schema
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter, RawBody

from istmo.errors import InvalidInput
from istmo.intel import api_explore
from istmo.intel.answers import (
    Words,
    object_json,
    page_json,
    plan_json,
    provenance_json,
    recipient_json,
    sighting_json,
    summary_json,
)
from istmo.intel.api_explore import STIX, read_order, read_since, read_state, read_tlp
from istmo.intel.objects import RetractionReason
from istmo.intel.service import Intel
from istmo.intel.shapes import (
    ObjectList,
    ObjectRead,
    PublicationPlan,
    RecipientList,
    RetractionDone,
    SightingList,
)
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.kit.openapi import operation_with_answer, operation_with_body

LARGEST_BODY = 256 << 20
"""Outer bound in bytes; the node's own limit (``bundle_bytes``) is checked behind it."""


_STIX_OBJECT = Schema(
    type=OpenAPIType.OBJECT,
    properties={"type": Schema(type=OpenAPIType.STRING), "id": Schema(type=OpenAPIType.STRING)},
    required=["type", "id"],
    description="A STIX 2.1 object.",
)
BundleOperation = operation_with_body(
    "A STIX 2.1 bundle, or one object.",
    {
        media: Schema(
            type=OpenAPIType.OBJECT,
            properties={
                "type": Schema(type=OpenAPIType.STRING),
                "id": Schema(type=OpenAPIType.STRING),
                "objects": Schema(type=OpenAPIType.ARRAY, items=_STIX_OBJECT),
            },
            required=["type", "id"],
        )
        for media in ("application/json", "application/stix+json")
    },
)


class RetractRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Why an object is taken back; ``note`` goes to everybody who received it."""

    reason: str
    note: str = ""


@post(
    "/api/v1/objects/preview",
    opt=PEOPLE,
    operation_class=BundleOperation,
    status_code=200,
    sync_to_thread=True,
    request_max_body_size=LARGEST_BODY,
)
def preview_objects(
    body: RawBody,
    asker: Asker,
    intel: Intel,
    catalogue: Catalogue,
    audience: FromQuery[str] = "",
    tlp: FromQuery[str] = "",
) -> PublicationPlan:
    """Who would see each object of the bundle in the body, and why; what would be refused."""
    plan = intel.preview(asker.principal, body, audience=audience.split(","), tlp=read_tlp(tlp.strip()))
    return plan_json(plan, Words(asker, catalogue, intel.names()))


@post(
    "/api/v1/objects/publish",
    opt=PEOPLE,
    operation_class=BundleOperation,
    status_code=200,
    sync_to_thread=True,
    request_max_body_size=LARGEST_BODY,
)
def publish_objects(
    body: RawBody,
    asker: Asker,
    intel: Intel,
    catalogue: Catalogue,
    audience: FromQuery[str] = "",
    tlp: FromQuery[str] = "",
    purpose: FromQuery[str] = "",
) -> PublicationPlan:
    """Publish the bundle in the body to members named by id or name, or to ``region``."""
    plan = intel.publish(
        asker.principal, body, audience=audience.split(","), tlp=read_tlp(tlp.strip()), purpose=purpose[:200]
    )
    return plan_json(plan, Words(asker, catalogue, intel.names()))


@post(
    "/api/v1/objects/import",
    opt=PEOPLE,
    operation_class=BundleOperation,
    status_code=200,
    sync_to_thread=True,
    request_max_body_size=LARGEST_BODY,
)
def import_objects(
    body: RawBody, asker: Asker, intel: Intel, catalogue: Catalogue, tlp: FromQuery[str] = ""
) -> PublicationPlan:
    """Keep the bundle in the body for this node alone."""
    plan = intel.import_bundle(asker.principal, body, tlp=read_tlp(tlp.strip()))
    return plan_json(plan, Words(asker, catalogue, intel.names()))


@get("/api/v1/objects", opt=PEOPLE, sync_to_thread=True)
def list_objects(
    asker: Asker,
    intel: Intel,
    catalogue: Catalogue,
    q: FromQuery[str] = "",
    kind: Annotated[str, QueryParameter(name="type")] = "",
    tlp: FromQuery[str] = "",
    origin: FromQuery[str] = "",
    object_state: Annotated[str, QueryParameter(name="state")] = "",
    seen: FromQuery[bool | None] = None,
    since: FromQuery[str] = "",
    parts: FromQuery[bool] = False,
    sort: FromQuery[str] = "newest",
    cursor: FromQuery[int | None] = None,
    limit: FromQuery[int] = 50,
) -> ObjectList:
    """Search objects. ``state``: live, expired, revoked, retracted, superseded; ``seen`` by this node's own
    detection; ``since``: arrived here at that time or later; ``parts``: relations too, and observables
    without words (a ``type`` names them as well); ``sort``: newest, oldest, name.
    """
    found = intel.search(
        asker.principal,
        query=q,
        type=kind,
        tlp=read_tlp(tlp.strip()),
        origin=origin,
        state=read_state(object_state),
        is_seen=seen,
        since=read_since(since),
        parts=parts,
        order=read_order(sort),
        cursor=cursor,
        limit=limit,
    )
    sighted = intel.sightings_of(asker.principal, [one.id for one in found.items])
    return page_json(found, sighted, Words(asker, catalogue, intel.names()), intel.now())


@get("/api/v1/objects/{object_id:str}", opt=PEOPLE, sync_to_thread=True)
def show_object(object_id: FromPath[str], asker: Asker, intel: Intel, catalogue: Catalogue) -> ObjectRead:
    """One object: state, provenance, why it is not detected, its other versions."""
    words = Words(asker, catalogue, intel.names())
    versions = intel.read(asker.principal, object_id)
    seen = intel.sightings(asker.principal, object_id)
    now = intel.now()
    return {
        **object_json(versions[0], seen, words, now),
        "stix": msgspec.json.decode(intel.raw(asker.principal, object_id)),
        "provenance": [provenance_json(one, words) for one in intel.provenance(asker.principal, object_id)],
        "versions": [object_json(one, (), words, now) for one in versions[1:]],
    }


@get(
    "/api/v1/objects/{object_id:str}/raw",
    opt=PEOPLE,
    sync_to_thread=True,
    operation_class=operation_with_answer("The object as its origin wrote it.", {STIX: _STIX_OBJECT}),
)
def show_raw(object_id: FromPath[str], asker: Asker, intel: Intel) -> Response[bytes]:
    """The bytes of an object as its origin wrote them."""
    return Response(
        intel.raw(asker.principal, object_id),
        media_type=STIX,
        headers={"Content-Disposition": "attachment"},
    )


@get("/api/v1/objects/{object_id:str}/sightings", opt=PEOPLE, sync_to_thread=True)
def show_sightings(
    object_id: FromPath[str], asker: Asker, intel: Intel, catalogue: Catalogue
) -> SightingList:
    """Who saw the object, since when, how often."""
    words = Words(asker, catalogue, intel.names())
    found = intel.sightings(asker.principal, object_id)
    return {
        "items": [sighting_json(one, words) for one in found],
        "next": None,
        "total": len(found),
        **summary_json(found),
    }


@get("/api/v1/objects/{object_id:str}/recipients", opt=PEOPLE, sync_to_thread=True)
def show_recipients(
    object_id: FromPath[str], asker: Asker, intel: Intel, catalogue: Catalogue
) -> RecipientList:
    """To whom the object was sent, and who has acknowledged it and its retraction."""
    words = Words(asker, catalogue, intel.names())
    found = intel.recipients(asker.principal, object_id)
    return {"items": [recipient_json(one, words) for one in found], "next": None, "total": len(found)}


@post("/api/v1/objects/{object_id:str}/retract", opt=PEOPLE, status_code=200, sync_to_thread=True)
def retract_object(
    object_id: FromPath[str], data: JSONBody[RetractRequest], asker: Asker, intel: Intel, catalogue: Catalogue
) -> RetractionDone:
    """Take an own object back: ``error``, ``false-positive``, ``superseded`` or ``legal``."""
    made = intel.retract(asker.principal, object_id, reason=read_reason(data.reason), note=data.note)
    words = Words(asker, catalogue, intel.names())
    sent = intel.recipients(asker.principal, object_id)
    return {
        "id": object_id,
        "retractions": [{"sequence": one.by_sequence, "retracts": one.sequence} for one in made],
        "recipients": [recipient_json(one, words) for one in sent],
    }


routes = [
    *api_explore.routes,
    preview_objects,
    publish_objects,
    import_objects,
    list_objects,
    show_object,
    show_raw,
    show_sightings,
    show_recipients,
    retract_object,
]


def read_reason(text: str) -> RetractionReason:
    """The reason that a word names. Raises InvalidInput("intel.unknown_reason")."""
    if text not in list(RetractionReason):
        raise InvalidInput("intel.unknown_reason", reason=text[:40])
    return RetractionReason(text)
