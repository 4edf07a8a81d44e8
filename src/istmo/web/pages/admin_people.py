"""The people of the node: listed, let in, given a role, shut out, given a new password."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from litestar import Request, Response, get, post

from istmo.errors import IstmoError, NotFound
from istmo.identity.objects import Account
from istmo.identity.service import Identity, fold
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, one
from istmo.kit.pages import back_to, page, told
from istmo.policy.principals import Person, Principal, Role

ROLES = tuple(str(one) for one in Role)
FIELDS = {
    "identity.bad_name": "name",
    "identity.name_taken": "name",
    "identity.bad_role": "role",
    "identity.yourself": "role",
    "identity.last_administrator": "role",
}
"""The field that an error is about."""


@get("/administration/people", opt=PEOPLE, sync_to_thread=True)
def people(request: Request[Any, Any, Any], asker: Asker, identity: Identity) -> Response[Any]:
    """Everybody who has an account; narrowed by ``q``, ``role`` and ``state`` of the address."""
    asked = {name: request.query_params.get(name, "")[:80] for name in ("q", "role", "state")}
    found, standing = identity.accounts(asker.principal), identity.standing(asker.principal)
    rows = [(account, *standing.get(account.id, (None, None))) for account in found]
    return page(
        request,
        "web/admin_people.html",
        rows=[row for row in rows if _is_asked_for(row[0], row[2] is not None, asked)],
        total=len(rows),
        asked=asked,
        roles=ROLES,
        json_path="/api/v1/accounts",
    )


@get("/administration/people/new", opt=PEOPLE, sync_to_thread=True)
def new_person(request: Request[Any, Any, Any], asker: Asker, identity: Identity) -> Response[Any]:
    """What a new account is called and may do."""
    identity.accounts(asker.principal)  # who may not manage accounts is not shown the form either
    return page(request, "web/admin_person_new.html", form=Form({"role": "analyst"}), roles=ROLES)


@post("/administration/people", opt=PEOPLE, sync_to_thread=True)
def make_person(
    request: Request[Any, Any, Any], data: Sent, asker: Asker, identity: Identity
) -> Response[Any]:
    """A new account. The answer itself shows the password: no other page ever could."""
    values = {"name": one(data, "name"), "role": one(data, "role")}
    try:
        account, password = identity.create_account(asker.principal, values["name"], values["role"])
    except IstmoError as error:
        return page(request, "web/admin_person_new.html", form=_wrong(request, values, error), roles=ROLES)
    return _show_password(request, account, password, is_new=True)


@get("/administration/people/{name:str}", opt=PEOPLE, sync_to_thread=True)
def person_page(
    request: Request[Any, Any, Any], name: str, asker: Asker, identity: Identity
) -> Response[Any]:
    """One account: what it may do, since when, and what can be done about it."""
    return _show(request, identity, asker.principal, name)


@post("/administration/people/{name:str}/role", opt=PEOPLE, sync_to_thread=True)
def set_role(
    request: Request[Any, Any, Any], name: str, data: Sent, asker: Asker, identity: Identity
) -> Response[Any]:
    """Give an account another role."""
    role = one(data, "role")
    try:
        account = identity.change_role(asker.principal, name, role)
    except IstmoError as error:
        return _show(request, identity, asker.principal, name, _wrong(request, {"role": role}, error))
    return back_to(request, _path(account), notice="web.notice.person.role", name=account.name)


@post("/administration/people/{name:str}/state", opt=PEOPLE, sync_to_thread=True)
def set_state(
    request: Request[Any, Any, Any], name: str, data: Sent, asker: Asker, identity: Identity
) -> Response[Any]:
    """Shut an account out, or let it in again."""
    is_out = one(data, "disabled") == "on"
    try:
        account = identity.disable_account(asker.principal, name, disabled=is_out)
    except IstmoError as error:
        return _show(request, identity, asker.principal, name, _wrong(request, {}, error))
    notice = "web.notice.person.out" if is_out else "web.notice.person.in"
    return back_to(request, _path(account), notice=notice, name=account.name)


@post("/administration/people/{name:str}/password", opt=PEOPLE, sync_to_thread=True)
def new_password(
    request: Request[Any, Any, Any], name: str, data: Sent, asker: Asker, identity: Identity
) -> Response[Any]:
    """A new random password: sessions end, a lockout is lifted. Shown by this answer alone."""
    password = identity.reset_password(asker.principal, name)
    return _show_password(request, _named(identity, asker.principal, name), password, is_new=False)


def _show(
    request: Request[Any, Any, Any],
    identity: Identity,
    by: Principal,
    name: str,
    form: Form | None = None,
) -> Response[Any]:
    account = _named(identity, by, name)
    seen, locked = identity.standing(by).get(account.id, (None, None))
    tokens = [one for one in identity.tokens(by) if one.account == account.name and not one.is_revoked]
    form = form or Form()
    form.values.setdefault("role", str(account.role))
    return page(
        request,
        "web/admin_person.html",
        form=form,
        account=account,
        seen=seen,
        locked=locked,
        tokens=tokens,
        roles=ROLES,
        is_oneself=isinstance(by, Person) and by.id == account.id,
        json_path="/api/v1/accounts",
    )


def _show_password(
    request: Request[Any, Any, Any], account: Account, password: str, *, is_new: bool
) -> Response[Any]:
    return page(
        request,
        "web/admin_password.html",
        status=201 if is_new else 200,
        account=account,
        password=password,
        is_new=is_new,
    )


def _named(identity: Identity, by: Principal, name: str) -> Account:
    wanted = fold(name[:256])
    found = next((one for one in identity.accounts(by) if fold(one.name) == wanted), None)
    if found is None:
        raise NotFound("identity.no_account", name=name[:80])
    return found


def _path(account: Account) -> str:
    return f"/administration/people/{quoted(account.name)}"


def quoted(name: str) -> str:
    """A name as part of a path."""
    return quote(name, safe="")


def _is_asked_for(account: Account, is_locked: bool, asked: dict[str, str]) -> bool:
    state = "disabled" if account.is_disabled else "locked" if is_locked else "working"
    return (
        fold(asked["q"]) in fold(account.name)
        and asked["role"] in ("", str(account.role))
        and asked["state"] in ("", state)
    )


def _wrong(request: Request[Any, Any, Any], values: dict[str, str], error: IstmoError) -> Form:
    """What was typed and what stands against it; what is about no form is passed on."""
    if error.status in (401, 403, 404):
        raise error
    form = Form(values)
    form.general, form.remedy = told(request, error)
    if error.code in FIELDS and FIELDS[error.code] in values:
        form.problems[FIELDS[error.code]] = form.general
    return form


routes = [people, new_person, make_person, person_page, set_role, set_state, new_password]
