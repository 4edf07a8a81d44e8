"""The queue of alerts: what waits for somebody, by the line; worked on by keys or by boxes and buttons."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from litestar import Request, Response, get, post

from istmo.clock import Clock
from istmo.detect.objects import Alert, AlertFilter, Level, Snoozed, Status
from istmo.detect.objects_triage import AlertGroup, Grouping, Picked
from istmo.detect.pages.alert_deeds import (
    CASE,
    MOST_CASES,
    REASONS,
    UNTILS,
    confirmation,
    namer,
    notice_of,
    put_into_case,
    read_picked,
    read_work,
)
from istmo.detect.service import Detect
from istmo.detect.service.alerts import MINE, NOBODY, alert_filter
from istmo.errors import InvalidInput, IstmoError
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, one
from istmo.kit.pages import Undo, asker_of, back_to, faces_of, local_path, page, told, with_query
from istmo.model import instants
from istmo.policy.actions import Action

ROWS = 50
FILTERS = ("q", "status", "level", "detector", "host", "subject", "who", "snoozed")
DETECTORS = ("indicator", "sigma", "hunt", "source")
QUEUE: Final = "/alerts"
Asked = Any
"""A Protocol of ``objects_triage``, as Litestar hands it on: it would try to check its type."""


@get(QUEUE, opt=PEOPLE, sync_to_thread=True)
def alert_list(
    request: Request[Any, Any, Any], detect: Detect, clock: Clock, neighbours: Asked
) -> Response[Any]:
    """What waits: open and not put off, unless the address says otherwise; a line for each rule or indicator.

    The gravest first, in each level what was seen last: at three in the morning what goes on now is on top.
    """
    address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return show_queue(request, local_path(address, QUEUE), detect, clock, neighbours, Form())


def show_queue(
    request: Request[Any, Any, Any],
    address: str,
    detect: Detect,
    clock: Clock,
    neighbours: Asked,
    form: Form,
    picked: Picked | None = None,
) -> Response[Any]:
    """The queue as an address asks for it, with what stood against ``form``, and ``picked`` still ticked."""
    asker, faces = asker_of(request), faces_of(request)
    query = _query_of(address)
    chosen = read_chosen(query)
    grouping = read_grouping(query)
    cursor = query.get("cursor", "")[:1_000]
    wanted = read_filter(detect, asker, chosen)
    found: Any
    if grouping is Grouping.NONE:
        found = detect.list_alerts(asker.principal, wanted, cursor=cursor, limit=ROWS, is_queue=True)
    else:
        found = detect.list_groups(asker.principal, wanted, grouping, cursor=cursor, limit=ROWS)
    may_work = faces.may(asker.principal, Action.ALERT_WORK)
    may_case = may_work and faces.may(asker.principal, Action.CASE_WORK)
    now, people = clock.now(), detect.people(asker.principal)
    return page(
        request,
        "detect/alerts.html",
        form=form,
        json_path=_json_path(chosen, grouping),
        found=found,
        rows=[(_row_id(line), _pick(line), _is_ticked(line, picked), line) for line in found.items],
        chosen=chosen,
        grouping=str(grouping),
        is_filtered=any(chosen[name] for name in FILTERS if name not in ("status", "snoozed"))
        or (chosen["status"], chosen["snoozed"]) != (Status.OPEN, Snoozed.NO),
        is_first=not cursor,
        address=address,
        with_query=lambda **changes: with_query(address, **changes),
        statuses=[str(status) for status in Status],
        levels=[str(level) for level in reversed(Level)],
        groupings=[str(one) for one in Grouping],
        detectors=DETECTORS,
        mine=MINE,
        nobody=NOBODY,
        who_is=namer(faces, asker, people),
        now=now,
        seen=instants.format(now),
        people=people if may_work else {},
        cases=neighbours.open_cases(asker.principal, MOST_CASES) if may_case else (),
        may_work=may_work,
        may_case=may_case,
        reasons=[str(reason) for reason in REASONS],
        untils=[str(until) for until in UNTILS],
    )


@post("/alerts/work", opt=PEOPLE, sync_to_thread=True)
def alert_bulk(
    request: Request[Any, Any, Any],
    data: Sent,
    asker: Asker,
    detect: Detect,
    clock: Clock,
    neighbours: Asked,
) -> Response[Any]:
    """Do one thing to what was picked; then the queue again, with the way back in its notice."""
    address = read_back(data)
    picked = Picked()
    deed, _, into = one(data, "do", longest=200).partition(":")
    try:
        picked = read_picked(data)
        wanted = read_filter(detect, asker, read_chosen(_query_of(address)))
        if deed == CASE:
            return put_into_case(request, asker, detect, neighbours, picked, wanted, address, into)
        work = read_work(data, asker, clock.now())
        if work is None:
            raise InvalidInput("detect.unknown_filter", field="do", value=deed[:40])
        done = detect.work_on(asker.principal, picked, work, wanted)
    except IstmoError as error:
        if error.status == 401 or error.code.endswith("not_allowed"):
            raise
        form = Form({"note": one(data, "note"), "confirm": confirmation(into, error)})
        form.general, form.remedy = told(request, error)
        return show_queue(request, address, detect, clock, neighbours, form, picked)
    undo = Undo("/alerts/undo", {"change": done.change, "next": address}) if done.change else None
    if done.left or not done.number:
        return back_to(
            request, address, notice="console.notice.triage.left", n=done.number, left=done.left, undo=undo
        )
    return back_to(request, address, notice=notice_of(work), n=done.number, undo=undo)


@post("/alerts/undo", opt=PEOPLE, sync_to_thread=True)
def alert_undo(
    request: Request[Any, Any, Any],
    data: Sent,
    asker: Asker,
    detect: Detect,
    clock: Clock,
    neighbours: Asked,
) -> Response[Any]:
    """Take one's own change back, wherever nobody changed anything since."""
    address = local_path(one(data, "next"), QUEUE)
    try:
        done = detect.undo(asker.principal, one(data, "change"))
    except IstmoError as error:
        if error.status in (401, 403):
            raise
        form = Form()
        form.general, form.remedy = told(request, error)
        return show_queue(request, QUEUE, detect, clock, neighbours, form)
    if done.left:
        return back_to(
            request, address, notice="console.notice.triage.undo_left", n=done.number, left=done.left
        )
    return back_to(request, address, notice="console.notice.triage.undo", n=done.number)


