"""Publishing in the console, in three steps: what to send, who will see it and why, confirm."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from litestar import Request, Response, get, post

from istmo.clock import Clock
from istmo.errors import InvalidInput, IstmoError, TooLarge
from istmo.intel.objects import Outcome, Plan, Planned
from istmo.intel.pasting import bundle_of, read_pasted
from istmo.intel.service import REGION, Intel
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, SentWithFile, one, several, upload
from istmo.kit.pages import back_to, faces_of, page, told
from istmo.model.markings import Tlp

LIMIT = 4 << 20
"""Bytes of a bundle that the console takes; more goes by ``istmo publish`` or the API."""

_BODY = 2 * LIMIT
_SHOWN = 100
_LEVELS = tuple(level.label.removeprefix("TLP:") for level in Tlp)


@get("/publish", opt=PEOPLE, sync_to_thread=True)
def publish_page(request: Request[Any, Any, Any], intel: Intel) -> Response[Any]:
    """The first step: what to send, how it is marked, to whom."""
    form = Form({"what": "values", "tlp": "AMBER", "audience": [REGION]})
    return _first_step(request, intel, form)


@post("/publish/preview", opt=PEOPLE, sync_to_thread=True, status_code=200, request_max_body_size=_BODY)
def publish_preview(
    request: Request[Any, Any, Any], data: SentWithFile, asker: Asker, intel: Intel, clock: Clock
) -> Response[Any]:
    """The second step: who will see each object and why, what stays behind. Nothing is written yet."""
    form = _typed(data)
    bundle = _bundle(request, form, data, asker, clock)
    if not form.values["audience"]:
        form.problems["audience"] = _say(request, asker, "console.publish.nobody_chosen")
    if form.values["tlp"] not in _LEVELS:
        form.problems["tlp"] = _say(request, asker, "console.publish.choose_tlp")
    if form.problems:
        return _first_step(request, intel, form)
    try:
        plan = intel.preview(
            asker.principal, bundle, audience=form.values["audience"], tlp=Tlp.read(form.values["tlp"])
        )
    except IstmoError as error:
        if error.status in (401, 403):
            raise
        form.general, form.remedy = told(request, error)
        return _first_step(request, intel, form)
    return page(
        request,
        "intel/publish_preview.html",
        form=form,
        plan=plan,
        sent=base64.b64encode(bundle).decode("ascii"),
        **_of_plan(plan, intel),
    )


@post("/publish", opt=PEOPLE, sync_to_thread=True, status_code=200, request_max_body_size=_BODY)
def publish(request: Request[Any, Any, Any], data: SentWithFile, asker: Asker, intel: Intel) -> Response[Any]:
    """The third step: exactly the bytes that were previewed are published."""
    form = _typed(data)
    try:
        bundle = base64.b64decode(one(data, "sent", longest=_BODY), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput("console.publish_damaged") from None
    try:
        plan = intel.publish(
            asker.principal, bundle, audience=form.values["audience"], tlp=Tlp.read(form.values["tlp"])
        )
    except IstmoError as error:
        if error.status in (401, 403):
            raise
        form.general, form.remedy = told(request, error)
        return _first_step(request, intel, form)
    sent = [item for item in plan.items if item.outcome is Outcome.PUBLISH]
    if len(sent) == 1 and len(plan.items) == 1 and not plan.problems:
        return back_to(request, f"/objects/{sent[0].object.id}", notice="console.notice.published", n=1)
    return page(request, "intel/publish_done.html", plan=plan, **_of_plan(plan, intel))


def _typed(data: Mapping[str, Any]) -> Form:
    return Form(
        {
            "what": one(data, "what") or "values",
            "values": one(data, "values", longest=LIMIT),
            "name": one(data, "name", longest=200),
            "stix": one(data, "stix", longest=LIMIT),
            "tlp": one(data, "tlp"),
            "audience": several(data, "audience"),
        }
    )


def _bundle(
    request: Request[Any, Any, Any], form: Form, data: Mapping[str, Any], asker: Asker, clock: Clock
) -> bytes:
    """The bundle that was pasted, uploaded or listed; a problem beside the field otherwise."""
    what = form.values["what"]
    if what == "values":
        pasted = read_pasted(form.values["values"])
        if pasted.unreadable:
            lines = "; ".join(f"{number}: {text}" for number, text in pasted.unreadable[:5])
            form.problems["values"] = _say(
                request, asker, "console.publish.unreadable", n=len(pasted.unreadable), lines=lines
            )
        elif not pasted.values:
            form.problems["values"] = _say(request, asker, "console.publish.no_values")
        return bundle_of(pasted, name=form.values["name"], now=clock.now())
    bundle: bytes = upload(data, "file") if what == "file" else form.values["stix"].encode("utf-8")
    if not bundle:
        form.problems[what] = _say(request, asker, "console.publish.nothing_sent")
    elif len(bundle) > LIMIT:
        form.problems[what] = " ".join(
            told(request, TooLarge("console.publish_too_large", limit=LIMIT >> 20))
        )
    return bundle


def _first_step(request: Request[Any, Any, Any], intel: Intel, form: Form) -> Response[Any]:
    others = {id: name for id, name in intel.names().items() if id != intel.member}
    return page(request, "intel/publish.html", form=form, others=others, levels=_LEVELS, region=REGION)


def _of_plan(plan: Plan, intel: Intel) -> dict[str, Any]:
    """What both pages about a plan show: its verdicts once, its items up to a limit, and the rest counted."""
    going = [item for item in plan.items if item.outcome is Outcome.PUBLISH]
    groups: dict[str, list[Planned]] = {}
    for item in going:
        groups.setdefault(repr((item.tlp, item.verdicts)), []).append(item)
    return {
        "groups": [(items[0].tlp, items[0].verdicts, items) for items in groups.values()],
        "going": len(going),
        "already": plan.count(Outcome.ALREADY),
        "staying": [item for item in plan.items if item.outcome is Outcome.REFUSED][:_SHOWN],
        "refused": plan.count(Outcome.REFUSED),
        "problems": plan.problems[:_SHOWN],
        "unread": len(plan.problems),
        "members": intel.names(),
        "shown": _SHOWN,
    }


def _say(request: Request[Any, Any, Any], asker: Asker, key: str, /, **params: Any) -> str:
    return faces_of(request).catalogue.text(asker.language, key, **params)


routes = [publish_page, publish_preview, publish]
