"""The machine interface of alerts: the queue, one alert, work on one or many, and taking it back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.params import QueryParameter

from istmo.clock import Clock
from istmo.detect.answers import alert_json, story_json
from istmo.detect.objects import AlertFilter, CloseReason, Status
from istmo.detect.objects_triage import Deed, Grouping, Picked
from istmo.detect.service import Detect
from istmo.detect.service.alert_work import Work
from istmo.detect.service.alerts import alert_filter
from istmo.detect.shapes import AlertList, AlertShape, StoryShape
from istmo.detect.shapes_triage import AlertLineList, DoneShape, PastList
from istmo.detect.triage_answers import done_json, line_json, past_json
from istmo.errors import InvalidInput
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.model import durations, instants
from istmo.policy import Principal

DEEDS = (Deed.ACKNOWLEDGE, Deed.CLOSE, Deed.OPEN, Deed.ASSIGN, Deed.SNOOZE)
"""What can be asked for."""


class StatusRequest(msgspec.Struct, forbid_unknown_fields=True):
    """``status``: open, acknowledged, closed. ``reason`` with closed. ``version``: the one that was seen."""

    status: str
    reason: str | None = None
    note: str = ""
    version: int | None = None


class AssignRequest(msgspec.Struct, forbid_unknown_fields=True):
    """``assignee``: an account's name, ``me``, or empty for nobody. ``version``: the one that was seen."""

    assignee: str
    version: int | None = None


class SnoozeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """``until`` an instant, or ``length`` (``1h``, ``7d``) from now; neither: not put off any longer."""

    until: str = ""
    length: str = ""
    version: int | None = None


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """A rule, indicator, hunt or source: all its alerts that match the filter."""

    detector: str
    subject: str


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """What narrows lines, as in the list of alerts."""

    status: str = ""
    level: str = ""
    detector: str = ""
    subject: str = ""
    host: str = ""
    q: str = ""
    who: str = ""
    snoozed: str = ""


class WorkRequest(msgspec.Struct, forbid_unknown_fields=True):
    """``deed``: acknowledge, close, open, assign or snooze, with what it needs (as where it is asked of one).

    ``alerts``: ids with the version that was seen, or null; ``lines`` and ``hosts``: all their alerts that
    match ``filter`` and were neither new nor changed after ``seen``.
    """

    deed: str
    alerts: dict[str, int | None] = {}
    lines: list[Line] = []
    hosts: list[str] = []
    filter: Wanted = msgspec.field(default_factory=Wanted)
    seen: str = ""
    reason: str | None = None
    note: str = ""
    assignee: str = ""
    until: str = ""
    length: str = ""


class UndoRequest(msgspec.Struct, forbid_unknown_fields=True):
    """``change``: the id of one's own change; empty for the last one."""

    change: str = ""


@get("/api/v1/alerts", opt=PEOPLE, sync_to_thread=True)
def list_alerts(
    asker: Asker,
    detect: Detect,
    alert_status: Annotated[str, QueryParameter(name="status")] = "",
    level: str = "",
    detector: str = "",
    subject: str = "",
    host: str = "",
    q: str = "",
    who: str = "",
    snoozed: str = "",
    order: str = "",
    cursor: str = "",
    limit: int = 50,
) -> AlertList:
    """Alerts, last changed first, or with ``order=queue`` the gravest first. ``detector``: indicator, sigma,
    source, hunt; ``subject``: its id; ``who``: mine, nobody or an account; ``snoozed``: any, no, only."""
    wanted = _filter(
        detect,
        asker.principal,
        Wanted(alert_status, level, detector, subject, host, q, who, snoozed),
    )
    if order not in ("", "queue"):
        raise InvalidInput("detect.unknown_filter", field="order", value=order[:40])
    page = detect.list_alerts(asker.principal, wanted, cursor=cursor, limit=limit, is_queue=order == "queue")
    return {"items": [alert_json(one) for one in page.items], "next": page.next, "total": page.total}


@get("/api/v1/alerts/lines", opt=PEOPLE, sync_to_thread=True)
def list_lines(
    asker: Asker,
    detect: Detect,
    alert_status: Annotated[str, QueryParameter(name="status")] = "",
    level: str = "",
    detector: str = "",
    subject: str = "",
    host: str = "",
    q: str = "",
    who: str = "",
    snoozed: str = "",
    by: str = "subject",
    cursor: str = "",
    limit: int = 50,
) -> AlertLineList:
    """The queue: a line for each rule, indicator, hunt or source, or ``by=host``; the gravest first."""
    if by not in (Grouping.SUBJECT, Grouping.HOST):
        raise InvalidInput("detect.unknown_filter", field="by", value=by[:40])
    wanted = _filter(
        detect,
        asker.principal,
        Wanted(alert_status, level, detector, subject, host, q, who, snoozed),
    )
    page = detect.list_groups(asker.principal, wanted, Grouping(by), cursor=cursor, limit=limit)
    return {"items": [line_json(one) for one in page.items], "next": page.next, "total": page.total}


