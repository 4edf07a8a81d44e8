"""The machine interface of sharing: ``/api/v1/objects``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, get, post
from litestar.params import Parameter

from istmo.errors import InvalidInput
from istmo.intel.objects import (
    ObjectPage,
    Outcome,
    Plan,
    Planned,
    Provenance,
    Recipient,
    RetractionReason,
    Sighting,
    State,
    StoredObject,
)
from istmo.intel.service import Intel
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.model import instants
from istmo.model.markings import Tlp
from istmo.model.stix import Problem
from istmo.policy import Reason

LARGEST_BODY = 256 << 20
"""Outer bound in bytes; the node's own limit (``bundle_bytes``) is checked behind it."""


class RetractRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Why an object is taken back; ``note`` goes to everybody who received it."""

    reason: str
    note: str = ""


class Words:
    """Says things of this room in the asker's language."""

    def __init__(self, asker: Asker, catalogue: Catalogue, names: Mapping[str, str]) -> None:
        self._language, self._catalogue, self._names = asker.language, catalogue, names

    def member(self, id: str) -> dict[str, str]:
        """A member with its name, which is its id once it has left."""
        return {"id": id, "name": self._names.get(id, id)}

    def reason(self, reason: Reason) -> dict[str, str]:
        params = dict(reason.params)
        for key in ("member", "origin"):
            if key in params:
                params[key] = self._names.get(params[key], params[key])
        return {"code": reason.code, "text": self._text(reason.key, params)}

    def problem(self, code: str, params: Mapping[str, Any]) -> str:
        shown = dict(params)
        if "origin" in shown:
            shown["origin"] = self._names.get(str(shown["origin"]), shown["origin"])
        return self._text(code, shown)

    def key(self, key: str | None) -> dict[str, str] | None:
        return None if key is None else {"code": key, "text": self._text(key, {})}

    def _text(self, key: str, params: Mapping[str, Any]) -> str:
        return self._catalogue.text(self._language, key, **params)


@post(
    "/api/v1/objects/preview",
    opt=PEOPLE,
    status_code=200,
    sync_to_thread=True,
    request_max_body_size=LARGEST_BODY,
)
def preview_objects(
    body: bytes, asker: Asker, intel: Intel, catalogue: Catalogue, audience: str = "", tlp: str = ""
) -> dict[str, Any]:
    """Who would see each object of the bundle in the body, and why; what would be refused."""
    plan = intel.preview(asker.principal, body, audience=audience.split(","), tlp=_tlp(tlp))
    return plan_json(plan, Words(asker, catalogue, intel.names()))


@post(
    "/api/v1/objects/publish",
    opt=PEOPLE,
    status_code=200,
    sync_to_thread=True,
    request_max_body_size=LARGEST_BODY,
)
def publish_objects(
    body: bytes,
    asker: Asker,
    intel: Intel,
    catalogue: Catalogue,
    audience: str = "",
    tlp: str = "",
    purpose: str = "",
) -> dict[str, Any]:
    """Publish the bundle in the body to members named by id or name, or to ``region``."""
    plan = intel.publish(
        asker.principal, body, audience=audience.split(","), tlp=_tlp(tlp), purpose=purpose[:200]
    )
    return plan_json(plan, Words(asker, catalogue, intel.names()))


@post(
    "/api/v1/objects/import",
    opt=PEOPLE,
    status_code=200,
    sync_to_thread=True,
    request_max_body_size=LARGEST_BODY,
)
def import_objects(
    body: bytes, asker: Asker, intel: Intel, catalogue: Catalogue, tlp: str = ""
) -> dict[str, Any]:
    """Keep the bundle in the body for this node alone."""
    plan = intel.import_bundle(asker.principal, body, tlp=_tlp(tlp))
    return plan_json(plan, Words(asker, catalogue, intel.names()))


