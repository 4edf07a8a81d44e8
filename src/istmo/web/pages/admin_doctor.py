"""The doctor, from the console: what is in order, what is not, and what to do about it."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post

from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Sent
from istmo.kit.i18n import Catalogue
from istmo.kit.pages import back_to, page
from istmo.web.examining import Examining

WORST = {"bad": 0, "warn": 1, "late": 1, "ok": 2}


@get("/administration/doctor", opt=PEOPLE, sync_to_thread=True)
def doctor_page(
    request: Request[Any, Any, Any], asker: Asker, examining: Examining, catalogue: Catalogue
) -> Response[Any]:
    """The last examination, the worst first."""
    last = examining.last(asker.principal)

    def say(key: str, **params: Any) -> str:
        return catalogue.text(asker.language, key, **params)

    rows = [(one.check, one.state, one.text(say, asker.zone)) for one in last.findings] if last else []
    return page(
        request,
        "web/admin_doctor.html",
        last=last,
        rows=sorted(rows, key=lambda row: WORST.get(row[1], 1)),
        json_path="/api/v1/doctor",
    )


@post("/administration/doctor", opt=PEOPLE, sync_to_thread=True)
def examine(request: Request[Any, Any, Any], data: Sent, asker: Asker, examining: Examining) -> Response[Any]:
    """Examine the node now; what takes too long is told as that."""
    examining.examine(asker)
    return back_to(request, "/administration/doctor", notice="web.notice.doctor.done")


routes = [doctor_page, examine]
