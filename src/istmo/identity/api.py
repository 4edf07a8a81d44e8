"""People, sessions, API tokens and the audit trail, for programs."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.params import Parameter

from istmo.clock import Clock
from istmo.identity.objects import Account, ApiToken, AuditLine
from istmo.identity.service import LONGEST_SESSION, Identity
from istmo.kit.access import PEOPLE, PUBLIC
from istmo.kit.asking import Asker
from istmo.kit.pages import faces_of
from istmo.model import instants
from istmo.policy.principals import Person, TokenHolder, told

COOKIE = "session"


class SignIn(msgspec.Struct, forbid_unknown_fields=True):
    """Name and password."""

    name: str
    password: str


class NewAccount(msgspec.Struct, forbid_unknown_fields=True):
    """An account to make; without a password the node makes one and tells it once."""

    name: str
    role: str
    password: str = ""


class AccountChange(msgspec.Struct, forbid_unknown_fields=True):
    """What to change about an account: any of the three."""

    role: str = ""
    disabled: bool | None = None
    new_password: bool = False
    """Make a new random password, end the account's sessions, lift a lockout."""
    password: str = ""
    """The new password, where it is not to be random."""


class PasswordChange(msgspec.Struct, forbid_unknown_fields=True):
    """One's own password, old and new."""

    old: str
    new: str


class NewToken(msgspec.Struct, forbid_unknown_fields=True):
    """A token to make. ``scopes``: read, publish, work, submit, admin."""

    name: str
    scopes: list[str]
    days: Annotated[int, msgspec.Meta(ge=1, le=366)] = 90
    account: str = ""
    """Whom it acts for; oneself when empty."""


@post("/api/v1/session", opt=PUBLIC, status_code=201, sync_to_thread=True)
def sign_in(
    request: Request[Any, Any, Any], asker: Asker, identity: Identity, data: SignIn
) -> Response[dict[str, Any]]:
    """Sign in; the answer sets the session's cookie. The same answer for every failure."""
    faces = faces_of(request)
    previous = request.cookies.get(faces.cookie(COOKIE), "")
    session = identity.sign_in(data.name, data.password, asker.address, previous=previous)
    cookie = faces.bake(COOKIE, session.token, seconds=int(LONGEST_SESSION.total_seconds()))
    body = {"account": told_account(session.account), "expires": instants.format(session.expires)}
    return Response(body, status_code=201, cookies=[cookie])


@delete("/api/v1/session", opt=PEOPLE, status_code=200, sync_to_thread=True)
def sign_out(request: Request[Any, Any, Any], identity: Identity) -> Response[dict[str, Any]]:
    """Sign out; the answer takes the cookie back."""
    faces = faces_of(request)
    identity.sign_out(request.cookies.get(faces.cookie(COOKIE), ""))
    return Response({"signed_out": True}, cookies=[faces.bake(COOKIE, "", seconds=0)])


@get("/api/v1/me", opt=PEOPLE, sync_to_thread=False)
def me(asker: Asker) -> dict[str, Any]:
    """Who the node takes the asker for."""
    who = asker.principal
    found: dict[str, Any] = {
        "principal": told(who),
        "kind": type(who).__name__.lower(),
        "language": asker.language,
        "csrf": asker.csrf,
    }
    if isinstance(who, (Person, TokenHolder)):
        found |= {"id": who.id, "name": who.name, "role": str(who.role)}
    if isinstance(who, TokenHolder):
        found["scopes"] = sorted(who.scopes)
    return found


@post("/api/v1/me/password", opt=PEOPLE, status_code=200, sync_to_thread=True)
def change_password(
    request: Request[Any, Any, Any], asker: Asker, identity: Identity, data: PasswordChange
) -> dict[str, Any]:
    """Change one's own password; every other session of the account ends."""
    session = request.cookies.get(faces_of(request).cookie(COOKIE), "")
    identity.change_password(asker.principal, data.old, data.new, session=session)
    return {"changed": True}


@get("/api/v1/accounts", opt=PEOPLE, sync_to_thread=True)
def list_accounts(asker: Asker, identity: Identity) -> dict[str, Any]:
    """Everybody who has an account."""
    found = [told_account(one) for one in identity.accounts(asker.principal)]
    return {"items": found, "next": None, "total": len(found)}