@get("/api/v1/objects", opt=PEOPLE, sync_to_thread=True)
def list_objects(
    asker: Asker,
    intel: Intel,
    catalogue: Catalogue,
    q: str = "",
    kind: Annotated[str, Parameter(query="type")] = "",
    tlp: str = "",
    origin: str = "",
    object_state: Annotated[str, Parameter(query="state")] = "",
    cursor: int | None = None,
    limit: int = 50,
) -> dict[str, Any]:
    """Search objects, newest arrival first. ``state``: live, expired, revoked, retracted, superseded."""
    found = intel.search(
        asker.principal,
        query=q,
        type=kind,
        tlp=_tlp(tlp),
        origin=origin,
        state=_state(object_state),
        cursor=cursor,
        limit=limit,
    )
    seen = intel.sightings_of(asker.principal, [one.id for one in found.items])
    return page_json(found, seen, Words(asker, catalogue, intel.names()), intel.now())


@get("/api/v1/objects/{object_id:str}", opt=PEOPLE, sync_to_thread=True)
def show_object(object_id: str, asker: Asker, intel: Intel, catalogue: Catalogue) -> dict[str, Any]:
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


@get("/api/v1/objects/{object_id:str}/raw", opt=PEOPLE, sync_to_thread=True)
def show_raw(object_id: str, asker: Asker, intel: Intel) -> Response[bytes]:
    """The bytes of an object as its origin wrote them."""
    return Response(
        intel.raw(asker.principal, object_id),
        media_type="application/stix+json;version=2.1",
        headers={"Content-Disposition": "attachment"},
    )


@get("/api/v1/objects/{object_id:str}/sightings", opt=PEOPLE, sync_to_thread=True)
def show_sightings(object_id: str, asker: Asker, intel: Intel, catalogue: Catalogue) -> dict[str, Any]:
    """Who saw the object, since when, how often."""
    words = Words(asker, catalogue, intel.names())
    found = intel.sightings(asker.principal, object_id)
    return {
        "items": [sighting_json(one, words) for one in found],
        "next": None,
        "total": len(found),
        **_summary(found),
    }


@get("/api/v1/objects/{object_id:str}/recipients", opt=PEOPLE, sync_to_thread=True)
def show_recipients(object_id: str, asker: Asker, intel: Intel, catalogue: Catalogue) -> dict[str, Any]:
    """To whom the object was sent, and who has acknowledged it and its retraction."""
    words = Words(asker, catalogue, intel.names())
    found = intel.recipients(asker.principal, object_id)
    return {"items": [recipient_json(one, words) for one in found], "next": None, "total": len(found)}


@post("/api/v1/objects/{object_id:str}/retract", opt=PEOPLE, status_code=200, sync_to_thread=True)
def retract_object(
    object_id: str, data: RetractRequest, asker: Asker, intel: Intel, catalogue: Catalogue
) -> dict[str, Any]:
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


# --- what goes out ------------------------------------------------------------------------------


def plan_json(plan: Plan, words: Words) -> dict[str, Any]:
    """A publication, planned or done."""
    items = [planned_json(one, words) for one in plan.items]
    problems = [problem_json(one, words) for one in plan.problems]
    counts = {str(outcome): plan.count(outcome) for outcome in Outcome}
    counts["refused"] += len({one.index for one in plan.problems})
    return {
        "counts": counts,
        "audience": [words.member(one) for one in sorted(plan.audience)],
        "items": items,
        "problems": problems,
    }


def planned_json(item: Planned, words: Words) -> dict[str, Any]:
    """One object of a publication: its verdict for each member, with reasons."""
    pattern = item.object.pattern
    return {
        "id": item.object.id,
        "type": item.object.type,
        "name": item.object.name,
        "tlp": item.tlp.label,
        "pap": item.pap.label if item.pap is not None else None,
        "outcome": str(item.outcome),
        "sequence": item.sequence or None,
        "problem": {"code": item.refusal, "text": words.problem(item.refusal, item.params)}
        if item.refusal
        else None,
        "sees": [
            {
                "member": words.member(one.member),
                "allowed": one.allowed,
                "reasons": [
                    words.reason(why)
                    for why in ([item.withheld[one.member]] if one.member in item.withheld else one.reasons)
                ],
            }
            for one in item.verdicts
        ],
        "not_detected": words.key(pattern.not_detected) if pattern else None,
    }


