"""People, sessions and API tokens, for programs.

They stand here and not in ``istmo.identity`` because routes speak through ``kit``, which is above it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast

import msgspec
from litestar import Request, Response, delete, get, post

from istmo.clock import Clock
from istmo.errors import InvalidInput, NotFound
from istmo.identity.objects import Account, ApiToken, OpenSession
from istmo.identity.service import Identity
from istmo.kit import csrf
from istmo.kit.access import ANYBODY_LET_IN, PEOPLE, PUBLIC
from istmo.kit.asking import Asker
from istmo.kit.pages import faces_of
from istmo.model import instants
from istmo.policy.principals import Person, Principal, TokenHolder, told
from istmo.web.admission import SESSION
from istmo.web.bodies import SMALL_FORM
from istmo.web.shapes import (
    AccountChanged,
    AccountList,
    AccountListed,
    AccountMade,
    AccountShape,
    Me,
    PasswordChanged,
    SessionList,
    SessionsEnded,
    SessionShape,
    SignedIn,
    SignedOut,
    TokenList,
    TokenMade,
    TokenRevoked,
    TokenShape,
    Who,
)

TOKEN_DAYS = 90


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
    """A token to make. ``scopes``: read, publish, work, admin."""

    name: str
    scopes: list[str]
    account: str = ""
    """Name or id of whom it acts for; oneself when empty."""
    expires: str = ""
    """RFC 3339, at most a year away; 90 days from now when empty."""


@post(
    "/api/v1/session",
    opt=PUBLIC,
    status_code=201,
    sync_to_thread=True,
    tags=["people"],
    request_max_body_size=SMALL_FORM,
)
def sign_in(
    request: Request[Any, Any, Any], asker: Asker, identity: Identity, data: SignIn
) -> Response[SignedIn]:
    """Sign in. The session comes as a cookie; send ``csrf`` back as ``X-CSRF`` with every change.

    The same answer for every failure.
    """
    faces = faces_of(request)
    previous = request.cookies.get(faces.cookie(SESSION), "")
    session = identity.sign_in(data.name, data.password, asker.address, previous=previous)
    cookie = faces.bake(SESSION, session.token, lax=True)
    body: SignedIn = {
        **_who(session.principal),
        "csrf": csrf.token(session.token),
        "expires": instants.format(session.expires),
    }
    return Response(body, status_code=201, cookies=[cookie])


@delete("/api/v1/session", opt=ANYBODY_LET_IN, status_code=200, sync_to_thread=True, tags=["people"])
def sign_out(request: Request[Any, Any, Any], identity: Identity) -> Response[SignedOut]:
    """Sign out; the answer takes the cookie back."""
    faces = faces_of(request)
    identity.sign_out(request.cookies.get(faces.cookie(SESSION), ""))
    return Response(SignedOut(signed_out=True), cookies=[faces.bake(SESSION, "", seconds=0, lax=True)])


@get("/api/v1/me", opt=ANYBODY_LET_IN, sync_to_thread=False, tags=["people"])
def me(asker: Asker) -> Me:
    """Who the node takes the asker for."""
    known = cast("Me", {**_who(asker.principal), "language": asker.language, "zone": asker.zone})
    if isinstance(asker.principal, Person):
        known["csrf"] = asker.csrf
    return known


@post("/api/v1/me/password", opt=ANYBODY_LET_IN, status_code=200, sync_to_thread=True, tags=["people"])
def change_password(
    request: Request[Any, Any, Any], asker: Asker, identity: Identity, data: PasswordChange
) -> PasswordChanged:
    """Change one's own password; every other session of the account ends."""
    session = request.cookies.get(faces_of(request).cookie(SESSION), "")
    identity.change_password(asker.principal, data.old, data.new, session=session)
    return {"changed": True}


@get("/api/v1/me/sessions", opt=PEOPLE, sync_to_thread=True, tags=["people"])
def list_sessions(request: Request[Any, Any, Any], asker: Asker, identity: Identity) -> SessionList:
    """One's own sessions, the last used first."""
    token = request.cookies.get(faces_of(request).cookie(SESSION), "")
    found = [_told_session(one) for one in identity.open_sessions(asker.principal, token)]
    return {"items": found, "next": None, "total": len(found)}


@delete("/api/v1/me/sessions", opt=PEOPLE, status_code=200, sync_to_thread=True, tags=["people"])
def end_sessions(request: Request[Any, Any, Any], asker: Asker, identity: Identity) -> SessionsEnded:
    """End every other session of one's own."""
    token = request.cookies.get(faces_of(request).cookie(SESSION), "")
    return {"ended": identity.end_sessions(asker.principal, but=token)}


@delete(
    "/api/v1/me/sessions/{session_id:str}", opt=PEOPLE, status_code=200, sync_to_thread=True, tags=["people"]
)
def end_session(asker: Asker, identity: Identity, session_id: str) -> SessionsEnded:
    """End one of one's own sessions."""
    identity.end_session(asker.principal, session_id)
    return {"ended": 1}


