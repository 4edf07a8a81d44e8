"""Who is asking: a person, the holder of an API token, a peer node, the operator, the node itself, nobody."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a person is trusted with in their own node."""

    ADMINISTRATOR = "administrator"
    ANALYST = "analyst"
    COORDINATOR = "coordinator"
    OBSERVER = "observer"


class Scope(StrEnum):
    """What an API token may be used for: never more than its owner's role allows."""

    READ = "read"
    PUBLISH = "publish"
    WORK = "work"
    SUBMIT = "submit"
    ADMIN = "admin"


@dataclass(frozen=True)
class Person:
    """Somebody signed in. ``id`` is the account's."""

    id: str
    name: str
    role: Role
    must_change: bool = False
    """Has only been let in: may set a password of their own, and nothing else."""


@dataclass(frozen=True)
class TokenHolder:
    """A program with an API token: its owner's role, narrowed to ``scopes``."""

    id: str
    name: str
    role: Role
    scopes: frozenset[Scope]


@dataclass(frozen=True)
class Peer:
    """Another member's node, known by the signature on its request."""

    member: str


@dataclass(frozen=True)
class Operator:
    """Whoever holds the node's own key: the local command line."""


@dataclass(frozen=True)
class System:
    """A part of this node acting by itself (``part`` names it: ``detect``, ``jobs``)."""

    part: str


@dataclass(frozen=True)
class Anonymous:
    """Nobody that we know."""


Principal = Person | TokenHolder | Peer | Operator | System | Anonymous


def told(principal: Principal) -> str:
    """How the audit trail and provenance name a principal: ``person:ID``, ``peer:MEMBER`` …"""
    match principal:
        case Person(id=id):
            return f"person:{id}"
        case TokenHolder(id=id):
            return f"token:{id}"
        case Peer(member=member):
            return f"peer:{member}"
        case Operator():
            return "operator"
        case System(part=part):
            return f"system:{part}"
        case Anonymous():
            return "anonymous"


def scopes(names: Iterable[str]) -> frozenset[Scope]:
    """Scopes by name; names that do not exist grant nothing and are left out."""
    known = {scope.value: scope for scope in Scope}
    return frozenset(known[name] for name in names if name in known)
