"""One's own account: password, language and zone, sessions, tokens."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post

from istmo.clock import Clock
from istmo.errors import IstmoError
from istmo.identity.service import Identity
from istmo.kit.access import ANYBODY_LET_IN, PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, one
from istmo.kit.pages import back_to, faces_of, page, told
from istmo.policy.principals import Person
from istmo.web.admission import SESSION
from istmo.web.bodies import SMALL_FORM
from istmo.web.pages.admin_tokens import state_of

FIELDS = {"identity.wrong_password": "old", "identity.password": "new"}
"""The field that an error is about, by the beginning of its code."""


@get("/account", opt=ANYBODY_LET_IN, sync_to_thread=True)
def account(request: Request[Any, Any, Any], asker: Asker, identity: Identity, clock: Clock) -> Response[Any]:
    """All that concerns the one who asks."""
    return _show(request, asker, identity, clock, Form())


@post("/account/password", opt=ANYBODY_LET_IN, sync_to_thread=True, request_max_body_size=SMALL_FORM)
def change_password(
    request: Request[Any, Any, Any], data: Sent, asker: Asker, identity: Identity, clock: Clock
) -> Response[Any]:
    """Change one's own password; every other session ends."""
    try:
        identity.change_password(
            asker.principal,
            str(data.get("old", ""))[:1000],
            str(data.get("new", ""))[:1000],
            session=_token(request),
        )
    except IstmoError as error:
        form = Form()
        form.general, form.remedy = told(request, error)
        field = next((name for code, name in FIELDS.items() if error.code.startswith(code)), "")
        if field:
            form.problems[field] = form.general
        return _show(request, asker, identity, clock, form, status=error.status)
    had_to = isinstance(asker.principal, Person) and asker.principal.must_change
    return back_to(request, "/" if had_to else "/account", notice="web.notice.password_changed")


@post("/account/sessions/{session_id:str}/end", opt=PEOPLE, sync_to_thread=True)
def end_session(
    request: Request[Any, Any, Any], session_id: str, data: Sent, asker: Asker, identity: Identity
) -> Response[Any]:
    """End one of one's own sessions."""
    identity.end_session(asker.principal, session_id)
    return back_to(request, "/account", notice="web.notice.session_ended")


@post("/account/sessions/end", opt=PEOPLE, sync_to_thread=True)
def end_sessions(
    request: Request[Any, Any, Any], data: Sent, asker: Asker, identity: Identity
) -> Response[Any]:
    """Sign out all others, or everywhere."""
    if one(data, "which") == "all":
        identity.end_sessions(asker.principal)
        answer = back_to(request, "/sign-in", notice="web.notice.signed_out_everywhere")
        answer.set_cookie(faces_of(request).bake(SESSION, "", seconds=0, lax=True))
        return answer
    ended = identity.end_sessions(asker.principal, but=_token(request))
    return back_to(request, "/account", notice="web.notice.sessions_ended", n=ended)


def _show(
    request: Request[Any, Any, Any],
    asker: Asker,
    identity: Identity,
    clock: Clock,
    form: Form,
    status: int = 200,
) -> Response[Any]:
    own = identity.myself(asker.principal)
    tokens = [
        (one, state_of(one, clock)) for one in identity.tokens(asker.principal) if one.account == own.name
    ]
    return page(
        request,
        "web/account.html",
        status=status,
        form=form,
        account=own,
        sessions=identity.open_sessions(asker.principal, _token(request)),
        tokens=[(token, state) for token, state in tokens if state == "valid"],
        json_path="/api/v1/me",
    )


def _token(request: Request[Any, Any, Any]) -> str:
    return request.cookies.get(faces_of(request).cookie(SESSION), "")


routes = [account, change_password, end_sessions, end_session]