@get("/api/v1/accounts", opt=PEOPLE, sync_to_thread=True, tags=["people"])
def list_accounts(asker: Asker, identity: Identity) -> AccountList:
    """Everybody who has an account."""
    standing = identity.standing(asker.principal)
    found = [_listed(one, *standing.get(one.id, (None, None))) for one in identity.accounts(asker.principal)]
    return {"items": found, "next": None, "total": len(found)}


@post("/api/v1/accounts", opt=PEOPLE, status_code=201, sync_to_thread=True, tags=["people"])
def create_account(asker: Asker, identity: Identity, data: NewAccount) -> AccountMade:
    """Make an account. A password that the node made is told here and never again."""
    account, password = identity.create_account(asker.principal, data.name, data.role, data.password)
    made = cast("AccountMade", told_account(account))
    if not data.password:
        made["password"] = password
    return made


@post("/api/v1/accounts/{name:str}", opt=PEOPLE, status_code=200, sync_to_thread=True, tags=["people"])
def change_account(asker: Asker, identity: Identity, name: str, data: AccountChange) -> AccountChanged:
    """Change an account's role, shut it out or let it in, set its password: all that is asked, or nothing."""
    if data == AccountChange():
        raise InvalidInput("web.bad_request")
    account, password = identity.change_account(
        asker.principal,
        name,
        role=data.role or None,
        disabled=data.disabled,
        password=data.password if data.new_password or data.password else None,
    )
    changed = cast("AccountChanged", told_account(account))
    if data.new_password and not data.password:
        changed["password"] = password
    return changed


@get("/api/v1/tokens", opt=PEOPLE, sync_to_thread=True, tags=["people"])
def list_tokens(asker: Asker, identity: Identity) -> TokenList:
    """One's own tokens; an administrator sees everybody's."""
    found = [told_token(one) for one in identity.tokens(asker.principal)]
    return {"items": found, "next": None, "total": len(found)}


@post("/api/v1/tokens", opt=PEOPLE, status_code=201, sync_to_thread=True, tags=["people"])
def create_token(asker: Asker, identity: Identity, clock: Clock, data: NewToken) -> TokenMade:
    """Make a token. Its secret is told here and never again."""
    expires = instants.parse(data.expires) if data.expires else clock.now() + timedelta(days=TOKEN_DAYS)
    account = _name_of(identity, asker.principal, data.account)
    token, secret = identity.create_token(asker.principal, data.name, data.scopes, expires, account=account)
    return {**told_token(token), "secret": secret}


@delete("/api/v1/tokens/{token_id:str}", opt=PEOPLE, status_code=200, sync_to_thread=True, tags=["people"])
def revoke_token(asker: Asker, identity: Identity, token_id: str) -> TokenRevoked:
    """Stop a token for good."""
    identity.revoke_token(asker.principal, token_id)
    return {"revoked": token_id}


def _name_of(identity: Identity, asker: Principal, account: str) -> str:
    """Accounts may be named by id; whoever may not list them has only their own."""
    if not account.startswith("account--"):
        return account
    found = [one.name for one in identity.accounts(asker) if one.id == account]
    if not found:
        raise NotFound("identity.no_account", name=account[:80])
    return found[0]


def _who(principal: Principal) -> Who:
    known: Who = {"principal": told(principal), "name": "", "role": "", "scopes": None}
    if isinstance(principal, (Person, TokenHolder)):
        known |= {"id": principal.id, "name": principal.name, "role": str(principal.role)}
    if isinstance(principal, TokenHolder):
        known["scopes"] = sorted(principal.scopes)
    return known


def told_account(account: Account) -> AccountShape:
    """An account, for a program."""
    return {
        "id": account.id,
        "name": account.name,
        "role": str(account.role),
        "is_disabled": account.is_disabled,
        "must_change": account.must_change,
        "created": instants.format(account.created),
        "last_sign_in": instants.format(account.last_sign_in) if account.last_sign_in else None,
    }


def _listed(account: Account, seen: datetime | None, locked: datetime | None) -> AccountListed:
    return {
        **told_account(account),
        "last_seen": instants.format(seen) if seen else None,
        "locked_until": instants.format(locked) if locked else None,
    }


def _told_session(session: OpenSession) -> SessionShape:
    return {
        "id": session.id,
        "created": instants.format(session.created),
        "seen": instants.format(session.seen),
        "expires": instants.format(session.expires),
        "address": session.address,
        "is_here": session.is_here,
    }


def told_token(token: ApiToken) -> TokenShape:
    """A token without its secret, for a program."""
    return {
        "id": token.id,
        "name": token.name,
        "account": token.account,
        "scopes": sorted(token.scopes),
        "created": instants.format(token.created),
        "expires": instants.format(token.expires),
        "last_used": instants.format(token.last_used) if token.last_used else None,
        "is_revoked": token.is_revoked,
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
    list_sessions,
    end_sessions,
    end_session,
]
