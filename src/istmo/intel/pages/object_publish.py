"""Publishing in the console, in three steps: what to send, who will see it and why, confirm."""

from __future__ import annotations

import json
from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler

from istmo.clock import Clock
from istmo.errors import InvalidInput, IstmoError, Unavailable
from istmo.intel.composing import key_of, part_of, read_links
from istmo.intel.objects import Outcome, Plan, Planned
from istmo.intel.pages.names_shown import names_shown
from istmo.intel.pages.publish_forms import (
    KEPT,
    LEVELS,
    LIMIT,
    PATHS,
    bundle_of_form,
    check_ways,
    keep_bundle,
    sent_bundle,
    typed,
)
from istmo.intel.past import indicators_in
from istmo.intel.pasting import indicator_of
from istmo.intel.service import REGION, Intel
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, SentWithFile, one, several
from istmo.kit.pages import back_to, faces_of, page, told
from istmo.model.markings import Tlp
from istmo.model.stix import StixObject, parse_bundle
from istmo.policy import Action
from istmo.settings import Settings

_BODY: Final = 2 * LIMIT
_SHOWN: Final = 100
_CHECKED: Final = 200
"""Words of a list that are told one by one."""

LookingBack = Any
"""``intel.past.PastMatching``: a function of another room; the framework would refuse to check its type."""


def _opening(what: str, path: str) -> HTTPRouteHandler:
    """The first step of one kind of publication."""

    @get(path, opt=PEOPLE, sync_to_thread=True)
    def publish_page(request: Request[Any, Any, Any], asker: Asker, intel: Intel) -> Response[Any]:
        """What to send, how it is marked, to whom."""
        intel.require_publishing(asker.principal)
        links = request.query_params.get("object", "")[:300] if what == "report" else ""
        return _first_step(
            request, intel, typed({"what": what, "tlp": "AMBER", "audience": [REGION], "links": links})
        )

    return publish_page


@post("/publish/edit", opt=PEOPLE, sync_to_thread=True, status_code=200, request_max_body_size=_BODY)
def publish_edit(
    request: Request[Any, Any, Any], data: SentWithFile, asker: Asker, intel: Intel
) -> Response[Any]:
    """Back to the first step, with everything as it was typed."""
    intel.require_publishing(asker.principal)
    return _first_step(request, intel, typed(data))


@post("/publish/check", opt=PEOPLE, sync_to_thread=True, status_code=200, request_max_body_size=_BODY)
def publish_check(
    request: Request[Any, Any, Any], data: Sent, asker: Asker, intel: Intel, clock: Clock, settings: Settings
) -> Response[Any]:
    """What was typed so far, as it will be read: a piece of a page. Nothing is kept."""
    form = typed(data)
    return page(request, "intel/publish_checked.html", **_checked(form, asker, intel, clock, settings))


@post("/publish/preview", opt=PEOPLE, sync_to_thread=True, status_code=200, request_max_body_size=_BODY)
def publish_preview(
    request: Request[Any, Any, Any],
    data: SentWithFile,
    asker: Asker,
    intel: Intel,
    clock: Clock,
    settings: Settings,
    past: LookingBack,
) -> Response[Any]:
    """The second step: who will see each object and why, what stays behind. Nothing is written yet."""
    form = typed(data)
    again = one(data, "again")
    bundle = sent_bundle(form) if again else None
    if bundle is None:
        bundle = bundle_of_form(request, form, data, asker, clock.now())
    check_ways(request, form, asker)
    if form.problems:
        return _first_step(request, intel, form, _checked(form, asker, intel, clock, settings))
    left_out = _left_out(data) if again else frozenset()
    return _second_step(
        request, asker, intel, clock, settings, form, bundle, left_out, past if again == "past" else None
    )