def problem_json(problem: Problem, words: Words) -> dict[str, Any]:
    """Something of a bundle that could not be read."""
    return {
        "index": problem.index,
        "id": problem.id,
        "path": problem.path,
        "code": problem.code,
        "text": words.problem(problem.code, problem.params),
    }


def page_json(
    found: ObjectPage, seen: Mapping[str, Sequence[Sighting]], words: Words, now: datetime
) -> dict[str, Any]:
    """A page of a search."""
    return {
        "items": [object_json(one, seen.get(one.id, ()), words, now) for one in found.items],
        "next": None if found.next is None else str(found.next),
        "total": found.total,
    }


def object_json(one: StoredObject, seen: Sequence[Sighting], words: Words, now: datetime) -> dict[str, Any]:
    """One version of an object without its bytes."""
    taken = one.retraction
    return {
        "id": one.id,
        "type": one.type,
        "name": one.name,
        "tlp": one.tlp.label,
        "pap": one.pap.label if one.pap is not None else None,
        "state": str(one.state(now)),
        "origin": words.member(one.origin),
        "sequence": one.sequence,
        "audience": [words.member(member) for member in one.audience],
        "created": _time(one.created),
        "modified": _time(one.modified),
        "received": _time(one.received),
        "valid_until": _time(one.valid_until),
        "terms": [{"kind": term.kind, "value": term.value} for term in one.terms],
        "not_detected": words.key(one.not_detected),
        "sightings": _summary(seen),
        "retraction": None
        if taken is None
        else {
            "reason": str(taken.reason),
            "note": taken.note,
            "sequence": taken.by_sequence,
            "received": _time(taken.received),
        },
    }


def provenance_json(one: Provenance, words: Words) -> dict[str, Any]:
    """Where a version comes from; ``commitment`` and ``envelope`` are hexadecimal."""
    return {
        "origin": words.member(one.origin),
        "sequence": one.sequence,
        "commitment": one.commitment,
        "envelope": one.envelope,
        "created": _time(one.created),
        "received": _time(one.received),
        "audience": [words.member(member) for member in one.audience],
    }


def sighting_json(one: Sighting, words: Words) -> dict[str, Any]:
    """What one member says that it saw."""
    return {
        "id": one.id,
        "member": words.member(one.origin),
        "first_seen": _time(one.first_seen),
        "last_seen": _time(one.last_seen),
        "count": one.count,
        "received": _time(one.received),
    }


def recipient_json(one: Recipient, words: Words) -> dict[str, Any]:
    """A member that the object went to."""
    return {
        "member": words.member(one.member),
        "sequence": one.sequence,
        "acknowledged": _time(one.acknowledged),
        "retraction": None
        if one.retraction is None
        else {"sequence": one.retraction, "acknowledged": _time(one.acknowledged_retraction)},
    }


def _summary(seen: Sequence[Sighting]) -> dict[str, Any]:
    firsts = [one.first_seen for one in seen if one.first_seen]
    lasts = [one.last_seen for one in seen if one.last_seen]
    return {
        "count": sum(one.count for one in seen),
        "members": len({one.origin for one in seen}),
        "first_seen": _time(min(firsts, default=None)),
        "last_seen": _time(max(lasts, default=None)),
    }


def _time(instant: datetime | None) -> str | None:
    return None if instant is None else instants.format(instant)


def _tlp(text: str) -> Tlp | None:
    if not text.strip():
        return None
    found = Tlp.read(text)
    if found is None:
        raise InvalidInput("intel.unknown_tlp", tlp=text[:40])
    return found


def _state(text: str) -> State | None:
    if not text:
        return None
    if text not in list(State):
        raise InvalidInput("intel.unknown_state", state=text[:40])
    return State(text)


def read_reason(text: str) -> RetractionReason:
    """The reason that a word names. Raises InvalidInput("intel.unknown_reason")."""
    if text not in list(RetractionReason):
        raise InvalidInput("intel.unknown_reason", reason=text[:40])
    return RetractionReason(text)
