"""Asking policy about the node itself: its jobs, its log. What belongs to a room, the room asks about."""

from __future__ import annotations

from istmo.errors import NotAllowed
from istmo.model.markings import Tlp
from istmo.policy.actions import Action
from istmo.policy.decisions import Context, Resource, decide
from istmo.policy.principals import Principal


def require(principal: Principal, action: Action, context: Context) -> None:
    """Return when ``principal`` may do this to the node. Raises NotAllowed ``web.not_for_you``."""
    me = context.member
    decision = decide(
        principal, action, Resource("node", me, frozenset({me}), Tlp.CLEAR, context.space), context
    )
    if not decision:
        why = [reason.code for reason in decision.reasons]
        raise NotAllowed("web.not_for_you", action=str(action), why=why)