@post("/publish/past", opt=PEOPLE, sync_to_thread=True, status_code=200, request_max_body_size=_BODY)
def publish_past(
    request: Request[Any, Any, Any], data: SentWithFile, asker: Asker, settings: Settings, past: LookingBack
) -> Response[Any]:
    """What would have been seen here: a piece of the preview, which takes a few seconds."""
    bundle = sent_bundle(typed(data))
    if bundle is None:
        raise InvalidInput("console.publish_damaged")
    left_out = _left_out(data)
    if left_out:
        bundle = part_of(bundle, settings.limits, lambda key: key not in left_out)
    looked = _look_back(request, asker, bundle, settings, past)
    names = {item.id: item.name for item in parse_bundle(bundle, settings.limits).objects}
    return page(request, "intel/publish_past.html", names=names, shown=_SHOWN, **looked)


@post("/publish", opt=PEOPLE, sync_to_thread=True, status_code=200, request_max_body_size=_BODY)
def publish(
    request: Request[Any, Any, Any],
    data: SentWithFile,
    asker: Asker,
    intel: Intel,
    clock: Clock,
    settings: Settings,
) -> Response[Any]:
    """The third step: exactly the bytes of the preview are published, of a file those chosen, to exactly
    the members that it showed. Where they are others by now it comes again and says who.
    """
    form = typed(data)
    bundle = sent_bundle(form)
    if bundle is None:
        raise InvalidInput("console.publish_damaged")
    left_out = _left_out(data)
    try:
        plan = intel.publish(
            asker.principal,
            part_of(bundle, settings.limits, lambda key: key not in left_out) if left_out else bundle,
            audience=form.values["audience"],
            tlp=Tlp.read(form.values["tlp"]),
            seen=one(data, "promised", longest=_BODY).split(),
        )
    except IstmoError as error:
        if error.status in (401, 403):
            raise
        if error.code == "intel.not_as_shown":
            shown_to = frozenset(one(data, "shown_to", longest=_BODY).split())
            return _second_step(
                request, asker, intel, clock, settings, form, bundle, left_out, shown_to=shown_to
            )
        form.general, form.remedy = told(request, error)
        return _first_step(request, intel, form)
    sent = [item for item in plan.items if item.outcome is Outcome.PUBLISH]
    if len(sent) == 1 and len(plan.items) == 1 and not plan.problems:
        return back_to(request, f"/objects/{sent[0].object.id}", notice="console.notice.published", n=1)
    return page(
        request,
        "intel/publish_done.html",
        plan=plan,
        here="/publish",
        **_of_plan(plan, intel),
        **names_shown(request, asker),
    )


def _second_step(
    request: Request[Any, Any, Any],
    asker: Asker,
    intel: Intel,
    clock: Clock,
    settings: Settings,
    form: Form,
    bundle: bytes,
    left_out: frozenset[str],
    past: LookingBack | None = None,
    *,
    shown_to: frozenset[str] | None = None,
) -> Response[Any]:
    """Who will see what; where it is another's turn by now than ``shown_to``, that it changed, and who."""
    going = part_of(bundle, settings.limits, lambda key: key not in left_out) if left_out else bundle
    try:
        plan = intel.preview(
            asker.principal, going, audience=form.values["audience"], tlp=Tlp.read(form.values["tlp"])
        )
    except IstmoError as error:
        if error.status in (401, 403):
            raise
        form.general, form.remedy = told(request, error)
        return _first_step(request, intel, form, _checked(form, asker, intel, clock, settings))
    keep_bundle(form, bundle)
    readers = frozenset[str]().union(*(item.audience for item in plan.going))
    return page(
        request,
        "intel/publish_preview.html",
        status=200 if shown_to is None else 409,
        form=form,
        plan=plan,
        kept=KEPT,
        promised=" ".join(item.promise for item in plan.going),
        readers=readers,
        is_changed=shown_to is not None,
        joined=readers - shown_to if shown_to is not None else (),
        gone=shown_to - readers if shown_to is not None else (),
        choosing=_choosing(plan, bundle, left_out, settings) if form.values["what"] == "file" else (),
        may_look=_may_look(request, asker),
        here=PATHS[form.values["what"]],
        names=_names_in(plan),
        is_warning=intel.is_warning(),
        **names_shown(request, asker),
        **_of_plan(plan, intel),
        **(_look_back(request, asker, going, settings, past) if past else {"past": None}),
    )


