"""API tokens: one's own, or everybody's for who administers; made, shown once, revoked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from litestar import Request, Response, get, post

from istmo.clock import Clock
from istmo.errors import InvalidInput, IstmoError
from istmo.identity.objects import ApiToken
from istmo.identity.service import LONGEST_TOKEN, TOKEN_SCOPES, Identity
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, one, several
from istmo.kit.pages import back_to, faces_of, page, told
from istmo.policy.actions import Action

STATES = ("valid", "expired", "revoked")
DAYS = ("7", "30", "90", "180", "366")
FIELDS = {
    "identity.bad_name": "name",
    "identity.bad_scope": "scopes",
    "identity.token_expiry": "days",
    "identity.no_account": "account",
}
"""The field that an error is about."""


@get("/administration/tokens", opt=PEOPLE, sync_to_thread=True)
def tokens(request: Request[Any, Any, Any], asker: Asker, identity: Identity, clock: Clock) -> Response[Any]:
    """Tokens, the newest first; narrowed by ``q`` (name or account) and ``state`` of the address."""
    asked = request.query_params.get("q", "")[:80]
    query = asked.casefold()
    state = request.query_params.get("state", "valid")
    found = [(one, state_of(one, clock)) for one in identity.tokens(asker.principal)]
    shown = [
        (token, is_)
        for token, is_ in found
        if state in ("", is_) and (query in token.name.casefold() or query in token.account.casefold())
    ]
    return page(
        request,
        "web/admin_tokens.html",
        rows=shown,
        total=len(found),
        asked={"q": asked, "state": state},
        states=STATES,
        is_all=faces_of(request).may(asker.principal, Action.ACCOUNT_MANAGE),
        json_path="/api/v1/tokens",
    )


@get("/administration/tokens/new", opt=PEOPLE, sync_to_thread=True)
def new_token(request: Request[Any, Any, Any], asker: Asker, identity: Identity) -> Response[Any]:
    """What a new token is called, what it opens, until when."""
    account = request.query_params.get("account", "")[:80]
    return _form(request, identity, asker, Form({"account": account, "days": "90", "scopes": ["read"]}))


@post("/administration/tokens", opt=PEOPLE, sync_to_thread=True)
def make_token(
    request: Request[Any, Any, Any], data: Sent, asker: Asker, identity: Identity, clock: Clock
) -> Response[Any]:
    """A new token. The answer itself shows the secret: no other page ever could."""
    values: dict[str, Any] = {name: one(data, name) for name in ("name", "account", "days")}
    values["scopes"] = several(data, "scopes")
    try:
        token, secret = identity.create_token(
            asker.principal,
            values["name"],
            values["scopes"],
            clock.now() + timedelta(days=_days(values["days"])),
            account=values["account"],
        )
    except IstmoError as error:
        if error.status in (401, 403):
            raise
        form = Form(values)
        form.general, form.remedy = told(request, error)
        if error.code in FIELDS:
            form.problems[FIELDS[error.code]] = form.general
        return _form(request, identity, asker, form)
    return page(request, "web/admin_token_made.html", status=201, token=token, secret=secret)


@post("/administration/tokens/{token_id:str}/revoke", opt=PEOPLE, sync_to_thread=True)
def revoke(
    request: Request[Any, Any, Any], token_id: str, data: Sent, asker: Asker, identity: Identity
) -> Response[Any]:
    """Stop a token for good."""
    identity.revoke_token(asker.principal, token_id)
    following = "/account" if one(data, "from") == "account" else "/administration/tokens"
    return back_to(request, following, notice="web.notice.token.revoked")


def _form(request: Request[Any, Any, Any], identity: Identity, asker: Asker, form: Form) -> Response[Any]:
    own = identity.myself(asker.principal)
    may_for_others = faces_of(request).may(asker.principal, Action.ACCOUNT_MANAGE)
    people = [one.name for one in identity.accounts(asker.principal)] if may_for_others else [own.name]
    if not form.values.get("account"):
        form.values["account"] = own.name
    return page(
        request,
        "web/admin_token_new.html",
        form=form,
        people=people,
        scopes=TOKEN_SCOPES,
        days=DAYS,
    )


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 4:
        raise InvalidInput("identity.token_expiry", days=LONGEST_TOKEN.days)
    return int(text)


def state_of(token: ApiToken, clock: Clock) -> str:
    """``valid``, ``expired`` or ``revoked``."""
    if token.is_revoked:
        return "revoked"
    return "expired" if token.expires <= clock.now() else "valid"


routes = [tokens, new_token, make_token, revoke]
