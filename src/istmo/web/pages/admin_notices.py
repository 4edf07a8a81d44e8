"""The ways out of the node: who is told of what by mail or webhook, tried, changed, taken away."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post

from istmo.errors import Conflict, IstmoError
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, one, several
from istmo.kit.pages import asker_of, back_to, faces_of, page, told
from istmo.notices.objects import KINDS, LEVELS, Plan, Way
from istmo.notices.service import Notices, read_kinds

FIELDS = {
    "notices.bad_mail": "address",
    "notices.bad_url": "address",
    "notices.webhook": "address",
    "notices.no_mail_server": "notifier",
    "notices.no_notifier": "notifier",
    "notices.bad_kind": "kinds",
    "notices.bad_level": "level",
    "notices.quiet": "quiet",
    "notices.every": "every",
    "identity.no_account": "person",
}
"""The field that an error is about, by the beginning of its code."""


@get("/administration/notices", opt=PEOPLE, sync_to_thread=True)
def way_list(request: Request[Any, Any, Any], asker: Asker, notices: Notices) -> Response[Any]:
    """Every way out, with how it went the last time."""
    found = notices.ways(asker.principal)
    return page(
        request,
        "web/admin_ways.html",
        rows=[(way, name, problem_of(request, way)) for way, name in found],
        outward=faces_of(request).settings.notices.outward,
        has_mail=bool(faces_of(request).settings.mail.host),
        json_path="/api/v1/notice-ways",
    )


@get("/administration/notices/new", opt=PEOPLE, sync_to_thread=True)
def new_way(request: Request[Any, Any, Any], asker: Asker, notices: Notices) -> Response[Any]:
    """Whom to tell, by which way, of what."""
    values = {"kinds": ["alert", "case"], "level": "high", "every": "10", "wakes": "on", "notifier": "mail"}
    return _show_new(request, notices, Form(values))


@post("/administration/notices", opt=PEOPLE, sync_to_thread=True)
def make_way(request: Request[Any, Any, Any], data: Sent, asker: Asker, notices: Notices) -> Response[Any]:
    """A new way out. Where it has a secret, the answer itself shows it: no other page ever could."""
    values = _values(data)
    try:
        way = notices.add_way(asker.principal, values.get("person", ""), _plan(values))
    except IstmoError as error:
        return _show_new(request, notices, _wrong(request, values, error))
    return _made(request, notices, asker, way)


@get("/administration/notices/{way_id:str}", opt=PEOPLE, sync_to_thread=True)
def way_page(request: Request[Any, Any, Any], way_id: str, notices: Notices) -> Response[Any]:
    """One way out: its plan, its last result, a test."""
    return _show(request, notices, way_id)


@post("/administration/notices/{way_id:str}", opt=PEOPLE, sync_to_thread=True)
def change_way(
    request: Request[Any, Any, Any], way_id: str, data: Sent, asker: Asker, notices: Notices
) -> Response[Any]:
    """Give it another plan; where somebody else was faster, both versions are shown."""
    values, seen = _values(data), one(data, "version")
    # A version that is none is none of this way's: what was typed is shown beside what is.
    version = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 10 else 0
    try:
        notices.change_way(asker.principal, way_id, _plan(values), version)
    except Conflict:
        return _show(request, notices, way_id, Form(values), is_late=True)
    except IstmoError as error:
        return _show(request, notices, way_id, _wrong(request, values, error))
    return back_to(request, f"/administration/notices/{way_id}", notice="notices.notice.way_kept")


@post("/administration/notices/{way_id:str}/test", opt=PEOPLE, sync_to_thread=True)
def test_way(
    request: Request[Any, Any, Any], way_id: str, data: Sent, asker: Asker, notices: Notices
) -> Response[Any]:
    """Send a test now, and say what came of it."""
    try:
        notices.test_way(asker.principal, way_id)
    except IstmoError as error:
        if error.status in (401, 403, 404) and not error.code.startswith("notices.no_exit"):
            raise
        form = Form()
        form.general, form.remedy = told(request, error)
        return _show(request, notices, way_id, form, status=200)
    return back_to(request, f"/administration/notices/{way_id}", notice="notices.notice.tested")


@post("/administration/notices/{way_id:str}/switch", opt=PEOPLE, sync_to_thread=True)
def switch_way(
    request: Request[Any, Any, Any], way_id: str, data: Sent, asker: Asker, notices: Notices
) -> Response[Any]:
    """Send nothing more by it, or again."""
    is_on = one(data, "on") == "on"
    notices.switch_way(asker.principal, way_id, on=is_on)
    notice = "notices.notice.way_on" if is_on else "notices.notice.way_off"
    return back_to(request, f"/administration/notices/{way_id}", notice=notice)


@post("/administration/notices/{way_id:str}/secret", opt=PEOPLE, sync_to_thread=True)
def new_secret(
    request: Request[Any, Any, Any], way_id: str, data: Sent, asker: Asker, notices: Notices
) -> Response[Any]:
    """Another secret, shown by this answer alone."""
    return _made(request, notices, asker, notices.new_secret(asker.principal, way_id), status=200)


@post("/administration/notices/{way_id:str}/delete", opt=PEOPLE, sync_to_thread=True)
def drop_way(
    request: Request[Any, Any, Any], way_id: str, data: Sent, asker: Asker, notices: Notices
) -> Response[Any]:
    """Take it away."""
    notices.drop_way(asker.principal, way_id)
    return back_to(request, "/administration/notices", notice="notices.notice.way_gone")


def problem_of(request: Request[Any, Any, Any], way: Way) -> tuple[str, str] | None:
    """What went wrong the last time, in words, and what to do."""
    if way.problem is None:
        return None
    language, words = asker_of(request).language, faces_of(request).catalogue
    key = f"error.{way.problem[0]}"
    return words.text(language, key, **way.problem[1]), words.text(
        language, f"{key}.remedy", **way.problem[1]
    )


def _made(
    request: Request[Any, Any, Any], notices: Notices, asker: Asker, way: Way, status: int = 201
) -> Response[Any]:
    secret = notices.secret(asker.principal, way)
    if not secret:
        return back_to(request, f"/administration/notices/{way.id}", notice="notices.notice.way_made")
    return page(request, "web/admin_way_made.html", status=status, way=way, secret=secret)


def _show_new(request: Request[Any, Any, Any], notices: Notices, form: Form) -> Response[Any]:
    asker = asker_of(request)
    people = notices.people(asker.principal)
    form.values.setdefault("person", getattr(asker.principal, "name", ""))
    return page(
        request,
        "web/admin_way_new.html",
        form=form,
        people=people,
        notifiers=notices.notifiers(asker.principal),
        has_mail=bool(faces_of(request).settings.mail.host),
        **_choices(),
    )


def _show(
    request: Request[Any, Any, Any],
    notices: Notices,
    way_id: str,
    form: Form | None = None,
    *,
    is_late: bool = False,
    status: int = 200,
) -> Response[Any]:
    way, name = notices.way(asker_of(request).principal, way_id)
    now = values_of(way.plan)
    shown = form or Form(now)
    yours = dict(shown.values)
    shown.values = now | yours
    return page(
        request,
        "web/admin_way.html",
        status=409 if is_late else status,
        form=shown,
        way=way,
        name=name,
        problem=problem_of(request, way),
        late=[
            (field, _said(request, field, now[field]), _said(request, field, yours.get(field, "")))
            for field in now
        ]
        if is_late
        else [],
        json_path="/api/v1/notice-ways",
        **_choices(),
    )


def _choices() -> dict[str, Any]:
    return {"kinds": [str(kind) for kind in KINDS], "levels": list(reversed(LEVELS))}


def values_of(plan: Plan) -> dict[str, Any]:
    """A plan as the fields of a form show it."""
    return {
        "address": plan.address,
        "kinds": sorted(str(kind) for kind in plan.kinds),
        "level": plan.level,
        "quiet": plan.quiet,
        "wakes": "on" if plan.wakes else "",
        "every": str(plan.every),
    }


def _said(request: Request[Any, Any, Any], field: str, value: Any) -> str:
    """A field of a plan as people read it."""
    language, catalogue = asker_of(request).language, faces_of(request).catalogue
    match field:
        case "kinds":
            return ", ".join(catalogue.text(language, f"notices.kind.{one}") for one in KINDS if one in value)
        case "level":
            return catalogue.text(language, f"kit.level.{value}") if value in LEVELS else ""
        case "wakes":
            return catalogue.text(language, "kit.yes" if value == "on" else "kit.no")
    return str(value)


def _values(data: Sent) -> dict[str, Any]:
    names = ("person", "notifier", "address", "level", "quiet", "wakes", "every")
    found: dict[str, Any] = {name: one(data, name) for name in names if name in data}
    return {
        "address": "",
        "level": "",
        "quiet": "",
        "wakes": "",
        "every": "",
        **found,
        "kinds": several(data, "kinds"),
    }


def _plan(values: dict[str, Any]) -> Plan:
    every = values["every"] or "0"
    return Plan(
        read_kinds(values["kinds"]),
        values["level"],
        values.get("notifier", ""),
        values["address"],
        values["quiet"],
        values["wakes"] == "on",
        int(every) if every.isascii() and every.isdigit() and len(every) < 6 else -1,
    )


def _wrong(request: Request[Any, Any, Any], values: dict[str, Any], error: IstmoError) -> Form:
    """What was typed and what stands against it; what is about no form is passed on."""
    if error.status in (401, 403) or (error.status == 404 and "person" not in values):
        raise error
    form = Form(values)
    form.general, form.remedy = told(request, error)
    field = next((name for code, name in FIELDS.items() if error.code.startswith(code)), "")
    if field:
        form.problems[field] = form.general
    return form


routes = [way_list, new_way, make_way, way_page, change_way, test_way, switch_way, new_secret, drop_way]
