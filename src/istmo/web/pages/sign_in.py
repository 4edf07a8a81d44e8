"""Signing in and out. A new session has a new secret: a cookie planted beforehand is worth nothing."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post

from istmo.errors import IstmoError, Unavailable
from istmo.identity.objects import Account
from istmo.identity.service import Identity
from istmo.kit.access import PUBLIC
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, one
from istmo.kit.pages import back_to, faces_of, local_path, page, told
from istmo.policy.principals import Anonymous
from istmo.web.admission import LANGUAGE, SESSION, ZONE
from istmo.web.bodies import SMALL_FORM
from istmo.web.pages.preferences import YEAR


@get("/sign-in", opt=PUBLIC, sync_to_thread=True)
def sign_in_page(request: Request[Any, Any, Any], asker: Asker) -> Response[Any]:
    """The form; somebody who is signed in goes straight on."""
    following = local_path(request.query_params.get("next"))
    if not isinstance(asker.principal, Anonymous):
        return back_to(request, following)
    return page(request, "web/sign_in.html", form=Form({"next": following}))


@post("/sign-in", opt=PUBLIC, sync_to_thread=True, request_max_body_size=SMALL_FORM)
def sign_in(request: Request[Any, Any, Any], data: Sent, asker: Asker, identity: Identity) -> Response[Any]:
    """Check name and password; the answer is the same whether the account exists or not."""
    name, following = one(data, "name"), local_path(one(data, "next"))
    cookie = faces_of(request).cookie(SESSION)
    try:
        session = identity.sign_in(
            name,
            str(data.get("password", ""))[:1000],
            asker.address,
            previous=request.cookies.get(cookie, ""),
        )
    except IstmoError as error:
        if error.code == "store.disk_full":  # its own words are for those who are in
            error = Unavailable("web.no_room_to_sign_in")
        general, remedy = told(request, error)
        form = Form({"name": name, "next": following}, general=general, remedy=remedy)
        return page(request, "web/sign_in.html", form=form, status=error.status)
    answer = back_to(request, following)
    answer.set_cookie(faces_of(request).bake(SESSION, session.token, lax=True))
    _speak_as_usual(request, answer, session.account)
    return answer


def _speak_as_usual(request: Request[Any, Any, Any], answer: Response[Any], account: Account) -> None:
    """In a browser that was told nothing: the language and the zone that this person chose elsewhere."""
    faces = faces_of(request)
    for name, value in ((LANGUAGE, account.language), (ZONE, account.zone)):
        if value and faces.cookie(name) not in request.cookies:
            answer.set_cookie(faces.bake(name, value, seconds=YEAR, lax=True))


@post("/sign-out", opt=PUBLIC, sync_to_thread=True, request_max_body_size=SMALL_FORM)
def sign_out(request: Request[Any, Any, Any], asker: Asker, identity: Identity) -> Response[Any]:
    """End the session here and in the database."""
    faces = faces_of(request)
    token = request.cookies.get(faces.cookie(SESSION), "")
    if token and not isinstance(asker.principal, Anonymous):
        identity.sign_out(token)
    answer = back_to(request, "/sign-in", notice="web.notice.signed_out")
    answer.set_cookie(faces.bake(SESSION, "", seconds=0, lax=True))
    answer.headers["Clear-Site-Data"] = '"cache"'
    return answer


routes = [sign_in_page, sign_in, sign_out]