def _left_out(data: dict[str, Any]) -> frozenset[str]:
    """What was listed with a box that is not ticked. What was not listed goes."""
    listed = one(data, "listed").splitlines()
    return frozenset(listed) - frozenset(several(data, "go"))


def _choosing(
    plan: Plan, bundle: bytes, left_out: frozenset[str], settings: Settings
) -> list[tuple[str, StixObject, Planned | None]]:
    """The objects of a file with their keys, and what is planned for each (None: left out by choice)."""
    planned = {key_of(item.object): item for item in plan.items}
    found = [(key_of(item), item) for item in parse_bundle(bundle, settings.limits).objects]
    return [(key, item, planned.get(key)) for key, item in found if key in planned or key in left_out][
        :_CHECKED
    ]


def _first_step(
    request: Request[Any, Any, Any], intel: Intel, form: Form, checked: dict[str, Any] | None = None
) -> Response[Any]:
    others = {id: name for id, name in intel.names().items() if id != intel.member}
    return page(
        request,
        "intel/publish.html",
        form=form,
        others=others,
        levels=LEVELS,
        region=REGION,
        here=PATHS[form.values["what"]],
        checked=checked,
        is_warning=intel.is_warning(),
    )


def _checked(form: Form, asker: Asker, intel: Intel, clock: Clock, settings: Settings) -> dict[str, Any]:
    """What there is to say of what was typed so far."""
    what = form.values["what"]
    words = intel.check(asker.principal, form.values["values"] if what in ("values", "report") else "")
    found: dict[str, Any] = {
        "words": words[:_CHECKED],
        "left": max(0, len(words) - _CHECKED),
        "good": sum(one.term is not None and not one.is_repeated for one in words),
        "bad": sum(one.term is None for one in words),
        "linked": [],
        "pattern": None,
        "problems": (),
    }
    if what == "report":
        found["linked"] = _linked(form, asker, intel)
    if what == "pattern" and form.values["pattern"]:
        made = json.dumps(indicator_of("x", form.values["pattern"], clock.now())).encode()
        try:
            found["pattern"] = StixObject.parse(made, settings.limits).pattern
        except InvalidInput as error:
            found["problems"] = error.params["problems"]
    return found


def _linked(form: Form, asker: Asker, intel: Intel) -> list[tuple[str, str]]:
    """The objects that a report is about with their names; an empty one where nothing is known here."""
    ids, _ = read_links(form.values["links"])
    found = []
    for id in ids[:50]:
        try:
            found.append((id, intel.read(asker.principal, id)[0].name or id))
        except IstmoError:
            found.append((id, ""))
    return found


def _look_back(
    request: Request[Any, Any, Any], asker: Asker, bundle: bytes, settings: Settings, past: LookingBack
) -> dict[str, Any]:
    """What would have been seen; where that cannot be told, why. It keeps nobody from publishing."""
    try:
        return {"past": past(asker.principal, indicators_in(parse_bundle(bundle, settings.limits)))}
    except Unavailable as error:
        return {"past": None, "past_problem": " ".join(told(request, error))}


def _may_look(request: Request[Any, Any, Any], asker: Asker) -> bool:
    return faces_of(request).may(asker.principal, Action.EVENT_SEARCH)


def _names_in(plan: Plan) -> dict[str, str]:
    return {item.object.id: item.object.name for item in plan.items}


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


routes = [
    *(_opening(what, path) for what, path in PATHS.items()),
    publish_edit,
    publish_check,
    publish_preview,
    publish_past,
    publish,
]
