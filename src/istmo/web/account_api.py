"""Changing accounts, for programs: role, shut out or let in, a new password; and one's own password."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, post

from istmo.identity.service import Identity
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.pages import faces_of
from istmo.web.admission import SESSION


class AccountChange(msgspec.Struct, forbid_unknown_fields=True):
    """What to change about an account: any of these."""

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


@post("/api/v1/accounts/{name:str}", opt=PEOPLE, status_code=200, sync_to_thread=True, tags=["people"])
def change_account(asker: Asker, identity: Identity, name: str, data: AccountChange) -> dict[str, Any]:
    """Change an account. A password that the node made is told here and never again."""
    changed: dict[str, Any] = {"name": name}
    if data.role:
        changed["role"] = str(identity.change_role(asker.principal, name, data.role).role)
    if data.disabled is not None:
        account = identity.disable_account(asker.principal, name, disabled=data.disabled)
        changed["is_disabled"] = account.is_disabled
    if data.new_password or data.password:
        password = identity.reset_password(asker.principal, name, data.password)
        changed |= {} if data.password else {"password": password}
    return changed


@post("/api/v1/me/password", opt=PEOPLE, status_code=200, sync_to_thread=True, tags=["people"])
def change_password(
    request: Request[Any, Any, Any], asker: Asker, identity: Identity, data: PasswordChange
) -> dict[str, Any]:
    """Change one's own password; every other session of the account ends."""
    session = request.cookies.get(faces_of(request).cookie(SESSION), "")
    identity.change_password(asker.principal, data.old, data.new, session=session)
    return {"changed": True}


routes = [change_account, change_password]
