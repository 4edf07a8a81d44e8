"""Founding a region, inviting a member and taking it back, accepting, confirming a fingerprint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litestar import Request, Response, post

from istmo.errors import IstmoError
from istmo.federation.pages.peer_read import show_region
from istmo.federation.service import Federation
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, one
from istmo.kit.pages import back_to, told

FIELDS = ("region", "name", "fingerprint", "code", "confirm_fingerprint")


@post("/peers/found", opt=PEOPLE, sync_to_thread=True)
def found(request: Request[Any, Any, Any], data: Sent, asker: Asker, federation: Federation) -> Response[Any]:
    """Found a region with this node as its first member."""
    return _try(
        request,
        data,
        asker,
        federation,
        lambda: federation.found(asker.principal, one(data, "region")),
        "console.notice.region_founded",
    )


@post("/peers/invite", opt=PEOPLE, sync_to_thread=True, status_code=200)
def invite(
    request: Request[Any, Any, Any], data: Sent, asker: Asker, federation: Federation
) -> Response[Any]:
    """Make an invitation. Its code is on this page alone: only a public key of it is kept."""
    name, fingerprint = one(data, "name"), one(data, "fingerprint")
    try:
        _, code = federation.invite(asker.principal, name, fingerprint)
    except IstmoError as error:
        return _again(request, data, asker, federation, error)
    return show_region(request, asker, federation, Form(), code)


@post("/peers/accept", opt=PEOPLE, sync_to_thread=True)
def accept(
    request: Request[Any, Any, Any], data: Sent, asker: Asker, federation: Federation
) -> Response[Any]:
    """Ask to join with the code that somebody gave us."""
    return _try(
        request,
        data,
        asker,
        federation,
        lambda: federation.accept(asker.principal, one(data, "code")),
        "console.notice.join_asked",
    )


@post("/peers/{id:str}/confirm", opt=PEOPLE, sync_to_thread=True)
def confirm(
    request: Request[Any, Any, Any], id: str, data: Sent, asker: Asker, federation: Federation
) -> Response[Any]:
    """Let somebody in whose fingerprint was compared by voice."""
    try:
        federation.confirm(asker.principal, id, one(data, "confirm_fingerprint"))
    except IstmoError as error:
        return _again(request, data, asker, federation, error, confirming=id)
    return back_to(request, "/peers", notice="console.notice.member_confirmed")


@post("/peers/invitations/{id:str}/withdraw", opt=PEOPLE, sync_to_thread=True)
def withdraw(
    request: Request[Any, Any, Any], id: str, data: Sent, asker: Asker, federation: Federation
) -> Response[Any]:
    """Take an invitation back: its code works no more."""
    return _try(
        request,
        data,
        asker,
        federation,
        lambda: federation.withdraw(asker.principal, id),
        "region.notice.withdrawn",
    )


def _try(
    request: Request[Any, Any, Any],
    data: dict[str, Any],
    asker: Asker,
    federation: Federation,
    action: Callable[[], object],
    notice: str,
) -> Response[Any]:
    try:
        action()
    except IstmoError as error:
        return _again(request, data, asker, federation, error)
    return back_to(request, "/peers", notice=notice)


def _again(
    request: Request[Any, Any, Any],
    data: dict[str, Any],
    asker: Asker,
    federation: Federation,
    error: IstmoError,
    confirming: str = "",
) -> Response[Any]:
    """The page with what was typed. ``confirming``: who was to be let in, several may be waiting."""
    if error.status in (401, 403):
        raise error
    general, remedy = told(request, error)
    values = {name: one(data, name) for name in FIELDS} | {"confirming": confirming}
    return show_region(request, asker, federation, Form(values, general=general, remedy=remedy))


routes = [found, invite, accept, confirm, withdraw]
