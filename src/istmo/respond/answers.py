"""What the machine interface of cases answers: cases, entries and plans as plain JSON."""

from __future__ import annotations

from istmo.model import instants
from istmo.policy.decisions import Reason
from istmo.respond.objects import (
    Alert,
    Author,
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
    TitleChange,
)
from istmo.respond.shapes import (
    CaseLine,
    CaseShape,
    ClaimShape,
    EntryAuthor,
    EntryShape,
    ReasonShape,
    RegisterShape,
    ShareShape,
)


def told_summary(one: CaseSummary) -> CaseLine:
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


def told_case(case: Case) -> CaseShape:
    """A case, for a program."""
    return {
        "id": case.id,
        "title": case.title,
        "opener": case.opener or None,
        "tlp": case.tlp.label,
        "status": _register(case.status),
        "severity": _register(case.severity),
        "owner": _register(case.owner),
        "version": case.version,
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


def told_entry(entry: CaseEntry) -> EntryShape:
    """An entry, for a program."""
    told: EntryShape = {
        "id": entry.id,
        "kind": entry.kind,
        "author": _author(entry.author),
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
                "first": instants.format(body.first) if body.first else None,
                "last": instants.format(body.last) if body.last else None,
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
            told |= {"owner": _author(body.owner) if body.owner else None}
        case TitleChange() as body:
            told |= {"title": body.title}
        case Share() as body:
            told |= {"member": body.member, "members": list(body.members)}
        case None:
            pass
        case body:
            told |= {"text": body.text}
    return told


def told_plan(plan: SharePlan) -> ShareShape:
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
        "seen": plan.seen,
        "new": sorted(plan.new),
    }


def _register(one: Register) -> RegisterShape:
    return {
        "value": one.value or None,
        "is_disputed": one.is_disputed,
        "heads": [_claim(head) for head in one.heads],
    }


def _claim(one: Claim) -> ClaimShape:
    return {"value": one.value or None, "entry": one.entry, "author": _author(one.author)}


def _author(one: Author) -> EntryAuthor:
    return {"node": one.node, "name": one.name}


def _reason(one: Reason) -> ReasonShape:
    return {"code": one.code, "params": dict(one.params)}
