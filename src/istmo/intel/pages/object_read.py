"""Objects in the console: search, one object, and taking one back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from litestar import Request, Response, get, post

from istmo.clock import Clock
from istmo.errors import IstmoError
from istmo.intel.objects import RetractionReason, State, StoredObject
from istmo.intel.service import Intel
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, one
from istmo.kit.pages import back_to, faces_of, page, told
from istmo.model.markings import Tlp
from istmo.policy.actions import Action
from istmo.policy.decisions import Context, Resource, Verdict, who_will_see
from istmo.settings import Settings

Watching = Any
"""``(indicator id) -> Watch``: what detection makes of an indicator.

A function of another room, given by name; the framework would refuse to check its type.
"""


class Watch(Protocol):
    """``state``: ``live``, ``waiting``, ``stopping`` or ``off``; and why its hunt did not see everything."""

    @property
    def state(self) -> str: ...

    @property
    def hunt_problem(self) -> str | None: ...

    @property
    def level(self) -> str: ...

    @property
    def warned(self) -> Mapping[str, tuple[str, ...]]: ...


ROWS = 50
SHOWN_BYTES = 20_000
FILTERS = ("q", "type", "tlp", "origin", "state")
TYPES = (
    "indicator",
    "malware",
    "threat-actor",
    "intrusion-set",
    "campaign",
    "attack-pattern",
    "tool",
    "vulnerability",
    "infrastructure",
    "identity",
    "report",
    "course-of-action",
    "relationship",
    "sighting",
)
"""Offered as a filter, and named in words; other types are shown by their STIX name."""


@get("/objects", opt=PEOPLE, sync_to_thread=True)
def object_list(request: Request[Any, Any, Any], asker: Asker, intel: Intel, clock: Clock) -> Response[Any]:
    """Search and filters; everything is in the address."""
    chosen = {name: request.query_params.get(name, "")[:200] for name in FILTERS}
    cursor = request.query_params.get("cursor", "")
    found = intel.search(
        asker.principal,
        query=chosen["q"],
        type=chosen["type"],
        tlp=Tlp.read(chosen["tlp"]) if chosen["tlp"] else None,
        origin=chosen["origin"],
        state=State(chosen["state"]) if chosen["state"] in set(State) else None,
        cursor=int(cursor) if cursor.isascii() and cursor.isdecimal() and len(cursor) < 18 else None,
        limit=ROWS,
    )
    return page(
        request,
        "intel/objects.html",
        found=found,
        chosen=chosen,
        is_filtered=any(chosen.values()),
        is_first=not cursor,
        members=intel.names(),
        seen=intel.sightings_of(asker.principal, [one.id for one in found.items]),
        types=TYPES,
        states=[str(state) for state in State],
        levels=[level.label.removeprefix("TLP:") for level in Tlp],
        now=clock.now(),
    )


@get("/objects/{id:str}", opt=PEOPLE, sync_to_thread=True)
def object_page(
    request: Request[Any, Any, Any],
    id: str,
    asker: Asker,
    intel: Intel,
    settings: Settings,
    clock: Clock,
    watching: Watching,
) -> Response[Any]:
    """One object: what it says, where it comes from, who sees it and why, who has it, who saw it."""
    return _object_page(
        request, id, asker, intel, settings, clock, watching, Form({"reason": "", "note": ""})
    )


@post("/objects/{id:str}/retract", opt=PEOPLE, sync_to_thread=True)
def object_retract(
    request: Request[Any, Any, Any],
    id: str,
    data: Sent,
    asker: Asker,
    intel: Intel,
    settings: Settings,
    clock: Clock,
    watching: Watching,
) -> Response[Any]:
    """Take an own object back; the form comes again with what was typed when that cannot be."""
    form = Form({"reason": one(data, "reason"), "note": one(data, "note", longest=20_000)})
    faces = faces_of(request)
    if form.values["reason"] not in set(RetractionReason):
        form.problems["reason"] = faces.catalogue.text(asker.language, "console.retract.choose_reason")
        return _object_page(request, id, asker, intel, settings, clock, watching, form)
    try:
        reason = RetractionReason(form.values["reason"])
        intel.retract(asker.principal, id, reason=reason, note=form.values["note"])
    except IstmoError as error:
        if error.status in (401, 403, 404):
            raise
        form.general, form.remedy = told(request, error)
        return _object_page(request, id, asker, intel, settings, clock, watching, form)
    return back_to(request, f"/objects/{id}", notice="console.notice.retracted")


def _object_page(
    request: Request[Any, Any, Any],
    id: str,
    asker: Asker,
    intel: Intel,
    settings: Settings,
    clock: Clock,
    watching: Callable[[str], Watch],
    form: Form,
) -> Response[Any]:
    versions = intel.read(asker.principal, id)
    shown = versions[0]
    raw = intel.raw(asker.principal, id)
    return page(
        request,
        "intel/object.html",
        form=form,
        object=shown,
        versions=versions,
        provenance=intel.provenance(asker.principal, id)[0],
        sightings=intel.sightings(asker.principal, id),
        recipients=intel.recipients(asker.principal, id),
        members=intel.names(),
        verdicts=_verdicts(shown, intel, settings, clock),
        said=_said(raw),
        raw=raw[:SHOWN_BYTES].decode("utf-8", "replace"),
        is_cut=len(raw) > SHOWN_BYTES,
        state=str(shown.state(clock.now())),
        reasons=[str(reason) for reason in RetractionReason],
        types=TYPES,
        watching=watching(shown.id),
        may_retract=shown.origin == intel.member
        and shown.retraction is None
        and faces_of(request).may(asker.principal, Action.OBJECT_RETRACT),
    )


def _verdicts(shown: StoredObject, intel: Intel, settings: Settings, clock: Clock) -> tuple[Verdict, ...]:
    members = frozenset(intel.names()) | {intel.member}
    context = Context(intel.member, members, settings.space, clock.now())
    resource = Resource("object", shown.origin, frozenset(shown.audience), shown.tlp, settings.space)
    return who_will_see(resource, context)


def _said(raw: bytes) -> dict[str, str]:
    """The parts of an object that are prose or a pattern, for the page; the rest stands in its bytes."""
    try:
        data = json.loads(raw)
    except ValueError:
        return {}
    if not isinstance(data, dict):
        return {}
    wanted = ("description", "pattern", "value", "explanation")
    return {name: data[name][:5_000] for name in wanted if isinstance(data.get(name), str)}


routes = [object_list, object_page, object_retract]
