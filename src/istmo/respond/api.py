"""Cases for programs: ``/api/v1/cases``."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter

from istmo.errors import InvalidInput
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.members import member_named
from istmo.model import instants
from istmo.model.markings import Tlp
from istmo.respond.answers import told_case, told_entry, told_plan, told_summary
from istmo.respond.records import Filter
from istmo.respond.service import Respond
from istmo.respond.shapes import CaseList, CaseShape, EntryShape, ShareShape


class NewCase(msgspec.Struct, forbid_unknown_fields=True):
    """A case to open. With ``alert``, title and severity may be left to the alert."""

    title: str = ""
    severity: str = ""
    tlp: str = "TLP:AMBER"
    note: str = ""
    alert: str = ""


class NewEntry(msgspec.Struct, forbid_unknown_fields=True):
    """An entry to add. ``kind``: note, alert, object, task, task_done, title, status, severity or owner."""

    kind: str
    text: str = ""
    """Of a note or a task."""
    alert: str = ""
    object: str = ""
    task: str = ""
    """The entry id of the task that is done."""
    value: str = ""
    """The new title, status or severity."""
    member: str = ""
    name: str = ""
    """The new owner: a member, and a person there."""
    only_to: list[str] | None = None
    """For an alert or an object: the members who may see it, where some may not."""
    raise_to: str = ""
    """For an alert or an object that is stricter than the case: the marking that the case may rise to."""


class NewState(msgspec.Struct, forbid_unknown_fields=True):
    """Where the case stands, all of it; ``version``: the one that was seen. ``owner``: ``member/name``."""

    status: str
    severity: str
    owner: str = ""
    version: str | None = None


class NewShare(msgspec.Struct, forbid_unknown_fields=True):
    """A member to share with, by id or name; ids of entries to leave out; ``seen`` of the preview."""

    member: str
    leave_out: list[str] = []
    seen: str | None = None


@get("/api/v1/cases", opt=PEOPLE, sync_to_thread=True)
def list_cases(
    asker: Asker,
    respond: Respond,
    q: str = "",
    status: str = "",
    severity: str = "",
    opener: str = "",
    owner: str = "",
    mine: bool = False,
    member: str = "",
    since: str = "",
    disputed: bool | None = None,
    cursor: str = "",
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
) -> CaseList:
    """Cases that the asker may see, last touched first; ``owner``: a member, or ``member/name``; ``mine``:
    those that the asker leads; ``member``: those shared with it; ``since``: touched since then."""
    wanted = Filter(
        q=q[:200],
        status=status,
        severity=severity,
        opener=opener,
        is_disputed=disputed,
        owner=respond.owner_name(asker.principal) if mine else owner,
        member=member,
        since=instants.parse(since) if since else None,
    )
    page = respond.list_cases(asker.principal, wanted, cursor=cursor, limit=limit)
    return {"items": [told_summary(one) for one in page.items], "next": page.next, "total": None}


@post("/api/v1/cases", opt=PEOPLE, status_code=201, sync_to_thread=True)
def open_case(asker: Asker, respond: Respond, data: NewCase) -> CaseShape:
    """Open a case, for this node alone until it is shared; with ``alert``, promote that alert."""
    case = respond.open_case(
        asker.principal,
        data.title,
        severity=data.severity,
        tlp=_tlp("tlp", data.tlp),
        note=data.note,
        alert=data.alert,
    )
    return told_case(case)


def _tlp(field: str, label: str) -> Tlp:
    found = Tlp.read(label)
    if found is None:
        known = [one.label for one in Tlp]
        raise InvalidInput("respond.unknown_value", field=field, value=label[:80], known=known)
    return found


@get("/api/v1/cases/{case_id:str}", opt=PEOPLE, sync_to_thread=True)
def read_case(asker: Asker, respond: Respond, case_id: str) -> CaseShape:
    """One case: its state, who is on it, its timeline, and what waits."""
    return told_case(respond.read(asker.principal, case_id))


@post("/api/v1/cases/{case_id:str}/entries", opt=PEOPLE, status_code=201, sync_to_thread=True)
def add_entry(
    asker: Asker, respond: Respond, names: dict[str, str], case_id: str, data: NewEntry
) -> EntryShape:
    """Add an entry, to everyone whom this node lets read the case.

    409 ``respond.raises_marking`` where the case would become stricter: who would lose it stands in the
    parameters; ``raise_to`` then allows it.
    """
    who = asker.principal
    raise_to = _tlp("raise_to", data.raise_to) if data.raise_to else None
    match data.kind:
        case "note":
            added = respond.add_note(who, case_id, data.text)
        case "alert":
            added = respond.add_alert(who, case_id, data.alert, only_to=data.only_to, raise_to=raise_to)
        case "object":
            added = respond.add_object(who, case_id, data.object, only_to=data.only_to, raise_to=raise_to)
        case "task":
            added = respond.add_task(who, case_id, data.text)
        case "task_done":
            added = respond.finish_task(who, case_id, data.task)
        case "title":
            added = respond.rename(who, case_id, data.value)
        case "status":
            added = respond.set_status(who, case_id, data.value)
        case "severity":
            added = respond.set_severity(who, case_id, data.value)
        case "owner":
            added = respond.set_owner(who, case_id, member_named(names, data.member), data.name)
        case _:
            known = ["note", "alert", "object", "task", "task_done", "title", "status", "severity", "owner"]
            raise InvalidInput("respond.unknown_value", field="kind", value=data.kind[:80], known=known)
    return told_entry(added)


@post("/api/v1/cases/{case_id:str}/state", opt=PEOPLE, status_code=200, sync_to_thread=True)
def set_state(asker: Asker, respond: Respond, case_id: str, data: NewState) -> CaseShape:
    """Status, severity and owner in one; 409 where somebody changed them since ``version``."""
    case = respond.set_state(
        asker.principal,
        case_id,
        status=data.status,
        severity=data.severity,
        owner=data.owner,
        version=data.version,
    )
    return told_case(case)


@post(
    "/api/v1/cases/{case_id:str}/share",
    opt=PEOPLE,
    sync_to_thread=True,
    responses={
        200: ResponseSpec(ShareShape, description="What sharing would do", generate_examples=False),
        201: ResponseSpec(CaseShape, description="The case, shared", generate_examples=False),
    },
)
def share_case(
    request: Request[Any, Any, Any],
    asker: Asker,
    respond: Respond,
    names: dict[str, str],
    case_id: str,
    data: NewShare,
) -> Response[CaseShape | ShareShape]:
    """Share with a member; ``?preview=1`` tells who would see what, and why, and changes nothing.

    With the ``seen`` of a preview: 409 where something that would go was written since.
    """
    member = member_named(names, data.member)
    if request.query_params.get("preview") in ("1", "true"):
        plan = respond.plan_share(asker.principal, case_id, member, data.leave_out, seen=data.seen)
        return Response(told_plan(plan), status_code=200)
    case = respond.share(asker.principal, case_id, member, data.leave_out, seen=data.seen)
    return Response(told_case(case), status_code=201)


routes = [list_cases, open_case, read_case, add_entry, set_state, share_case]
