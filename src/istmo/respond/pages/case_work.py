"""Working on a case: opening one, adding a note, a task, an alert, an object, changing where it stands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from litestar import Request, Response, get, post

from istmo.errors import InvalidInput, IstmoError
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, one, several
from istmo.kit.pages import Undo, asker_of, back_to, faces_of, page, told
from istmo.model.markings import Tlp
from istmo.model.values import refang
from istmo.respond.objects import Case, quoted_id
from istmo.respond.pages.case_read import SEVERITIES, STATUSES, owner_text, show_case
from istmo.respond.service import Respond

MOST_FOUND: Final = 20
LEVELS = tuple(level.label.removeprefix("TLP:") for level in Tlp)


@get("/cases/new", opt=PEOPLE, sync_to_thread=True)
def case_new(request: Request[Any, Any, Any]) -> Response[Any]:
    """The form for a new case."""
    form = Form({"severity": "medium", "tlp": "AMBER", "alert": request.query_params.get("alert", "")[:200]})
    return _new(request, form)


@post("/cases", opt=PEOPLE, sync_to_thread=True)
def case_open(request: Request[Any, Any, Any], data: Sent, asker: Asker, respond: Respond) -> Response[Any]:
    """Open a case, from an alert or from nothing."""
    form = Form({name: one(data, name) for name in ("title", "severity", "tlp", "note", "alert")})
    values = form.values
    try:
        case = respond.open_case(
            asker.principal,
            values["title"],
            severity=values["severity"],
            tlp=Tlp.read(values["tlp"]) or Tlp.AMBER,
            note=values["note"],
            alert=values["alert"],
        )
    except IstmoError as error:
        if error.status in (401, 403, 404):
            raise
        form.general, form.remedy = told(request, error)
        return _new(request, form)
    return back_to(request, f"/cases/{case.id}", notice="console.notice.case_opened")


@post("/cases/{id:str}/entries", opt=PEOPLE, sync_to_thread=True)
def case_add(
    request: Request[Any, Any, Any],
    id: str,
    data: Sent,
    asker: Asker,
    respond: Respond,
    names: dict[str, str],
    own_member: str,
) -> Response[Any]:
    """Add one entry; which one, the field ``kind`` says. What was typed stays when it cannot be added."""
    kind, value = one(data, "kind"), one(data, "value")
    only_to = several(data, "only_to")[:512] or None
    raise_to = Tlp.read(one(data, "raise_to"))
    adding: dict[str, Callable[[], object]] = {
        "note": lambda: respond.add_note(asker.principal, id, value),
        "task": lambda: respond.add_task(asker.principal, id, value),
        "done": lambda: respond.finish_task(asker.principal, id, value),
        "object": lambda: respond.add_object(asker.principal, id, value, only_to=only_to, raise_to=raise_to),
        "alert": lambda: respond.add_alert(asker.principal, id, value, only_to=only_to, raise_to=raise_to),
        "title": lambda: respond.rename(asker.principal, id, value),
    }
    form = Form({kind: value})
    try:
        if kind not in adding:
            raise InvalidInput("respond.unknown_value", field="kind", value=kind[:80], known=list(adding))
        adding[kind]()
    except IstmoError as error:
        if error.status in (401, 404) or error.code == "respond.not_allowed":
            raise
        form.general, form.remedy = told(request, error)
        if error.code == "respond.not_theirs_to_see":
            _offer_the_rest(form, respond.read(asker.principal, id), kind, value, error)
        if error.code.startswith("respond.raises_marking"):
            raised = {"kind": kind, "value": value, "only_to": only_to or (), "raise_to": error.params["tlp"]}
            form.values["rest"] = raised
        return show_case(request, id, asker, respond, names, own_member, form)
    return back_to(request, f"/cases/{id}", notice="console.notice.case_added")


def _offer_the_rest(form: Form, case: Case, kind: str, value: str, error: IstmoError) -> None:
    """Some members may not see what is to be added: it can go to the others."""
    rest = sorted(case.members - set(error.params["members"]))
    form.values["rest"] = {"kind": kind, "value": value, "only_to": rest, "raise_to": ""}


@get("/cases/{id:str}/add", opt=PEOPLE, sync_to_thread=True)
def case_find(request: Request[Any, Any, Any], id: str, asker: Asker, respond: Respond) -> Response[Any]:
    """What could be added: alerts or objects that have some words."""
    case = respond.read(asker.principal, id)
    query = request.query_params
    kind = "object" if query.get("kind") == "object" else "alert"
    words = refang(query.get("q", "")[:200]).strip()
    find = respond.find_objects if kind == "object" else respond.find_alerts
    return page(
        request,
        "respond/case_find.html",
        json_path=f"/api/v1/{kind}s?{urlencode({'q': words})}",
        case=case,
        kind=kind,
        words=words,
        found=find(asker.principal, words, MOST_FOUND),
        already={quoted_id(entry.body) for entry in case.timeline},
        most=MOST_FOUND,
    )


@post("/cases/{id:str}/state", opt=PEOPLE, sync_to_thread=True)
def case_state(
    request: Request[Any, Any, Any],
    id: str,
    data: Sent,
    asker: Asker,
    respond: Respond,
    names: dict[str, str],
    own_member: str,
) -> Response[Any]:
    """Status, severity and owner in one. Where somebody was faster, both versions are shown."""
    values = _stands(data)
    before = respond.read(asker.principal, id)
    try:
        after = respond.set_state(asker.principal, id, **values, version=one(data, "version"))
    except IstmoError as error:
        if error.code == "respond.state_moved":
            return _show_both(request, id, asker, respond, names, own_member, values)
        if error.status in (401, 404) or error.code == "respond.not_allowed":
            raise
        form = Form(dict(values))
        form.general, form.remedy = told(request, error)
        return show_case(request, id, asker, respond, names, own_member, form)
    undo = Undo(
        f"/cases/{id}/undo",
        {
            "status": before.status.value,
            "severity": before.severity.value,
            "owner": before.owner.value,
            "version": after.version,
        },
    )
    return back_to(request, f"/cases/{id}", notice="console.notice.case_state", undo=undo)


@post("/cases/{id:str}/undo", opt=PEOPLE, sync_to_thread=True)
def case_back(
    request: Request[Any, Any, Any],
    id: str,
    data: Sent,
    asker: Asker,
    respond: Respond,
    names: dict[str, str],
    own_member: str,
) -> Response[Any]:
    """Take a change of where the case stands back; what somebody changed since then stays, and is shown."""
    values = _stands(data)
    try:
        respond.set_state(asker.principal, id, **values, version=one(data, "version"))
    except IstmoError as error:
        if error.code != "respond.state_moved":
            raise
        return _show_both(request, id, asker, respond, names, own_member, values)
    return back_to(request, f"/cases/{id}", notice="console.notice.case_back")


def _stands(data: dict[str, Any]) -> dict[str, str]:
    """Where the case is to stand."""
    return {name: one(data, name) for name in ("status", "severity", "owner")}


def _show_both(
    request: Request[Any, Any, Any],
    id: str,
    asker: Asker,
    respond: Respond,
    names: dict[str, str],
    own_member: str,
    values: dict[str, str],
) -> Response[Any]:
    """The case as somebody else has changed it meanwhile, beside how it was to stand."""
    both = _both(request, respond.read(asker.principal, id), values, names)
    form = Form(dict(values))
    return show_case(request, id, asker, respond, names, own_member, form, status=409, both=both)


def _both(
    request: Request[Any, Any, Any], case: Case, wanted: dict[str, str], names: dict[str, str]
) -> tuple[list[tuple[str, str, str]], str, datetime | None]:
    """Each field as it is now and as it was wanted; who changed one of them last, and when."""
    language, catalogue = asker_of(request).language, faces_of(request).catalogue

    def say(key: str) -> str:
        return catalogue.text(language, key) if key[-1] != "." else ""

    rows = [
        (
            say("console.filter.state"),
            say(f"console.case.status.{case.status.value}"),
            say(f"console.case.status.{wanted['status']}") if wanted["status"] in STATUSES else "",
        ),
        (
            say("console.case.severity"),
            say(f"kit.level.{case.severity.value}"),
            say(f"kit.level.{wanted['severity']}") if wanted["severity"] in SEVERITIES else "",
        ),
        (
            say("console.caseback.owner"),
            owner_text(case.owner.value, names),
            owner_text(wanted["owner"], names),
        ),
    ]
    changes = [one for one in case.timeline if one.kind in ("status", "severity", "owner")]
    if not changes:
        return rows, "", None
    last = max(changes, key=lambda one: one.created)
    return rows, last.author.name or names.get(last.author.node, last.author.node), last.created


def _new(request: Request[Any, Any, Any], form: Form) -> Response[Any]:
    return page(request, "respond/case_new.html", form=form, severities=SEVERITIES, levels=LEVELS)


routes = [case_new, case_open, case_add, case_find, case_state, case_back]
