"""One's own notices: read, marked as read, and chosen."""

from __future__ import annotations

from typing import Any, Final

from litestar import MediaType, Request, Response, get, post

from istmo.errors import InvalidInput, IstmoError
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, one, several
from istmo.kit.pages import back_to, faces_of, page, told, with_query
from istmo.notices.objects import KINDS, LEVELS
from istmo.notices.service import Notices

ROWS: Final = 50


@get("/notices", opt=PEOPLE, sync_to_thread=True)
def notice_list(request: Request[Any, Any, Any], asker: Asker, notices: Notices) -> Response[Any]:
    """Unread ones, newest first; with ``all`` in the address the others too."""
    is_all = "all" in request.query_params
    cursor = request.query_params.get("cursor", "")
    before = number(cursor) if cursor else None
    found = notices.list_notices(asker.principal, unread=not is_all, before=before, limit=ROWS + 1)
    shown = found[:ROWS]
    return page(
        request,
        "notices/notices.html",
        rows=shown,
        is_all=is_all,
        total=notices.count_notices(asker.principal, unread=not is_all),
        cursor=cursor,
        newest=shown[0].notice.id if shown else 0,
        next=str(shown[-1].notice.id) if len(found) > ROWS else "",
        json_path=with_query("/api/v1/notices", unread="" if is_all else "true", cursor=cursor),
    )


@get("/notices/count", opt=PEOPLE, sync_to_thread=True)
def unread_count(request: Request[Any, Any, Any], asker: Asker) -> Response[str]:
    """How many are unread, as the head of each page shows it: asked for when it changes."""
    # Not a ``page``: what waits to be told to the next page is not for a number in its head.
    return Response(faces_of(request).render(asker, "kit/unread.html", {}), media_type=MediaType.HTML)


@post("/notices/read", opt=PEOPLE, sync_to_thread=True)
def mark_read(request: Request[Any, Any, Any], data: Sent, asker: Asker, notices: Notices) -> Response[Any]:
    """Mark one as read, or all that were on the page."""
    upto, id = one(data, "upto"), one(data, "id")
    done = notices.mark_read(
        asker.principal, id=number(id) if id else None, upto=number(upto) if upto else None
    )
    return back_to(request, "/notices", notice="notices.notice.read", n=done)


@get("/notices/settings", opt=PEOPLE, sync_to_thread=True)
def choose(request: Request[Any, Any, Any], asker: Asker, notices: Notices) -> Response[Any]:
    """What one is told of in the console."""
    plan = notices.console_plan(asker.principal)
    return _choices(request, Form({"kinds": [str(kind) for kind in plan.kinds], "level": plan.level}))


@post("/notices/settings", opt=PEOPLE, sync_to_thread=True)
def keep_choice(request: Request[Any, Any, Any], data: Sent, asker: Asker, notices: Notices) -> Response[Any]:
    """Keep what one wants to be told of."""
    values: dict[str, Any] = {"kinds": several(data, "kinds"), "level": one(data, "level")}
    try:
        notices.set_console_plan(asker.principal, values["kinds"], values["level"])
    except IstmoError as error:
        if error.status in (401, 403):
            raise
        form = Form(values)
        form.general, form.remedy = told(request, error)
        return _choices(request, form)
    return back_to(request, "/notices/settings", notice="notices.notice.chosen")


def _choices(request: Request[Any, Any, Any], form: Form) -> Response[Any]:
    return page(
        request,
        "notices/notice_settings.html",
        form=form,
        kinds=[str(kind) for kind in KINDS],
        levels=list(reversed(LEVELS)),
        json_path="/api/v1/notices/settings",
    )


def number(text: str) -> int:
    """A number of a notice. Raises InvalidInput("notices.bad_number")."""
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise InvalidInput("notices.bad_number")
    return int(text)


routes = [notice_list, unread_count, mark_read, choose, keep_choice]
