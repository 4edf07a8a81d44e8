"""Cases for programs: ``/api/v1/cases``."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import QueryParameter

from istmo.errors import InvalidInput
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.members import member_named
from istmo.model import instants
from istmo.model.markings import Tlp
from istmo.policy.decisions import Reason
from istmo.respond.objects import (
    Alert,
    Case,
    CaseEntry,
    CaseSummary,
    Claim,
    Object,
    Opening,
    OwnerChange,
    Register,
    SeverityChange,
    Share,
    SharePlan,
    StatusChange,
    TaskDone,
)
from istmo.respond.records import Filter
from istmo.respond.service import Respond


class NewCase(msgspec.Struct, forbid_unknown_fields=True):
    """A case to open. With ``alert``, title and severity may be left to the alert."""

    title: str = ""
    severity: str = ""
    tlp: str = "TLP:AMBER"
    note: str = ""
    alert: str = ""


class NewEntry(msgspec.Struct, forbid_unknown_fields=True):
    """An entry to add. ``kind``: note, alert, object, task, task_done, status, severity or owner."""

    kind: str
    text: str = ""
    """Of a note or a task."""
    alert: str = ""
    object: str = ""
    task: str = ""
    """The entry id of the task that is done."""
    value: str = ""
    """The new status or severity."""
    member: str = ""
    name: str = ""
    """The new owner: a member, and a person there."""
    only_to: list[str] | None = None
    """For an alert or an object: the members who may see it, where some may not."""


class NewShare(msgspec.Struct, forbid_unknown_fields=True):
    """A member to share with, by id or name; ids of entries to leave out."""

    member: str
    leave_out: list[str] = []


@get("/api/v1/cases", opt=PEOPLE, sync_to_thread=True)
def list_cases(
    asker: Asker,
    respond: Respond,
    q: str = "",
    status: str = "",
    severity: str = "",
    opener: str = "",
    disputed: bool | None = None,
    cursor: str = "",
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
) -> dict[str, Any]:
    """Cases that the asker may see, last touched first."""
    wanted = Filter(q=q[:200], status=status, severity=severity, opener=opener, is_disputed=disputed)
    page = respond.list_cases(asker.principal, wanted, cursor=cursor, limit=limit)
    return {"items": [told_summary(one) for one in page.items], "next": page.next, "total": None}


@post("/api/v1/cases", opt=PEOPLE, status_code=201, sync_to_thread=True)
def open_case(asker: Asker, respond: Respond, data: NewCase) -> dict[str, Any]:
    """Open a case, for this node alone until it is shared; with ``alert``, promote that alert."""
    tlp = Tlp.read(data.tlp)
    if tlp is None:
        known = [one.label for one in Tlp]
        raise InvalidInput("respond.unknown_value", field="tlp", value=data.tlp[:80], known=known)
    case = respond.open_case(
        asker.principal, data.title, severity=data.severity, tlp=tlp, note=data.note, alert=data.alert
    )
    return told_case(case)


@get("/api/v1/cases/{case_id:str}", opt=PEOPLE, sync_to_thread=True)
def read_case(asker: Asker, respond: Respond, case_id: str) -> dict[str, Any]:
    """One case: its state, who is on it, its timeline, and what waits."""
    return told_case(respond.read(asker.principal, case_id))


@post("/api/v1/cases/{case_id:str}/entries", opt=PEOPLE, status_code=201, sync_to_thread=True)
def add_entry(
    asker: Asker, respond: Respond, names: dict[str, str], case_id: str, data: NewEntry
) -> dict[str, Any]:
    """Add an entry, to everyone whom this node lets read the case."""
    who = asker.principal
    match data.kind:
        case "note":
            added = respond.add_note(who, case_id, data.text)
        case "alert":
            added = respond.add_alert(who, case_id, data.alert, only_to=data.only_to)
        case "object":
            added = respond.add_object(who, case_id, data.object, only_to=data.only_to)
        case "task":
            added = respond.add_task(who, case_id, data.text)
        case "task_done":
            added = respond.finish_task(who, case_id, data.task)
        case "status":
            added = respond.set_status(who, case_id, data.value)
        case "severity":
            added = respond.set_severity(who, case_id, data.value)
        case "owner":
            added = respond.set_owner(who, case_id, member_named(names, data.member), data.name)
        case _:
            known = ["note", "alert", "object", "task", "task_done", "status", "severity", "owner"]
            raise InvalidInput("respond.unknown_value", field="kind", value=data.kind[:80], known=known)
    return told_entry(added)


@post("/api/v1/cases/{case_id:str}/share", opt=PEOPLE, sync_to_thread=True)
def share_case(
    request: Request[Any, Any, Any],
    asker: Asker,
    respond: Respond,
    names: dict[str, str],
    case_id: str,
    data: NewShare,
) -> Response[dict[str, Any]]:
    """Share with a member; ``?preview=1`` tells who would see what, and why, and changes nothing."""
    member = member_named(names, data.member)
    if request.query_params.get("preview") in ("1", "true"):
        plan = respond.plan_share(asker.principal, case_id, member, data.leave_out)
        return Response(told_plan(plan), status_code=200)
    case = respond.share(asker.principal, case_id, member, data.leave_out)
    return Response(told_case(case), status_code=201)


def told_summary(one: CaseSummary) -> dict[str, Any]:
    """A line of the list, for a program."""
    return {
        "id": one.id,
        "title": one.title,
        "status": one.status,
        "severity": one.severity,
        "owner": one.owner or None,
        "opener": one.opener or None,
        "tlp": one.tlp.label,
        "members": sorted(one.members),
        "entries": one.entries,
        "pending": one.pending,
        "is_disputed": one.is_disputed,
        "created": instants.format(one.created),
        "updated": instants.format(one.updated),
    }


def told_case(case: Case) -> dict[str, Any]:
    """A case, for a program."""
    return {
        "id": case.id,
        "title": case.title,
        "opener": case.opener or None,
        "tlp": case.tlp.label,
        "status": _register(case.status),
        "severity": _register(case.severity),
        "owner": _register(case.owner),
        "is_disputed": case.is_disputed,
        "is_invitation": case.is_invitation,
        "participants": [
            {"member": one.member, "admitted_by": sorted(one.admitted_by)} for one in case.participants
        ],
        "tasks": [
            {
                "id": one.entry.id,
                "text": one.text,
                "is_done": one.is_done,
                "done_by": [told_entry(done) for done in one.done_by],
            }
            for one in case.tasks
        ],
        "timeline": [told_entry(one) for one in case.timeline],
        "pending": [told_entry(one) for one in case.pending],
        "missing": sorted(case.missing),
    }


def told_entry(entry: CaseEntry) -> dict[str, Any]:
    """An entry, for a program."""
    told: dict[str, Any] = {
        "id": entry.id,
        "kind": entry.kind,
        "author": {"node": entry.author.node, "name": entry.author.name},
        "created": instants.format(entry.created),
        "follows": sorted(entry.follows),
        "readers": sorted(entry.readers),
        "tlp": entry.tlp.label,
    }
    match entry.body:
        case Opening() as body:
            told |= {"title": body.title, "severity": body.severity}
        case Alert() as body:
            told |= {
                "alert": body.alert,
                "title": body.title,
                "level": body.level,
                "first": body.first and instants.format(body.first),
                "last": body.last and instants.format(body.last),
                "count": body.count,
                "evidence": list(body.evidence),
                "indicator": body.indicator,
            }
        case Object() as body:
            told |= {"object": body.object, "name": body.name}
        case TaskDone() as body:
            told |= {"task": body.task}
        case StatusChange() as body:
            told |= {"value": body.status}
        case SeverityChange() as body:
            told |= {"value": body.severity}
        case OwnerChange() as body:
            owner = body.owner
            told |= {"owner": owner and {"node": owner.node, "name": owner.name}}
        case Share() as body:
            told |= {"member": body.member, "members": list(body.members)}
        case None:
            pass
        case body:
            told |= {"text": body.text}
    return told


def told_plan(plan: SharePlan) -> dict[str, Any]:
    """What sharing would do, for a program."""
    return {
        "member": plan.member,
        "allowed": plan.allowed,
        "reasons": [_reason(one) for one in plan.reasons],
        "sends": [told_entry(one) for one in plan.sends],
        "refused": [
            {
                "entry": one.entry,
                "kind": one.kind,
                "title": one.title,
                "reasons": [_reason(why) for why in one.reasons],
            }
            for one in plan.refused
        ],
        "others": dict(plan.others),
    }


def _register(one: Register) -> dict[str, Any]:
    return {
        "value": one.value or None,
        "is_disputed": one.is_disputed,
        "heads": [_claim(head) for head in one.heads],
    }


def _claim(one: Claim) -> dict[str, Any]:
    author = {"node": one.author.node, "name": one.author.name}
    return {"value": one.value or None, "entry": one.entry, "author": author}


def _reason(one: Reason) -> dict[str, Any]:
    return {"code": one.code, "params": dict(one.params)}


routes = [list_cases, open_case, read_case, add_entry, share_case]
