"""Warning lists in the console: what is too common to be alarmed by, and whether a value stands on any."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request, Response, get, post

from istmo.detect.pages.switching import Switch, read_switch, read_undo, switched
from istmo.detect.service import Detect
from istmo.errors import IstmoError
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, SentWithFile, one, upload
from istmo.kit.pages import Undo, asker_of, back_to, faces_of, page, told
from istmo.policy.actions import Action

LARGEST_BODY: Final = 64 << 20
LONGEST_VALUE: Final = 2_000


@get("/warning-lists", opt=PEOPLE, sync_to_thread=True)
def list_page(request: Request[Any, Any, Any], detect: Detect) -> Response[Any]:
    """Every list; with ``value`` in the address, those on which it stands."""
    return _show(request, detect, Form())


@post("/warning-lists", opt=PEOPLE, sync_to_thread=True, status_code=200, request_max_body_size=LARGEST_BODY)
def keep_list(
    request: Request[Any, Any, Any], data: SentWithFile, asker: Asker, detect: Detect
) -> Response[Any]:
    """A new list in MISP's format, or a new version of one; what was pasted stays when it is no good."""
    form = Form({"text": one(data, "text")})
    sent = upload(data, "file") or form.values["text"].encode()
    try:
        kept = detect.put_warning_list(asker.principal, sent)
    except IstmoError as error:
        if error.status in (401, 403):
            raise
        form.general, form.remedy = told(request, error)
        return _show(request, detect, form)
    notice = "console.notice.warning.kept"
    return back_to(request, "/warning-lists", notice=notice, name=kept.name, n=kept.entries)


@post("/warning-lists/reserved", opt=PEOPLE, sync_to_thread=True)
def keep_reserved(request: Request[Any, Any, Any], data: Sent, asker: Asker, detect: Detect) -> Response[Any]:
    """The lists that come with the program."""
    kept = detect.put_reserved_lists(asker.principal)
    return back_to(request, "/warning-lists", notice="console.notice.warning.reserved", n=len(kept))


@post("/warning-lists/switch", opt=PEOPLE, sync_to_thread=True)
def switch_list(request: Request[Any, Any, Any], data: Sent, asker: Asker, detect: Detect) -> Response[Any]:
    """Put a list in force, or out of it."""
    return _switched(request, data, asker, detect, read_switch(data, "enabled"))


@post("/warning-lists/undo", opt=PEOPLE, sync_to_thread=True)
def switch_back(request: Request[Any, Any, Any], data: Sent, asker: Asker, detect: Detect) -> Response[Any]:
    """Take a switch back, unless somebody has decided since."""
    return _switched(request, data, asker, detect, read_undo(data, "enabled"))


@post("/warning-lists/delete", opt=PEOPLE, sync_to_thread=True)
def delete_list(request: Request[Any, Any, Any], data: Sent, asker: Asker, detect: Detect) -> Response[Any]:
    """Forget a list with its entries; the page has asked before."""
    name = one(data, "name", longest=200)
    detect.drop_warning_list(asker.principal, name)
    return back_to(request, "/warning-lists", notice="console.notice.warning.deleted", name=name)


def _switched(
    request: Request[Any, Any, Any], data: Sent, asker: Asker, detect: Detect, switch: Switch
) -> Response[Any]:
    name = one(data, "name", longest=200)
    at = detect.switch_warning_list(asker.principal, name, switch.is_on, undoing=switch.undoing)
    undo, notice = Undo("/warning-lists/undo", {"name": name}), f"console.notice.warning.{switch.word}"
    return switched(request, "/warning-lists", switch, undo, at=at, notice=notice, name=name)


def _show(request: Request[Any, Any, Any], detect: Detect, form: Form) -> Response[Any]:
    asker = asker_of(request)
    found = detect.warning_lists(asker.principal)
    value = request.query_params.get("value", "")[:LONGEST_VALUE].strip()
    return page(
        request,
        "detect/warning_lists.html",
        json_path="/api/v1/warning-lists",
        form=form,
        found=found,
        value=value,
        standing=detect.lists_with(asker.principal, value) if value else None,
        may_write=faces_of(request).may(asker.principal, Action.RULE_WRITE),
    )


routes = [list_page, keep_list, keep_reserved, switch_list, switch_back, delete_list]
