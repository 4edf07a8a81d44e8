"""Sharing a case: first who will see what, and why; then, once confirmed, the sharing."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request, Response, get, post

from istmo.errors import IstmoError
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Sent, one, several
from istmo.kit.pages import back_to, page
from istmo.respond.service import Respond

SHOWN: Final = 12
"""Of so many entries the list of what goes is open from the first."""
LISTED: Final = 200
"""The newest of what goes, which are listed beside what is new; the others stand in the case."""


@get("/cases/{id:str}/share", opt=PEOPLE, sync_to_thread=True)
def share_preview(
    request: Request[Any, Any, Any], id: str, asker: Asker, respond: Respond, names: dict[str, str]
) -> Response[Any]:
    """What a member would receive, what cannot go and why. Changes nothing."""
    member = request.query_params.get("member", "")[:64]
    leave_out = request.query_params.getall("leave_out", [])[:500]
    return _preview(request, id, asker, respond, names, member, leave_out)


def _preview(
    request: Request[Any, Any, Any],
    id: str,
    asker: Asker,
    respond: Respond,
    names: dict[str, str],
    member: str,
    leave_out: list[str],
    *,
    seen: str | None = None,
    status: int = 200,
) -> Response[Any]:
    plan = respond.plan_share(asker.principal, id, member, leave_out, seen=seen)
    return page(
        request,
        "respond/case_share.html",
        status=status,
        case=respond.read(asker.principal, id),
        plan=plan,
        member=member,
        leave_out=leave_out,
        names=names,
        shown=SHOWN,
        listed=[one for one in plan.sends[:-LISTED] if one.id in plan.new] + list(plan.sends[-LISTED:]),
    )


@post("/cases/{id:str}/share", opt=PEOPLE, sync_to_thread=True)
def share(
    request: Request[Any, Any, Any],
    id: str,
    data: Sent,
    asker: Asker,
    respond: Respond,
    names: dict[str, str],
) -> Response[Any]:
    """Share the case with one member, leaving out what was said to be left out.

    What was written since the preview was seen goes nowhere before it is seen too.
    """
    member, seen, leave_out = one(data, "member"), one(data, "seen"), several(data, "leave_out")
    try:
        respond.share(asker.principal, id, member, leave_out, seen=seen)
    except IstmoError as error:
        if error.code not in ("respond.share_moved", "respond.share_refused"):
            raise
        return _preview(request, id, asker, respond, names, member, leave_out, seen=seen, status=409)
    return back_to(
        request, f"/cases/{id}", notice="console.notice.case_shared", member=names.get(member, member)
    )


routes = [share_preview, share]
