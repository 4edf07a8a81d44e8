"""Value lists in the console: what ``%name%`` stands for, one value a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Request, Response, get, post

from istmo.detect.objects import ValueList
from istmo.detect.pages.alert_deeds import namer
from istmo.detect.service import Detect
from istmo.errors import IstmoError
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, one
from istmo.kit.pages import Undo, back_to, faces_of, page, told
from istmo.policy.actions import Action

MOST_SHOWN = 50
"""Values by which two versions differ."""
UNDONE = 600
"""Characters of a list that a cookie carries, to put it back."""


@get("/value-lists", opt=PEOPLE, sync_to_thread=True)
def list_page(request: Request[Any, Any, Any], asker: Asker, detect: Detect) -> Response[Any]:
    """Every list, those that rules wait for, and a form: empty, or with the list that the address names."""
    name = request.query_params.get("name", "")[:100]
    found = next((one for one in detect.value_lists(asker.principal) if one.name == name), None)
    values = (
        {"name": name, "values": "\n".join(found.values), "version": found.version}
        if found is not None
        else {"name": name, "version": ""}
    )
    return _show(request, asker, detect, Form(values))


@post("/value-lists", opt=PEOPLE, sync_to_thread=True)
def keep_list(request: Request[Any, Any, Any], data: Sent, asker: Asker, detect: Detect) -> Response[Any]:
    """A new list, or the new values of one."""
    values = {
        "name": one(data, "name").strip("%"),
        "values": one(data, "values"),
        "version": one(data, "version"),
    }
    lines, version = values["values"].split("\n"), values["version"]
    try:
        detect.put_value_list(asker.principal, values["name"], lines, version=version)
    except IstmoError as error:
        if error.status in (401, 403):
            raise
        if error.code == "detect.list_changed":
            return _show_both(request, asker, detect, values)
        form = Form(values)
        form.general, form.remedy = told(request, error)
        return _show(request, asker, detect, form)
    return back_to(request, "/value-lists", notice="console.notice.list.kept", name=values["name"])


@post("/value-lists/delete", opt=PEOPLE, sync_to_thread=True)
def delete_list(request: Request[Any, Any, Any], data: Sent, asker: Asker, detect: Detect) -> Response[Any]:
    """Forget a list."""
    name = one(data, "name")
    text = "\n".join(detect.read_value_list(asker.principal, name).values)
    detect.drop_value_list(asker.principal, name)
    # The way back travels in a cookie: a long list has none, and the page asked before it went.
    undo = Undo("/value-lists/undo", {"name": name, "values": text}) if len(text) <= UNDONE else None
    return back_to(request, "/value-lists", notice="console.notice.list.deleted", undo=undo, name=name)


@post("/value-lists/undo", opt=PEOPLE, sync_to_thread=True)
def put_back(request: Request[Any, Any, Any], data: Sent, asker: Asker, detect: Detect) -> Response[Any]:
    """A list that was forgotten a moment ago, as it was."""
    name, text = one(data, "name"), one(data, "values")
    detect.put_value_list(asker.principal, name, text.split("\n"), version="")
    return back_to(request, "/value-lists", notice="console.notice.list.kept", name=name)


def _show_both(
    request: Request[Any, Any, Any], asker: Asker, detect: Detect, values: dict[str, str]
) -> Response[Any]:
    """What was typed, beside what somebody else has made of the list meanwhile."""
    now = next((one for one in detect.value_lists(asker.principal) if one.name == values["name"]), None)
    theirs = now.values if now else ()
    typed = tuple(dict.fromkeys(text for one in values["values"].split("\n") if (text := one.strip())))
    form = Form(values | {"version": now.version if now else ""})
    return _show(request, asker, detect, form, now=now, both=(_only(theirs, typed), _only(typed, theirs)))


def _only(some: Sequence[str], others: Sequence[str]) -> str:
    """Values that the others do not have, as one text of bounded length."""
    known = set(others)
    found = [one for one in some if one not in known]
    return "\n".join([*found[:MOST_SHOWN], "…"] if len(found) > MOST_SHOWN else found)


def _show(
    request: Request[Any, Any, Any],
    asker: Asker,
    detect: Detect,
    form: Form,
    now: ValueList | None = None,
    both: tuple[str, str] | None = None,
) -> Response[Any]:
    """``both``: what only the list as it is ``now`` holds, and only what was typed."""
    return page(
        request,
        "detect/value_lists.html",
        status=200 if both is None else 409,
        json_path="/api/v1/value-lists",
        form=form,
        both=both,
        now=now,
        who_is=namer(faces_of(request), asker, detect.people(asker.principal)) if now else str,
        found=detect.value_lists(asker.principal),
        missing=detect.missing_lists(asker.principal),
        may_write=faces_of(request).may(asker.principal, Action.RULE_WRITE),
    )


routes = [list_page, keep_list, delete_list, put_back]
