"""The situation: what needs attention, what changed, whether the region and the watch are in order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from litestar import Request, Response, get

from istmo.clock import Clock
from istmo.detect.objects import Alert, AlertFilter, Level, Status
from istmo.detect.service import Detect
from istmo.errors import InvalidInput
from istmo.federation.service import Federation
from istmo.intel.objects import State
from istmo.intel.service import Intel
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.pages import faces_of, page
from istmo.model import instants
from istmo.respond.records import Filter
from istmo.respond.service import Respond

LOOKED = "looked"
_ROWS = 8
_WEEK = 7 * 86_400


@dataclass(frozen=True)
class Trouble:
    """Something that keeps all from being well: a text, its parameters, and where to go."""

    key: str
    params: dict[str, Any]
    path: str


@get("/", opt=PEOPLE, sync_to_thread=True)
def situation(
    request: Request[Any, Any, Any],
    asker: Asker,
    intel: Intel,
    detect: Detect,
    respond: Respond,
    federation: Federation,
    clock: Clock,
) -> Response[Any]:
    """One look: alerts by level, cases at work, members, indicators, intake."""
    counts = detect.count_alerts(asker.principal)
    levels = [(str(level), counts.get((Status.OPEN, level), 0)) for level in reversed(Level)]
    peers = federation.peers(asker.principal)
    worker = detect.worker(asker.principal)
    away = [one for one in peers if one.state != "connected"]
    faces = faces_of(request)
    looked = _last_look(request.cookies.get(faces.cookie(LOOKED), ""), clock.now())
    recent = intel.search(asker.principal, state=State.LIVE, limit=_ROWS).items
    answer = page(
        request,
        "web/situation.html",
        levels=levels,
        open_alerts=sum(count for _, count in levels),
        acknowledged=sum(counts.get((Status.ACKNOWLEDGED, level), 0) for level in Level),
        alerts=_worst_first(detect, asker),
        cases=respond.list_cases(asker.principal, Filter(status="working"), limit=_ROWS).items
        + respond.list_cases(asker.principal, Filter(status="open"), limit=_ROWS).items,
        objects=recent,
        fresh={one.id for one in recent if looked and one.received > looked},
        looked=looked,
        indicators=intel.counts(asker.principal).get("indicator", 0),
        peers=peers,
        worker=worker,
        troubles=_troubles(worker.state, worker.intake_problem, len(away), len(peers)),
        names=intel.names(),
    )
    if "hx-request" not in request.headers:
        answer.set_cookie(faces.bake(LOOKED, instants.format(clock.now()), seconds=_WEEK, lax=True))
    return answer


def _worst_first(detect: Detect, asker: Asker) -> list[Alert]:
    """Open alerts, the gravest level first and in each the last changed: what to look at next."""
    found: list[Alert] = []
    for level in reversed(Level):
        wanted = AlertFilter(status=Status.OPEN, level=level)
        if len(found) < _ROWS:
            found += detect.list_alerts(asker.principal, wanted, limit=_ROWS - len(found)).items
    return found


def _troubles(state: str, intake_problem: str, away: int, peers: int) -> list[Trouble]:
    found = []
    if state != "ready":
        found.append(Trouble("web.trouble.worker", {"state": state}, ""))
    if intake_problem:
        found.append(Trouble("web.trouble.intake", {"code": intake_problem}, ""))
    if away:
        found.append(Trouble("web.trouble.members", {"n": away, "total": peers}, "/peers"))
    return found


def _last_look(text: str, now: datetime) -> datetime | None:
    """When this browser looked before; what is no instant of the past counts as never."""
    try:
        found = instants.parse(text)
    except InvalidInput:
        return None
    return found if found <= now else None


routes = [situation]
