"""Working on one alert: taken, given to somebody, put off, closed with a reason, put into a case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Request, Response, post

from istmo.clock import Clock
from istmo.detect.objects_triage import Deed, Picked
from istmo.detect.pages.alert_deeds import CASE, confirmation, notice_of, put_into_case, read_work
from istmo.detect.pages.alert_read import Asked, show_alert
from istmo.detect.service import Detect
from istmo.detect.service.alert_work import Work
from istmo.detect.service.alerts import EVERY_ALERT
from istmo.errors import IstmoError
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, one
from istmo.kit.pages import Undo, back_to, faces_of, told

SENT = ("do", "reason", "note", "assignee", "version")


@post("/alerts/{id:str}/work", opt=PEOPLE, sync_to_thread=True)
def alert_work(
    request: Request[Any, Any, Any],
    id: str,
    data: Sent,
    asker: Asker,
    detect: Detect,
    clock: Clock,
    names: dict[str, str],
    taken_back: Asked,
    neighbours: Asked,
) -> Response[Any]:
    """Do what ``do`` names. When somebody else was first, both versions are shown and nothing is lost."""
    values = {name: one(data, name) for name in SENT}
    form, yours = Form(values), None
    path = f"/alerts/{id}"
    deed, _, into = values["do"].partition(":")
    try:
        if deed == CASE:
            picked = Picked({id: _version(values)})
            return put_into_case(request, asker, detect, neighbours, picked, EVERY_ALERT, path, into)
        work = read_work(data, asker, clock.now()) or Work(Deed.ACKNOWLEDGE, note=values["note"])
        if work.deed is Deed.CLOSE and work.reason is None:
            form.problems["reason"] = faces_of(request).catalogue.text(
                asker.language, "console.retract.choose_reason"
            )
        else:
            version = _version(values)
            _, done = detect.work(asker.principal, id, work, version=version)
            undo = Undo("/alerts/undo", {"change": done.change, "next": path})
            return back_to(request, path, notice=notice_of(work), n=1, undo=undo)
    except IstmoError as error:
        if error.status in (401, 404) or error.code.endswith("not_allowed"):
            raise
        if error.code == "detect.alert_changed":
            yours = values
        else:
            form.general, form.remedy = told(request, error)
            values["confirm"] = confirmation(into, error)
    return show_alert(request, id, detect, clock, names, taken_back, neighbours, form, yours)


def _version(values: Mapping[str, str]) -> int | None:
    text = values["version"]
    return int(text) if text.isdecimal() and len(text) < 10 else None


routes = [alert_work]