@get("/api/v1/alerts/{alert_id:str}", opt=PEOPLE, sync_to_thread=True)
def show_alert(alert_id: str, asker: Asker, detect: Detect, catalogue: Catalogue) -> StoryShape:
    """One alert: the first and last events that matched, how many in each hour and on each host."""
    return story_json(detect.read_alert(asker.principal, alert_id), asker, catalogue)


@get("/api/v1/alerts/{alert_id:str}/history", opt=PEOPLE, sync_to_thread=True)
def show_history(alert_id: str, asker: Asker, detect: Detect) -> PastList:
    """What was done to an alert, by whom and when, the last first."""
    found = [past_json(one) for one in detect.history(asker.principal, alert_id)]
    return {"items": found, "next": None, "total": len(found)}


@post("/api/v1/alerts/{alert_id:str}/status", opt=PEOPLE, status_code=200, sync_to_thread=True)
def set_alert_status(alert_id: str, data: StatusRequest, asker: Asker, detect: Detect) -> AlertShape:
    """Acknowledge, close or open again. Who acknowledges an alert that is nobody's takes it."""
    changed = detect.set_status(
        asker.principal,
        alert_id,
        read_status(data.status),
        reason=read_reason(data.reason),
        note=data.note,
        version=data.version,
    )
    return alert_json(changed)


@post("/api/v1/alerts/{alert_id:str}/assign", opt=PEOPLE, status_code=200, sync_to_thread=True)
def assign_alert(alert_id: str, data: AssignRequest, asker: Asker, detect: Detect) -> AlertShape:
    """Give an alert to somebody."""
    work = Work(Deed.ASSIGN, assignee=data.assignee)
    return alert_json(detect.work(asker.principal, alert_id, work, version=data.version)[0])


@post("/api/v1/alerts/{alert_id:str}/snooze", opt=PEOPLE, status_code=200, sync_to_thread=True)
def snooze_alert(
    alert_id: str, data: SnoozeRequest, asker: Asker, detect: Detect, clock: Clock
) -> AlertShape:
    """Put an alert off: it is back in the queue when the time is over, or at once when its level rises."""
    work = Work(Deed.SNOOZE, until=read_until(data.until, data.length, clock.now()))
    return alert_json(detect.work(asker.principal, alert_id, work, version=data.version)[0])


@post("/api/v1/alerts/work", opt=PEOPLE, status_code=200, sync_to_thread=True)
def work_on_alerts(data: WorkRequest, asker: Asker, detect: Detect, clock: Clock) -> DoneShape:
    """Do one thing to many alerts in one transaction, at most 10,000."""
    if data.deed not in DEEDS:
        raise InvalidInput("detect.unknown_filter", field="deed", value=data.deed[:40])
    deed = Deed(data.deed)
    work = Work(
        deed,
        reason=read_reason(data.reason),
        note=data.note,
        assignee=data.assignee,
        until=read_until(data.until, data.length, clock.now()) if deed is Deed.SNOOZE else None,
    )
    picked = Picked(
        data.alerts,
        tuple((one.detector, one.subject) for one in data.lines),
        tuple(data.hosts),
        instants.parse(data.seen) if data.seen else None,
    )
    wanted = _filter(detect, asker.principal, data.filter)
    return done_json(detect.work_on(asker.principal, picked, work, wanted))


@post("/api/v1/alerts/undo", opt=PEOPLE, status_code=200, sync_to_thread=True)
def undo_work(data: UndoRequest, asker: Asker, detect: Detect) -> DoneShape:
    """Take one's own change back, wherever nobody changed anything since."""
    return done_json(detect.undo(asker.principal, data.change))


def _filter(detect: Detect, principal: Principal, wanted: Wanted) -> AlertFilter:
    return alert_filter(
        status=wanted.status,
        level=wanted.level,
        detector=wanted.detector,
        subject=wanted.subject,
        host=wanted.host,
        query=wanted.q,
        assignee=detect.assignee_of(principal, wanted.who),
        snoozed=wanted.snoozed,
    )


def read_status(text: str) -> Status:
    """Raises InvalidInput("detect.unknown_filter")."""
    if text not in list(Status):
        raise InvalidInput("detect.unknown_filter", field="status", value=text[:40])
    return Status(text)


def read_reason(text: str | None) -> CloseReason | None:
    """Raises InvalidInput("detect.unknown_filter")."""
    if not text:
        return None
    if text not in list(CloseReason):
        raise InvalidInput("detect.unknown_filter", field="reason", value=text[:40])
    return CloseReason(text)


def read_until(until: str, length: str, now: datetime) -> datetime | None:
    """An instant, or a length from now. Raises InvalidInput (``instant.invalid detect.unknown_filter``)."""
    if until:
        return instants.parse(until)
    if not length:
        return None
    seconds = durations.parse(length)
    if seconds is None:
        raise InvalidInput("detect.unknown_filter", field="length", value=length[:40])
    # Past the bound all lengths are alike: refused, whatever they are.
    return now + timedelta(seconds=min(seconds, 10**9))


routes: list[Any] = [
    list_alerts,
    list_lines,
    show_alert,
    show_history,
    set_alert_status,
    assign_alert,
    snooze_alert,
    work_on_alerts,
    undo_work,
]
