"""Working on an alert: acknowledge, close with a reason, open again."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, post

from istmo.detect.objects import CloseReason, Status
from istmo.detect.pages.alert_read import Asked, show_alert
from istmo.detect.service import Detect
from istmo.errors import IstmoError
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, one
from istmo.kit.pages import back_to, faces_of, told


@post("/alerts/{id:str}/status", opt=PEOPLE, sync_to_thread=True)
def alert_status(
    request: Request[Any, Any, Any],
    id: str,
    data: Sent,
    asker: Asker,
    detect: Detect,
    names: dict[str, str],
    taken_back: Asked,
) -> Response[Any]:
    """Change the status. When somebody else was first, both see it and nothing is lost."""
    values = {name: one(data, name, longest=5_000) for name in ("status", "reason", "note", "version")}
    form = Form(values)
    status = Status(values["status"]) if values["status"] in set(Status) else Status.ACKNOWLEDGED
    reason = CloseReason(values["reason"]) if values["reason"] in set(CloseReason) else None
    if status is Status.CLOSED and reason is None:
        form.problems["reason"] = faces_of(request).catalogue.text(
            asker.language, "console.retract.choose_reason"
        )
        return show_alert(request, id, detect, names, taken_back, form)
    version = (
        int(values["version"]) if values["version"].isdecimal() and len(values["version"]) < 10 else None
    )
    try:
        detect.set_status(asker.principal, id, status, reason=reason, note=values["note"], version=version)
    except IstmoError as error:
        if error.status in (401, 403, 404):
            raise
        form.general, form.remedy = told(request, error)
        return show_alert(request, id, detect, names, taken_back, form)
    return back_to(request, f"/alerts/{id}", notice=f"console.notice.alert.{status}")


routes = [alert_status]
