"""The nouns: account, session, API token, and one line of the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from istmo.policy.principals import Person, Role, Scope


@dataclass(frozen=True)
class Account:
    """Somebody who may sign in. ``name`` is shown as written; sign-in ignores case."""

    id: str
    name: str
    role: Role
    is_disabled: bool
    created: datetime
    last_sign_in: datetime | None = None
    language: str = ""
    """What this person reads, where they have said so; empty: whatever their browser asks for."""
    zone: str = ""
    must_change: bool = False
    """The password was made by the node and told to somebody else: good for setting one's own, no more."""

    @property
    def person(self) -> Person:
        """The account as policy knows it."""
        return Person(self.id, self.name, self.role, self.must_change)


@dataclass(frozen=True)
class Session:
    """One sign-in. ``token`` is the cookie's secret: 256 random bits, of which only a hash rests on disk."""

    token: str = field(repr=False)
    account: Account
    created: datetime
    expires: datetime
    """The end whatever happens; an idle one ends before."""

    @property
    def principal(self) -> Person:
        return self.account.person


@dataclass(frozen=True)
class OpenSession:
    """A session as its owner sees it in a list. ``id`` names it and opens nothing."""

    id: str
    created: datetime
    seen: datetime
    """When it was used last, to the minute."""
    expires: datetime
    address: str
    """From where it was begun."""
    is_here: bool
    """Whether it is the one that asks."""


@dataclass(frozen=True)
class ApiToken:
    """A program's key to the API: its owner's role, narrowed to ``scopes``. The secret is not in it."""

    id: str
    name: str
    account: str
    """Name of the account it acts for."""
    scopes: frozenset[Scope]
    created: datetime
    expires: datetime
    last_used: datetime | None
    is_revoked: bool


@dataclass(frozen=True)
class AuditLine:
    """Who did what to which thing, and how it went. ``outcome``: ``done``, ``denied`` or ``failed``."""

    id: int
    at: datetime
    principal: str
    """``policy.told(principal)``: ``person:ID``, ``token:ID``, ``operator`` …"""
    name: str
    """The name of that principal at the time; empty for those that have none."""
    action: str
    subject: str
    outcome: str
    reasons: tuple[Mapping[str, Any], ...]
    """``{"code", "params"}`` each: why it was denied or why it failed."""
    address: str
