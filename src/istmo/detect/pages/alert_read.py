"""The alerts, and one alert with its evidence, its timeline and what it was about."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from litestar import Request, Response, get

from istmo.detect.explaining import explain, explain_silence, explain_weighed
from istmo.detect.objects import Alert, AlertFilter, CloseReason, Evidence, Level, Rule, Status, TakenBack
from istmo.detect.objects_hunt import SavedHunt
from istmo.detect.service import Detect
from istmo.errors import NotAllowed, NotFound
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form
from istmo.kit.pages import asker_of, faces_of, page
from istmo.kit.timeline import Bar, draw
from istmo.policy.actions import Action
from istmo.policy.principals import Principal

ROWS = 50
FILTERS = ("q", "status", "level", "detector", "host")
DETECTORS = ("indicator", "sigma", "hunt", "source")
SHOWN_BYTES = 6_000
TakenBackBy = Callable[[Principal, str], TakenBack | None]
Asked = Any
"""``TakenBackBy``, as Litestar hands it on: it would try to check a callable's type."""


@get("/alerts", opt=PEOPLE, sync_to_thread=True)
def alert_list(request: Request[Any, Any, Any], asker: Asker, detect: Detect) -> Response[Any]:
    """Alerts, last changed first; open ones unless the address says otherwise."""
    query = request.query_params
    chosen = {name: query.get(name, "")[:200] for name in FILTERS}
    if "status" not in query:
        chosen["status"] = str(Status.OPEN)
    cursor = query.get("cursor", "")[:300]
    wanted = AlertFilter(
        status=Status(chosen["status"]) if chosen["status"] in set(Status) else None,
        level=Level(chosen["level"]) if chosen["level"] in set(Level) else None,
        detector=chosen["detector"] if chosen["detector"] in DETECTORS else "",
        host=chosen["host"],
        words=tuple(chosen["q"].lower().split()[:8]),
    )
    found = detect.list_alerts(asker.principal, wanted, cursor=cursor or None, limit=ROWS)
    return page(
        request,
        "detect/alerts.html",
        found=found,
        chosen=chosen,
        is_filtered=any(chosen[name] for name in FILTERS if name != "status"),
        is_first=not cursor,
        statuses=[str(status) for status in Status],
        levels=[str(level) for level in reversed(Level)],
        detectors=DETECTORS,
    )


@get("/alerts/{id:str}", opt=PEOPLE, sync_to_thread=True)
def alert_page(
    request: Request[Any, Any, Any], id: str, detect: Detect, names: dict[str, str], taken_back: Asked
) -> Response[Any]:
    """One alert: when, where, which fields matched, why, and what to do next."""
    return show_alert(request, id, detect, names, taken_back, Form())


def show_alert(
    request: Request[Any, Any, Any],
    id: str,
    detect: Detect,
    names: dict[str, str],
    taken_back: TakenBackBy,
    form: Form,
) -> Response[Any]:
    """The page of an alert, with what was typed into ``form`` when something stood against it.

    ``taken_back`` tells whether the origin of an indicator has taken it back: an analyst must not act on it.
    """
    asker, faces = asker_of(request), faces_of(request)
    story = detect.read_alert(asker.principal, id)
    alert = story.alert
    title = faces.catalogue.text(asker.language, "console.alert.timeline", n=alert.count)
    may_search = faces.may(asker.principal, Action.EVENT_SEARCH)
    chart = ""
    if story.hours:
        chart = draw([Bar(hour, count) for hour, count in story.hours], title=title, zone=asker.zone)
    return page(
        request,
        "detect/alert.html",
        form=form,
        story=story,
        sources=detect.source_names(asker.principal) if may_search else {},
        alert=alert,
        chart=chart,
        evidence=[(one, shown_event(one)) for one in story.evidence],
        names=names,
        reasons=[str(reason) for reason in CloseReason],
        rule=_rule(asker, detect, alert),
        explanation=" ".join(explain(faces.catalogue, asker.language, alert.correlation))
        if alert.correlation
        else "",
        silence=" ".join(explain_silence(faces.catalogue, asker.language, alert.silence, asker.zone))
        if alert.silence
        else "",
        hunt=_hunt(asker, detect, alert),
        weighed=explain_weighed(faces.catalogue, asker.language, alert.weighed) if alert.weighed else [],
        may_read_sources=faces.may(asker.principal, Action.SOURCE_READ),
        retraction=taken_back(asker.principal, alert.subject) if alert.detector == "indicator" else None,
        hunt_problem=detect.detection(alert.subject).hunt_problem if alert.detector == "indicator" else None,
        may_work=faces.may(asker.principal, Action.ALERT_WORK),
        may_promote=faces.may(asker.principal, Action.CASE_WORK),
    )


def _rule(asker: Asker, detect: Detect, alert: Alert) -> Rule | None:
    """The Sigma rule that an alert is about, where it is still here and the asker may read it."""
    if alert.detector != "sigma":
        return None
    try:
        return detect.read_rule(asker.principal, alert.subject)
    except (NotFound, NotAllowed):
        return None


def _hunt(asker: Asker, detect: Detect, alert: Alert) -> SavedHunt | None:
    """The saved hunt that an alert is about, where it is still here and the asker may see it."""
    if alert.detector != "hunt":
        return None
    try:
        return detect.read_hunt(asker.principal, alert.subject)
    except (NotFound, NotAllowed):
        return None


def shown_event(evidence: Evidence) -> str:
    """The event as its sender wrote it, indented when it is JSON, cut at a bound."""
    text = evidence.raw[:SHOWN_BYTES].decode("utf-8", "replace")
    if len(evidence.raw) > SHOWN_BYTES:
        return text
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


routes = [alert_list, alert_page]
