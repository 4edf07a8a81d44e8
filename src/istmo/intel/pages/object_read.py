"""One object in the console, how its versions differ, and taking it back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from litestar import Request, Response, get, post

from istmo.clock import Clock
from istmo.errors import IstmoError
from istmo.intel.exploring import MOST_CHANGES
from istmo.intel.objects import RetractionReason, StoredObject
from istmo.intel.pages.names_shown import names_shown
from istmo.intel.pages.neighbourhood_drawn import MOST_DRAWN
from istmo.intel.pages.object_drawn import draw_near, draw_seen, relation_in_words
from istmo.intel.service import Intel
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, one
from istmo.kit.pages import Speaker, back_to, faces_of, page, told
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


SHOWN_BYTES = 20_000
SHOWN_VERSIONS = 50


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
    form = Form({"reason": one(data, "reason"), "note": one(data, "note")})
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
    near = intel.neighbourhood(asker.principal, id)
    sightings = intel.sightings(asker.principal, id)
    faces = faces_of(request)
    say = Speaker(faces.catalogue, asker.language, asker.zone, clock, faces.names)
    return page(
        request,
        "intel/object.html",
        form=form,
        json_path=f"/api/v1/objects/{quote(id, safe='')}",
        near=near,
        drawn=draw_near(shown, near, sightings, say, intel.names()),
        seen_drawn=draw_seen(sightings, say, intel.names()),
        entries=[(one, f"{one.sequence}@{one.origin}") for one in versions[:SHOWN_VERSIONS]],
        object=shown,
        versions=versions,
        provenance=intel.provenance(asker.principal, id)[0],
        sightings=sightings,
        recipients=intel.recipients(asker.principal, id),
        members=intel.names(),
        verdicts=_verdicts(shown, intel, settings, clock),
        said=_said(raw),
        raw=raw[:SHOWN_BYTES].decode("utf-8", "replace"),
        is_cut=len(raw) > SHOWN_BYTES,
        state=str(shown.state(clock.now())),
        reasons=[str(reason) for reason in RetractionReason],
        watching=watching(shown.id),
        most_drawn=MOST_DRAWN,
        relation_of=lambda one: relation_in_words(one, say),
        own_member=intel.member,
        may_have_alerts=faces.may(asker.principal, Action.ALERT_READ)
        and (shown.is_watched_for or any(one.origin == intel.member for one in sightings)),
        **names_shown(request, asker),
        may_retract=shown.origin == intel.member
        and shown.retraction is None
        and faces.may(asker.principal, Action.OBJECT_RETRACT),
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


@get("/objects/{id:str}/compare", opt=PEOPLE, sync_to_thread=True)
def object_compare(request: Request[Any, Any, Any], id: str, asker: Asker, intel: Intel) -> Response[Any]:
    """What changed between two versions of an object."""
    named = [request.query_params.get(name, "")[:200] for name in ("before", "after")]
    before, after, changes = intel.compare(asker.principal, id, *named)
    asked = urlencode(dict(zip(("before", "after"), named, strict=True)))
    return page(
        request,
        "intel/object_compare.html",
        object=after,
        before=before,
        after=after,
        changes=changes,
        members=intel.names(),
        is_cut=len(changes) >= MOST_CHANGES,
        here="/objects",
        json_path=f"/api/v1/objects/{quote(id, safe='')}/compare?{asked}",
        **names_shown(request, asker),
    )


routes = [object_page, object_retract, object_compare]
