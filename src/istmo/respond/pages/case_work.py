"""Working on a case: opening one, adding a note, a task, an object, changing where it stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litestar import Request, Response, get, post

from istmo.errors import IstmoError
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, one
from istmo.kit.pages import back_to, page, told
from istmo.model.markings import Tlp
from istmo.respond.pages.case_read import SEVERITIES, show_case
from istmo.respond.service import Respond

LONGEST = 20_000
LEVELS = tuple(level.label.removeprefix("TLP:") for level in Tlp)


@get("/cases/new", opt=PEOPLE, sync_to_thread=True)
def case_new(request: Request[Any, Any, Any]) -> Response[Any]:
    """The form for a new case."""
    form = Form({"severity": "medium", "tlp": "AMBER", "alert": request.query_params.get("alert", "")[:200]})
    return _new(request, form)


@post("/cases", opt=PEOPLE, sync_to_thread=True)
def case_open(request: Request[Any, Any, Any], data: Sent, asker: Asker, respond: Respond) -> Response[Any]:
    """Open a case, from an alert or from nothing."""
    form = Form(
        {name: one(data, name, longest=LONGEST) for name in ("title", "severity", "tlp", "note", "alert")}
    )
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
    kind, value = one(data, "kind"), one(data, "value", longest=LONGEST)
    adding: dict[str, Callable[[], object]] = {
        "note": lambda: respond.add_note(asker.principal, id, value),
        "task": lambda: respond.add_task(asker.principal, id, value),
        "done": lambda: respond.finish_task(asker.principal, id, value),
        "object": lambda: respond.add_object(asker.principal, id, value),
        "alert": lambda: respond.add_alert(asker.principal, id, value),
        "status": lambda: respond.set_status(asker.principal, id, value),
        "severity": lambda: respond.set_severity(asker.principal, id, value),
        "owner": lambda: respond.set_owner(asker.principal, id, value),
    }
    form = Form({kind: value})
    try:
        adding.get(kind, adding["note"])()
    except IstmoError as error:
        if error.status in (401, 404) or error.code == "respond.not_allowed":
            raise
        form.general, form.remedy = told(request, error)
        return show_case(request, id, asker, respond, names, own_member, form)
    return back_to(request, f"/cases/{id}", notice="console.notice.case_added")


def _new(request: Request[Any, Any, Any], form: Form) -> Response[Any]:
    return page(request, "respond/case_new.html", form=form, severities=SEVERITIES, levels=LEVELS)


routes = [case_new, case_open, case_add]
