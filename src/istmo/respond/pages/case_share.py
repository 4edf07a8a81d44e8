"""Sharing a case: first who will see what, and why; then, once confirmed, the sharing."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post

from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Sent, one, several
from istmo.kit.pages import back_to, page
from istmo.respond.service import Respond


@get("/cases/{id:str}/share", opt=PEOPLE, sync_to_thread=True)
def share_preview(
    request: Request[Any, Any, Any], id: str, asker: Asker, respond: Respond, names: dict[str, str]
) -> Response[Any]:
    """What a member would receive, what cannot go and why. Changes nothing."""
    member = request.query_params.get("member", "")[:64]
    leave_out = request.query_params.getall("leave_out", [])[:500]
    case = respond.read(asker.principal, id)
    plan = respond.plan_share(asker.principal, id, member, leave_out)
    return page(
        request,
        "respond/case_share.html",
        case=case,
        plan=plan,
        member=member,
        leave_out=leave_out,
        names=names,
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
    """Share the case with one member, leaving out what was said to be left out."""
    member = one(data, "member")
    respond.share(asker.principal, id, member, several(data, "leave_out"))
    return back_to(
        request, f"/cases/{id}", notice="console.notice.case_shared", member=names.get(member, member)
    )


routes = [share_preview, share]
