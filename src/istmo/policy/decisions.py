"""The one function that decides, at publish, at egress, at relay and at read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from istmo.model.markings import Tlp
from istmo.policy.actions import (
    MARKED,
    NEEDS_AUDIENCE,
    OPERATOR_MAY,
    OPERATOR_READS,
    ORIGIN_ONLY,
    OWNERS_ALONE,
    OWNERS_UNTIL_SHARED,
    PEER_MAY,
    ROLE_MAY,
    ROLE_READS,
    SCOPE_GRANTS,
    SYSTEM_MAY,
    Action,
)
from istmo.policy.principals import Operator, Peer, Person, Principal, Role, System, TokenHolder, told

REAL = "real"
"""The space whose exits are open."""


@dataclass(frozen=True)
class Reason:
    """Why. The catalogue holds its words under ``policy.<code>``."""

    code: str
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"policy.{self.code}"


@dataclass(frozen=True)
class Resource:
    """What is asked about. What is not said counts as the strictest.

    ``origin``: the member whose log it stands in (the node's own member for local things).
    ``audience``: names of members. ``owner``: who in this node made it (``policy.told(principal)``
    or an account id).
    """

    kind: str
    origin: str = ""
    audience: frozenset[str] = frozenset()
    tlp: Tlp = Tlp.RED
    space: str = "real"
    owner: str = ""


@dataclass(frozen=True)
class Context:
    """Where and when: this node's member name, the region's present members, the space."""

    member: str
    members: frozenset[str]
    space: str
    now: datetime


@dataclass(frozen=True)
class Decision:
    """The answer. ``reasons`` is never empty; when denied, it names every rule that stands against."""

    allowed: bool
    reasons: tuple[Reason, ...]

    def __bool__(self) -> bool:
        return self.allowed


@dataclass(frozen=True)
class Verdict:
    """Whether one member will see a thing, and why."""

    member: str
    allowed: bool
    reasons: tuple[Reason, ...]


def decide(principal: Principal, action: Action, resource: Resource, context: Context) -> Decision:
    """May ``principal`` do ``action`` to ``resource``? Pure; anything not granted is denied."""
    against: list[Reason] = []
    if resource.space != context.space:
        against.append(Reason("space", {"space": resource.space, "here": context.space}))
    if action in ORIGIN_ONLY and resource.origin != context.member:
        against.append(Reason("not_origin", {"origin": resource.origin or "?"}))
    if action in NEEDS_AUDIENCE:
        against += _audience_problems(resource, context)
    match principal:
        case Peer(member=member):
            in_favour = _peer(member, action, resource, context, against)
        case Person(role=role):
            in_favour = _role(principal, role, action, resource, context, against)
        case TokenHolder(role=role, scopes=held):
            in_favour = _role(principal, role, action, resource, context, against)
            if not any(action in SCOPE_GRANTS.get(scope, frozenset()) for scope in held):
                against.append(Reason("scope", {"action": str(action)}))
        case Operator():
            in_favour = _local(
                principal, action, resource, context, against, action in OPERATOR_MAY, OPERATOR_READS
            )
        case System(part=part):
            granted = action in SYSTEM_MAY.get(part, frozenset())
            in_favour = _local(principal, action, resource, context, against, granted, Tlp.RED)
        case _:
            against.append(Reason("anonymous"))
            in_favour = None
    if against or in_favour is None:
        return Decision(False, tuple(against) or (Reason("denied"),))
    return Decision(True, (in_favour,))


def reading_limit(principal: Principal, action: Action) -> Tlp | None:
    """The strictest marking that a principal of this node may reach by ``action``; None when none at all.

    For narrowing a query before ``decide`` looks at each row: what one owns oneself comes on top.
    """
    match principal:
        case Person(role=role):
            return ROLE_READS.get(role) if action in ROLE_MAY.get(role, frozenset()) else None
        case TokenHolder(role=role, scopes=held):
            has_scope = any(action in SCOPE_GRANTS.get(scope, frozenset()) for scope in held)
            granted = has_scope and action in ROLE_MAY.get(role, frozenset())
            return ROLE_READS.get(role) if granted else None
        case Operator():
            return OPERATOR_READS if action in OPERATOR_MAY else None
        case System(part=part):
            return Tlp.RED if action in SYSTEM_MAY.get(part, frozenset()) else None
        case _:
            return None


def owner_names(principal: Principal) -> tuple[str, ...]:
    """The values of ``Resource.owner`` that mean this principal."""
    own_id = getattr(principal, "id", "")
    return (told(principal), own_id) if own_id else (told(principal),)


def who_will_see(resource: Resource, context: Context) -> tuple[Verdict, ...]:
    """For every member, and every name of the audience that is none: will it see this, and why.

    The node itself comes first, the rest by name.
    """
    names = sorted((context.members | resource.audience) - {context.member})
    verdicts = [Verdict(context.member, True, (Reason("own_node"),))] if context.member else []
    for name in names:
        answer = decide(Peer(name), Action.OBJECT_READ, resource, context)
        verdicts.append(Verdict(name, answer.allowed, answer.reasons))
    return tuple(verdicts)


def _peer(
    member: str, action: Action, resource: Resource, context: Context, against: list[Reason]
) -> Reason | None:
    if context.space != REAL:
        # An exercise has peers of its own making at most: nothing of it goes out to a real one.
        against.append(Reason("no_exit", {"space": context.space}))
        return None
    if action not in PEER_MAY:
        against.append(Reason("peer_action", {"action": str(action)}))
        return None
    if not member or member not in context.members:
        against.append(Reason("not_member", {"member": member}))
        return None
    if member == resource.origin:
        return Reason("its_own", {"member": member})
    if not resource.audience:
        against.append(Reason("empty_audience"))
        return None
    if member not in resource.audience:
        against.append(Reason("not_in_audience", {"member": member}))
        return None
    if _level(resource.tlp) > Tlp.AMBER and resource.origin != context.member:
        # Stricter than AMBER travels from its origin to whom it names, through nobody else's hands.
        against.append(Reason("no_relay", {"tlp": _level(resource.tlp).label}))
        return None
    return Reason("named", {"member": member, "tlp": _level(resource.tlp).label})


def _role(
    principal: Principal,
    role: Role,
    action: Action,
    resource: Resource,
    context: Context,
    against: list[Reason],
) -> Reason | None:
    granted = action in ROLE_MAY.get(role, frozenset())
    reads = ROLE_READS.get(role)
    if action is Action.TOKEN_MANAGE and granted and role is not Role.ADMINISTRATOR:
        granted = _owns(principal, resource)
    if reads is None:
        against.append(Reason("role", {"role": str(role), "action": str(action)}))
        return None
    return _local(principal, action, resource, context, against, granted, reads)


def _local(
    principal: Principal,
    action: Action,
    resource: Resource,
    context: Context,
    against: list[Reason],
    granted: bool,
    reads: Tlp,
) -> Reason | None:
    """Somebody inside this node: what the role grants, then whether the thing is the node's to see."""
    role = str(getattr(principal, "role", told(principal)))
    if not granted:
        against.append(Reason("role", {"role": role, "action": str(action)}))
        return None
    here = context.member
    if action in OWNERS_ALONE and not _owns(principal, resource):
        against.append(Reason("not_owner"))
        return None
    is_shared = bool(here) and here in resource.audience
    if action in OWNERS_UNTIL_SHARED and not is_shared and not _owns(principal, resource):
        against.append(Reason("not_shared"))
        return None
    if action not in MARKED:
        return Reason("role_allows", {"role": role, "action": str(action)})
    if not here or (resource.origin != here and here not in resource.audience):
        against.append(Reason("not_ours" if resource.audience else "empty_audience", {"member": here}))
        return None
    level = _level(resource.tlp)
    if level > reads and not _publishes(action) and not _owns(principal, resource):
        against.append(Reason("tlp_above_role", {"tlp": level.label, "role": role}))
        return None
    return Reason("role_allows", {"role": role, "action": str(action)})


def _publishes(action: Action) -> bool:
    # One may publish stricter than one may read of others: it is one's own word.
    return action is Action.OBJECT_PUBLISH


def _owns(principal: Principal, resource: Resource) -> bool:
    return bool(resource.owner) and resource.owner in owner_names(principal)


def _audience_problems(resource: Resource, context: Context) -> Iterable[Reason]:
    if not resource.audience:
        return [Reason("empty_audience")]
    strangers = sorted(resource.audience - context.members - {context.member})
    return [Reason("not_member", {"member": name}) for name in strangers]


def _level(tlp: object) -> Tlp:
    """A level that is none of ours counts as RED."""
    return tlp if isinstance(tlp, Tlp) else Tlp.RED
