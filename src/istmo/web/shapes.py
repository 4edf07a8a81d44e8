"""The shapes of what the node answers about itself and its people, as the OpenAPI document tells them.

Times are RFC 3339 with ``Z``.
"""

from __future__ import annotations

from typing import Any, TypedDict


class NoticeShape(TypedDict):
    """Something that the worker wants an administrator to know."""

    code: str
    params: dict[str, Any]
    at: str


class WorkerShape(TypedDict):
    """The detection worker. ``state``: ready, starting, away; None for whoever may not know a number.

    ``correlations``: groups and events that they remember now; events that were ``late``, had no group or a
    time in the future, and what was forgotten or judged early for room, since they began. ``patterns``: those
    over time that are in force, the events that they have ``remembered``, and those that newer ones have
    ``displaced``, that were ``forgotten`` for room, and searches that were ``given_up``.
    """

    state: str
    pid: int
    intake: str
    intake_problem: str
    stored: int
    bytes: int
    rate: float
    indicators: int | None
    rules: int
    indicator_lag: int
    sigma_lag: int
    hunting: int | None
    correlations: dict[str, int]
    patterns: dict[str, int]
    notices: list[NoticeShape]


class NodeShape(TypedDict):
    """Who this node is, how it is doing; ``objects`` counts the live ones by STIX type."""

    name: str
    country: str
    member: str
    fingerprint: str
    url: str
    languages: list[str]
    space: str
    version: str
    now: str
    objects: dict[str, int]
    worker: WorkerShape


class JobShape(TypedDict):
    """A job that ran out of attempts; ``problem`` is what stopped it the last time."""

    id: int
    kind: str
    attempts: int
    problem: str | None
    created: str


class JobList(TypedDict):
    """Every job that gave up, oldest first."""

    items: list[JobShape]
    next: None
    total: int


class JobRetried(TypedDict):
    """A job that has a fresh set of attempts."""

    id: int
    state: str


class JobDiscarded(TypedDict):
    """The number of a job that is done no more."""

    discarded: int


class QueuedJob(JobShape):
    """A job that is to run. ``state``: waiting, running."""

    state: str
    due: str


class JobQueue(TypedDict):
    """Background work: ``total`` are to run, of which ``failing`` have failed before; ``dead`` gave up."""

    items: list[QueuedJob]
    next: None
    total: int
    failing: int
    dead: int


class FindingShape(TypedDict):
    """One thing that was looked at. ``state``: ok, warn, bad, late (not done within the time)."""

    check: str
    state: str
    text: str


class ExaminationShape(TypedDict):
    """The last examination; ``at`` is None before the first. ``healthy``: nothing is broken."""

    at: str | None
    healthy: bool
    checks: list[FindingShape]


class RoleShape(TypedDict):
    """What a role may do: actions, and the strictest marking that it reads."""

    role: str
    may: list[str]
    reads: str


class RoleList(TypedDict):
    """Every role."""

    items: list[RoleShape]
    next: None
    total: int


class SettingShape(TypedDict):
    """A setting as the file has it; one that may hold a secret only says whether it is set."""

    table: str
    name: str
    value: str
    is_usual: bool


class SettingList(TypedDict):
    """What the node was told at its start."""

    file: str
    items: list[SettingShape]
    next: None
    total: int


class ErasedEntry(TypedDict):
    """What an erasure has left: the commitment, and the number of the record that tells of it."""

    origin: str
    sequence: int
    commitment: str
    record: int
    erased: str
    message: str


class _WhoAlways(TypedDict):
    principal: str
    name: str
    role: str
    scopes: list[str] | None


class Who(_WhoAlways, total=False):
    """Whom the node takes the asker for; ``scopes`` of an API token, no ``id`` for the operator."""

    id: str


class SignedIn(Who):
    """A session that began: ``csrf`` goes back as ``X-CSRF`` with every change."""

    csrf: str
    expires: str


class _MeAlways(Who):
    language: str
    zone: str


class Me(_MeAlways, total=False):
    """Whom the node takes the asker for, and how it speaks to them; ``csrf`` for a session."""

    csrf: str


class SignedOut(TypedDict):
    """The session is over."""

    signed_out: bool


class PasswordChanged(TypedDict):
    """One's own password is the new one."""

    changed: bool


class AccountShape(TypedDict):
    """Somebody who may sign in."""

    id: str
    name: str
    role: str
    is_disabled: bool
    must_change: bool
    """Has a password that the node made, and is let in for nothing but changing it."""
    created: str
    last_sign_in: str | None


class AccountListed(AccountShape):
    """One of all accounts: when it was seen last, and until when it is locked out by failed sign-ins."""

    last_seen: str | None
    locked_until: str | None


class AccountMade(AccountShape, total=False):
    """A new account; ``password`` where the node made it, told this once."""

    password: str


class AccountChanged(AccountShape, total=False):
    """An account after a change, as it is now; ``password`` where the node made a new one, told this once."""

    password: str


class AccountList(TypedDict):
    """Everybody who has an account."""

    items: list[AccountListed]
    next: None
    total: int


class SessionShape(TypedDict):
    """One of one's own sessions. ``is_here``: the one that asks."""

    id: str
    created: str
    seen: str
    expires: str
    address: str
    is_here: bool


class SessionList(TypedDict):
    """One's own sessions, the last used first."""

    items: list[SessionShape]
    next: None
    total: int


class SessionsEnded(TypedDict):
    """How many sessions ended."""

    ended: int


class TokenShape(TypedDict):
    """An API token without its secret."""

    id: str
    name: str
    account: str
    scopes: list[str]
    created: str
    expires: str
    last_used: str | None
    is_revoked: bool


class TokenMade(TokenShape):
    """A new API token with its ``secret``, told this once."""

    secret: str


class TokenList(TypedDict):
    """One's own tokens, or everybody's."""

    items: list[TokenShape]
    next: None
    total: int


class TokenRevoked(TypedDict):
    """Which token opens nothing more."""

    revoked: str


class AuditReason(TypedDict):
    """Why, as a code with its parameters."""

    code: str
    params: dict[str, Any]


class AuditShape(TypedDict):
    """A line of the audit trail. ``outcome``: done, denied, failed."""

    id: int
    at: str
    principal: str
    name: str
    action: str
    subject: str
    outcome: str
    reasons: list[AuditReason]
    address: str


class AuditList(TypedDict):
    """A page of the audit trail; ``next`` is the cursor of the following one. Lines are not counted."""

    items: list[AuditShape]
    next: str | None
    total: None


class TermShape(TypedDict):
    """A word of the glossary; ``other`` is the word in the other language, ``part`` what it is about."""

    id: str
    part: str
    term: str
    other: str
    means: str


class GlossaryShape(TypedDict):
    """The words that the console uses, in the asker's language."""

    items: list[TermShape]