def _query_of(address: str) -> dict[str, str]:
    """What an address asks for: a filter that it names empty is one that is set to everything."""
    return dict(parse_qsl(urlsplit(address).query, keep_blank_values=True))


def read_chosen(query: Mapping[str, str]) -> dict[str, str]:
    """The filters of an address; what it does not say is as the queue begins: open, and not put off."""
    chosen = {name: query.get(name, "")[:200] for name in FILTERS}
    if "status" not in query:
        chosen["status"] = str(Status.OPEN)
    if chosen["snoozed"] not in list(Snoozed):
        # Who looks at all alerts, or at those of one person, wants to see them.
        chosen["snoozed"] = str(Snoozed.NO if chosen["status"] == Status.OPEN else Snoozed.ANY)
    for name, known in (("status", list(Status)), ("level", list(Level)), ("detector", DETECTORS)):
        if chosen[name] not in known:
            chosen[name] = ""
    return chosen


def read_grouping(query: Mapping[str, str]) -> Grouping:
    """By subject, unless the address says otherwise or names the subject or host itself."""
    text = query.get("group", "")
    if text in list(Grouping):
        return Grouping(text)
    return Grouping.NONE if query.get("subject") or query.get("host") else Grouping.SUBJECT


def read_filter(detect: Detect, asker: Asker, chosen: Mapping[str, str]) -> AlertFilter:
    """The filter that was chosen."""
    return alert_filter(
        status=chosen["status"],
        level=chosen["level"],
        detector=chosen["detector"],
        subject=chosen["subject"],
        host=chosen["host"],
        query=chosen["q"],
        assignee=detect.assignee_of(asker.principal, chosen["who"]),
        snoozed=chosen["snoozed"],
    )


def read_back(sent: Mapping[str, Any]) -> str:
    """The address of the queue that a form was drawn on."""
    address = local_path(one(sent, "back"), QUEUE)
    return address if address == QUEUE or address.startswith(QUEUE + "?") else QUEUE


def _json_path(chosen: Mapping[str, str], grouping: Grouping) -> str:
    named = {name: value for name, value in chosen.items() if value}
    if grouping is Grouping.NONE:
        return f"/api/v1/alerts?{urlencode({**named, 'order': 'queue'})}"
    return f"/api/v1/alerts/lines?{urlencode({**named, 'by': str(grouping)})}"


def _row_id(line: AlertGroup | Alert) -> str:
    """A row's name in the page, the same each time that it is drawn."""
    if isinstance(line, Alert):
        return f"a-{line.id.rpartition('--')[2]}"
    key = "\0".join((line.detector, line.subject, line.host)).encode("utf-8", "replace")
    return f"l-{hashlib.blake2b(key, digest_size=8).hexdigest()}"


def _pick(line: AlertGroup | Alert) -> str:
    if isinstance(line, Alert):
        return f"alert:{line.id}:{line.version}"
    if line.host:
        return f"host:{line.host}"
    return (
        f"alert:{line.newest}:{line.version}" if line.alerts == 1 else f"line:{line.detector}:{line.subject}"
    )


def _is_ticked(line: AlertGroup | Alert, picked: Picked | None) -> bool:
    """Whether a line stays ticked: by what it is about, whatever its version is by now."""
    if picked is None:
        return False
    if isinstance(line, Alert):
        return line.id in picked.alerts
    about = (line.detector, line.subject)
    return line.newest in picked.alerts or about in picked.subjects or line.host in picked.hosts


routes = [alert_list, alert_bulk, alert_undo]