@post("/api/v1/accounts", opt=PEOPLE, status_code=201, sync_to_thread=True)
def create_account(asker: Asker, identity: Identity, data: NewAccount) -> dict[str, Any]:
    """Make an account. A password that the node made is told here and never again."""
    account, password = identity.create_account(asker.principal, data.name, data.role, data.password)
    return told_account(account) | ({} if data.password else {"password": password})


@post("/api/v1/accounts/{name:str}", opt=PEOPLE, status_code=200, sync_to_thread=True)
def change_account(asker: Asker, identity: Identity, name: str, data: AccountChange) -> dict[str, Any]:
    """Change an account's role, shut it out or let it in, set its password."""
    told_now: dict[str, Any] = {}
    if data.role:
        told_now |= told_account(identity.change_role(asker.principal, name, data.role))
    if data.disabled is not None:
        account = identity.disable_account(asker.principal, name, disabled=data.disabled)
        told_now |= told_account(account)
    if data.new_password or data.password:
        password = identity.reset_password(asker.principal, name, data.password)
        told_now |= {"name": name} | ({} if data.password else {"password": password})
    return told_now


@get("/api/v1/tokens", opt=PEOPLE, sync_to_thread=True)
def list_tokens(asker: Asker, identity: Identity) -> dict[str, Any]:
    """One's own tokens; an administrator sees everybody's."""
    found = [told_token(one) for one in identity.tokens(asker.principal)]
    return {"items": found, "next": None, "total": len(found)}


@post("/api/v1/tokens", opt=PEOPLE, status_code=201, sync_to_thread=True)
def create_token(asker: Asker, identity: Identity, clock: Clock, data: NewToken) -> dict[str, Any]:
    """Make a token. Its secret is told here and never again."""
    expires = clock.now() + timedelta(days=data.days)
    token, secret = identity.create_token(
        asker.principal, data.name, data.scopes, expires, account=data.account
    )
    return told_token(token) | {"secret": secret}


@delete("/api/v1/tokens/{token_id:str}", opt=PEOPLE, status_code=200, sync_to_thread=True)
def revoke_token(asker: Asker, identity: Identity, token_id: str) -> dict[str, Any]:
    """Stop a token for good."""
    identity.revoke_token(asker.principal, token_id)
    return {"revoked": token_id}


@get("/api/v1/audit", opt=PEOPLE, sync_to_thread=True)
def audit_trail(
    asker: Asker,
    identity: Identity,
    principal: str = "",
    action: str = "",
    outcome: str = "",
    subject: str = "",
    since: str = "",
    until: str = "",
    cursor: int | None = None,
    limit: Annotated[int, Parameter(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """The audit trail, newest first."""
    found = identity.audit_trail(
        asker.principal,
        before=cursor,
        limit=limit,
        principal=principal,
        action=action,
        outcome=outcome,
        subject=subject,
        since=instants.parse(since) if since else None,
        until=instants.parse(until) if until else None,
    )
    following = str(found[-1].id) if len(found) == limit else None
    return {"items": [told_line(one) for one in found], "next": following, "total": None}


def told_account(account: Account) -> dict[str, Any]:
    """An account, for a program."""
    return {
        "id": account.id,
        "name": account.name,
        "role": str(account.role),
        "is_disabled": account.is_disabled,
        "created": instants.format(account.created),
        "last_sign_in": account.last_sign_in and instants.format(account.last_sign_in),
    }


def told_token(token: ApiToken) -> dict[str, Any]:
    """A token without its secret, for a program."""
    return {
        "id": token.id,
        "name": token.name,
        "account": token.account,
        "scopes": sorted(token.scopes),
        "created": instants.format(token.created),
        "expires": instants.format(token.expires),
        "last_used": token.last_used and instants.format(token.last_used),
        "is_revoked": token.is_revoked,
    }


def told_line(line: AuditLine) -> dict[str, Any]:
    """A line of the audit trail, for a program."""
    return {
        "id": line.id,
        "at": instants.format(line.at),
        "principal": line.principal,
        "name": line.name,
        "action": line.action,
        "subject": line.subject,
        "outcome": line.outcome,
        "reasons": [dict(one) for one in line.reasons],
        "address": line.address,
    }


routes = [
    sign_in,
    sign_out,
    me,
    change_password,
    list_accounts,
    create_account,
    change_account,
    list_tokens,
    create_token,
    revoke_token,
    audit_trail,
]
