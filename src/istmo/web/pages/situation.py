"""The situation: what needs attention, what changed, whether the region and the watch are in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from litestar import Request, Response, get

from istmo.clock import Clock
from istmo.detect.objects import Alert, AlertFilter, Level, Status, WorkerNotice, WorkerState
from istmo.detect.service import Detect
from istmo.errors import InvalidInput
from istmo.federation.service import Federation
from istmo.intel.objects import State
from istmo.intel.service import Intel
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.kit.pages import faces_of, page
from istmo.model import instants
from istmo.respond.records import Filter
from istmo.respond.service import Respond

LOOKED = "looked"
_ROWS = 8
_WEEK = 7 * 86_400


_NOTICES_LAST = timedelta(days=1)
"""What the worker wanted known is history after that: the service's log has it."""


@dataclass(frozen=True)
class Trouble:
    """Something that keeps all from being well, in the asker's words, and where to go."""

    what: str
    remedy: str
    path: str = ""
    grade: str = "bad"
    """``bad`` while it lasts; ``warn`` for what has happened."""
    at: datetime | None = None


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
        troubles=_troubles(
            Words(faces.catalogue, asker.language), worker, len(away), len(peers), clock.now()
        ),
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


def _troubles(words: Words, worker: WorkerState, away: int, peers: int, now: datetime) -> list[Trouble]:
    found = []
    if worker.state != "ready":
        found.append(words.trouble("web.trouble.worker"))
    if worker.intake_problem:
        reason = words.text(f"error.{worker.intake_problem}")
        found.append(words.trouble("web.trouble.intake", reason=reason))
    if away:
        found.append(replace(words.trouble("web.trouble.members", n=away, total=peers), path="/peers"))
    for notice in _worth_telling(worker, now):
        told = words.trouble(f"error.{notice.code}", **notice.params)
        found.append(replace(told, grade="warn", at=notice.at))
    return found


def _worth_telling(worker: WorkerState, now: datetime) -> Iterator[WorkerNotice]:
    """The worker's notices of late, one a code, without what stands above them or has passed."""
    told = {worker.intake_problem}
    for notice in worker.notices:  # the latest first
        if notice.code not in told and now - notice.at < _NOTICES_LAST:
            yield notice
        told.add(notice.code)
        if notice.code == "detect.disk_has_room":
            told.add("detect.disk_full")


@dataclass(frozen=True)
class Words:
    """The catalogue in one language."""

    catalogue: Catalogue
    language: str

    def text(self, key: str, **params: Any) -> str:
        return self.catalogue.text(self.language, key, **params)

    def trouble(self, key: str, **params: Any) -> Trouble:
        return Trouble(self.text(key, **params), self.text(f"{key}.remedy", **params))


def _last_look(text: str, now: datetime) -> datetime | None:
    """When this browser looked before; what is no instant of the past counts as never."""
    try:
        found = instants.parse(text)
    except InvalidInput:
        return None
    return found if found <= now else None


routes = [situation]
