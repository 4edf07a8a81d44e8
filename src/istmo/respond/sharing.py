"""Sharing thought through before it is done: who would see what of a case, and why."""

from __future__ import annotations

from istmo.policy.actions import Action
from istmo.policy.decisions import Context, Decision, Resource, decide
from istmo.policy.principals import Peer, Principal
from istmo.respond.fold import Folded
from istmo.respond.objects import Alert, CaseEntry, Marking, Object, Refusal, SharePlan


def plan_share(
    principal: Principal, folded: Folded, member: str, leave_out: frozenset[str], context: Context
) -> SharePlan:
    """What would be sent if ``principal`` shared the case with ``member`` now."""
    me = context.member
    resource = Resource("case", me, frozenset({me, member}), folded.case().tlp, context.space)
    decision = decide(principal, Action.CASE_SHARE, resource, context)
    if decision:
        decision = decide(Peer(member), Action.CASE_READ, resource, context)
    unseen = [one for one in folded.order if member not in one.readers and one.body is not None]
    mine = [one for one in unseen if one.author.node == me]
    refused = tuple(
        found
        for one in mine
        if one.id not in leave_out and (found := _refusal(one, member, context)) is not None
    )
    blocked = {one.entry for one in refused} | leave_out
    others: dict[str, int] = {}
    for one in unseen:
        if one.author.node != me:
            others[one.author.node] = others.get(one.author.node, 0) + 1
    return SharePlan(
        member=member,
        allowed=decision.allowed,
        reasons=decision.reasons,
        sends=tuple(one for one in mine if one.id not in blocked),
        refused=refused,
        others=others,
    )


def may_see(marking: Marking | None, member: str, context: Context) -> Decision | None:
    """What policy says of a quoted alert or object; None where nothing with limits of its own is quoted."""
    if marking is None:
        return None
    named = frozenset({context.member, member}) if marking.audience is None else frozenset(marking.audience)
    resource = Resource("object", marking.origin, named, marking.level, context.space)
    return decide(Peer(member), Action.OBJECT_READ, resource, context)


def _refusal(entry: CaseEntry, member: str, context: Context) -> Refusal | None:
    decision = may_see(entry.marking, member, context)
    if decision is None or decision.allowed:
        return None
    match entry.body:
        case Alert(title=title) | Object(name=title):
            return Refusal(entry.id, entry.kind, title, member, decision.reasons)
        case _:
            return Refusal(entry.id, entry.kind, "", member, decision.reasons)
