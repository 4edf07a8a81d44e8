"""Working on sources: connecting one, changing its settings, revoking it."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, post

from istmo.detect.pages.source_read import show_made, show_new, show_source
from istmo.detect.pages.switching import Switch, read_switch, read_undo, switched
from istmo.detect.service import Detect
from istmo.errors import IstmoError
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, one
from istmo.kit.pages import Undo, back_to, told

SETTINGS = {
    "networks": "networks",
    "certificate": "certificate",
    "form": "form",
    "time_zone": "zone",
    "rate": "rate",
    "silent_after": "silent_after",
}
"""Settings by the form's fields; ``zone`` is the field in which a person chooses their own."""
FIELDS = {
    "detect.source_network": "networks",
    "detect.source_certificate": "certificate",
    "detect.source_form": "form",
    "detect.source_zone": "time_zone",
    "detect.source_rate": "rate",
    "detect.source_silent_after": "silent_after",
    "detect.source_name": "name",
    "detect.source_exists": "name",
}
"""The field that an error is about, by the beginning of its code."""


@post("/sources", opt=PEOPLE, sync_to_thread=True)
def make_source(request: Request[Any, Any, Any], data: Sent, asker: Asker, detect: Detect) -> Response[Any]:
    """A new source. The answer itself shows the token: no other page ever could."""
    values = {"name": one(data, "name"), **_settings(data)}
    try:
        source, secret = detect.create_source(asker.principal, values["name"], settings=_given(values))
    except IstmoError as error:
        return show_new(request, detect, _wrong(request, values, error))
    return show_made(request, detect, source, secret)


@post("/sources/{id:str}/settings", opt=PEOPLE, sync_to_thread=True)
def set_source(
    request: Request[Any, Any, Any], id: str, data: Sent, asker: Asker, detect: Detect
) -> Response[Any]:
    """Give name and settings anew."""
    values = _settings(data) | {"version": one(data, "version", longest=64)}
    values["name"] = one(data, "name")
    try:
        detect.change_source(
            asker.principal, id, _given(values), name=values["name"], version=values["version"]
        )
    except IstmoError as error:
        if error.status == 404:
            raise
        if error.code == "detect.source_changed":
            return show_source(request, id, detect, Form(values), is_changed=True)
        return show_source(request, id, detect, _wrong(request, values, error))
    return back_to(request, f"/sources/{id}", notice="console.notice.source.changed")


@post("/sources/{id:str}/revoke", opt=PEOPLE, sync_to_thread=True)
def end_source(
    request: Request[Any, Any, Any], id: str, data: Sent, asker: Asker, detect: Detect
) -> Response[Any]:
    """Take nothing more from a source."""
    detect.revoke_source(asker.principal, id)
    return back_to(request, f"/sources/{id}", notice="console.notice.source.revoked")


@post("/sources/{id:str}/token", opt=PEOPLE, sync_to_thread=True)
def rotate_source(
    request: Request[Any, Any, Any], id: str, data: Sent, asker: Asker, detect: Detect
) -> Response[Any]:
    """A new token in place of the old. The answer itself shows it: no other page ever could."""
    source, secret = detect.rotate_source(asker.principal, id)
    return show_made(request, detect, source, secret, is_new=False)


@post("/sources/{id:str}/pause", opt=PEOPLE, sync_to_thread=True)
def pause_source(
    request: Request[Any, Any, Any], id: str, data: Sent, asker: Asker, detect: Detect
) -> Response[Any]:
    """Take nothing of a source for now, or again."""
    return _paused(request, id, asker, detect, read_switch(data, "paused"))


@post("/sources/{id:str}/undo", opt=PEOPLE, sync_to_thread=True)
def resume_source(
    request: Request[Any, Any, Any], id: str, data: Sent, asker: Asker, detect: Detect
) -> Response[Any]:
    """Take a pause back, or its end, unless somebody has decided since."""
    return _paused(request, id, asker, detect, read_undo(data, "paused"))


def _paused(
    request: Request[Any, Any, Any], id: str, asker: Asker, detect: Detect, switch: Switch
) -> Response[Any]:
    source = detect.pause_source(asker.principal, id, switch.is_on, undoing=switch.undoing)
    path = f"/sources/{source.id}"
    undo, notice = Undo(f"{path}/undo", {}), f"console.notice.source.pause.{switch.word}"
    return switched(request, path, switch, undo, at=source.switched or source.created, notice=notice)


def _settings(data: Sent) -> dict[str, str]:
    return {name: one(data, name) for name in SETTINGS}


def _given(values: dict[str, str]) -> dict[str, Any]:
    given: dict[str, Any] = {setting: values[name] for name, setting in SETTINGS.items()}
    return given | {"networks": [values["networks"]]}


def _wrong(request: Request[Any, Any, Any], values: dict[str, str], error: IstmoError) -> Form:
    """What was typed, and what stands against it beside its field; what is about no field is passed on."""
    if error.status in (401, 403):
        raise error
    form = Form(values)
    form.general, form.remedy = told(request, error)
    field = next((name for code, name in FIELDS.items() if error.code.startswith(code)), "")
    if field:
        form.problems[field] = form.general
    return form


routes = [make_source, set_source, end_source, rotate_source, pause_source, resume_source]
