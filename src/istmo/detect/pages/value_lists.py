"""Value lists in the console: what ``%name%`` stands for, one value a line."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post

from istmo.detect.service import Detect
from istmo.detect.service.value_lists import MOST_CHARACTERS
from istmo.errors import IstmoError
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, one
from istmo.kit.pages import Undo, back_to, faces_of, page, told
from istmo.policy.actions import Action

LONGEST = MOST_CHARACTERS * 2
"""Characters of a form's values; the list's own bound is checked behind it."""
UNDONE = 600
"""Characters of a list that a cookie carries, to put it back."""


@get("/value-lists", opt=PEOPLE, sync_to_thread=True)
def list_page(request: Request[Any, Any, Any], asker: Asker, detect: Detect) -> Response[Any]:
    """Every list, and a form: empty, or with the list that the address names."""
    name = request.query_params.get("name", "")[:100]
    found = next((one for one in detect.value_lists(asker.principal) if one.name == name), None)
    values = {"name": name, "values": "\n".join(found.values)} if found is not None else {}
    return _show(request, asker, detect, Form(values))


@post("/value-lists", opt=PEOPLE, sync_to_thread=True)
def keep_list(request: Request[Any, Any, Any], data: Sent, asker: Asker, detect: Detect) -> Response[Any]:
    """A new list, or the new values of one."""
    values = {
        "name": one(data, "name", longest=200).strip("%"),
        "values": one(data, "values", longest=LONGEST),
    }
    try:
        detect.put_value_list(asker.principal, values["name"], values["values"].split("\n"))
    except IstmoError as error:
        if error.status in (401, 403):
            raise
        form = Form(values)
        form.general, form.remedy = told(request, error)
        return _show(request, asker, detect, form)
    return back_to(request, "/value-lists", notice="console.notice.list.kept", name=values["name"])


@post("/value-lists/delete", opt=PEOPLE, sync_to_thread=True)
def delete_list(request: Request[Any, Any, Any], data: Sent, asker: Asker, detect: Detect) -> Response[Any]:
    """Forget a list."""
    name = one(data, "name", longest=200)
    text = "\n".join(detect.read_value_list(asker.principal, name).values)
    detect.drop_value_list(asker.principal, name)
    # The way back travels in a cookie: a long list has none, and the page asked before it went.
    undo = Undo("/value-lists/undo", {"name": name, "values": text}) if len(text) <= UNDONE else None
    return back_to(request, "/value-lists", notice="console.notice.list.deleted", undo=undo, name=name)


@post("/value-lists/undo", opt=PEOPLE, sync_to_thread=True)
def put_back(request: Request[Any, Any, Any], data: Sent, asker: Asker, detect: Detect) -> Response[Any]:
    """A list that was forgotten a moment ago, as it was."""
    name, text = one(data, "name", longest=200), one(data, "values", longest=LONGEST)
    detect.put_value_list(asker.principal, name, text.split("\n"))
    return back_to(request, "/value-lists", notice="console.notice.list.kept", name=name)


def _show(request: Request[Any, Any, Any], asker: Asker, detect: Detect, form: Form) -> Response[Any]:
    return page(
        request,
        "detect/value_lists.html",
        json_path="/api/v1/value-lists",
        form=form,
        found=detect.value_lists(asker.principal),
        may_write=faces_of(request).may(asker.principal, Action.RULE_WRITE),
    )


routes = [list_page, keep_list, delete_list, put_back]
