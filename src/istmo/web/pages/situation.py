"""The situation: what needs attention, what changed, whether the region and the watch are in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from litestar import Request, Response, get

from istmo.clock import Clock
from istmo.detect.objects import AlertFilter, Level, Snoozed, Status, WorkerNotice, WorkerState
from istmo.detect.service import Detect
from istmo.doctor import FULL_DISK_BYTES, free_disk
from istmo.federation.service import Federation
from istmo.intel.objects import State
from istmo.intel.pages.names_shown import names_shown
from istmo.intel.service import Intel
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.pages import faces_of, page
from istmo.respond.records import Filter
from istmo.respond.service import Respond
from istmo.settings import Settings
from istmo.web.pages.situation_drawn import Trouble, Words, alerts_over_time, draw_region, taken_in
from istmo.web.pages.situation_looks import Looks

LOOKED = "looked"
_ROWS = 8
_WEEK = timedelta(days=7)
_MONTH_SECONDS = 30 * 86_400


MOST_NEW = 1_000
"""New objects are counted so far; past it they are only said to be more."""
WAITING = AlertFilter(status=Status.OPEN, snoozed=Snoozed.NO)
"""What the queue shows first: open, and not put off."""
_GRAVE = ("critical", "high")
_NOTICES_LAST = timedelta(days=1)
"""What the worker wanted known is history after that: the service's log has it."""


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
    """One look: what changed, alerts by level, cases at work, the region, the watch."""
    faces, now = faces_of(request), clock.now()
    words = Words(faces.catalogue, asker.language)
    counts = detect.count_alerts(asker.principal)
    levels = [(str(level), counts.get((Status.OPEN, level, False), 0)) for level in reversed(Level)]
    peers = federation.peers(asker.principal)
    worker = detect.worker(asker.principal)
    looks = Looks.read(request.cookies.get(faces.cookie(LOOKED), ""), now)
    looked = looks.before
    recent = intel.search(asker.principal, state=State.LIVE, parts=False, limit=_ROWS).items
    away = [one for one in peers if one.state != "connected"]
    cases = [
        one
        for status in ("working", "contained", "open")
        for one in respond.list_cases(asker.principal, Filter(status=status), limit=_ROWS).items
    ]
    answer = page(
        request,
        "web/situation.html",
        json_path="/api/v1/node",
        levels=levels,
        open_alerts=sum(count for _, count in levels),
        put_off=sum(n for (status, _, is_off), n in counts.items() if is_off and status is not Status.CLOSED),
        acknowledged=sum(counts.get((Status.ACKNOWLEDGED, level, False), 0) for level in Level),
        lines=detect.list_groups(asker.principal, WAITING, limit=_ROWS).items,
        chart=alerts_over_time(words, detect, asker, request.query_params.get("span", ""), now),
        techniques=detect.techniques_since(asker.principal, now - _WEEK, 5),
        most_new=MOST_NEW,
        changed=_changed(intel, detect, respond, asker, looked) if looked else None,
        cases=cases,
        grave=sum(one.severity in _GRAVE for one in cases),
        blind=_blind(worker),
        objects=recent,
        fresh={one.id for one in recent if looked and one.received > looked},
        looked=looked,
        peers=peers,
        region=draw_region(words, peers, faces.settings),
        worker=worker,
        intake=taken_in(words, detect, asker, now),
        troubles=_troubles(words, worker, faces.settings, len(away), len(peers), now)
        + _asking(words, federation.asking(asker.principal)),
        names=intel.names(),
        **names_shown(request, asker),
    )
    if "hx-request" not in request.headers:
        answer.set_cookie(faces.bake(LOOKED, looks.again(now).cookie, seconds=_MONTH_SECONDS, lax=True))
    return answer


@dataclass(frozen=True)
class Changed:
    """What came since somebody looked, as far as the asker may know of it."""

    alerts: int
    worst: str
    objects: int
    cases: int


def _changed(intel: Intel, detect: Detect, respond: Respond, asker: Asker, since: datetime) -> Changed:
    arisen = detect.alerts_since(asker.principal, since)
    touched = respond.list_cases(asker.principal, Filter(), limit=50).items
    return Changed(
        sum(arisen.values()),
        str(max(arisen, key=tuple(Level).index)) if arisen else "",
        intel.received_since(asker.principal, since, MOST_NEW + 1),
        sum(one.updated > since for one in touched),
    )


def _blind(worker: WorkerState) -> str:
    """What keeps a node from seeing anything though all of it runs; empty where nothing does."""
    if worker.state != "ready":
        return ""  # that is told as a trouble
    if not worker.rules and worker.indicators == 0:
        return "unwatched"
    return "" if worker.stored or worker.rate else "silent"


def _troubles(
    words: Words, worker: WorkerState, settings: Settings, away: int, peers: int, now: datetime
) -> list[Trouble]:
    found = []
    if free_disk(settings) < FULL_DISK_BYTES and worker.intake_problem != "detect.disk_full":
        found.append(words.trouble("web.trouble.disk"))
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


def _asking(words: Words, names: list[str]) -> list[Trouble]:
    """Whoever stands at the region's door, for those who may let them in: their code lapses."""
    if not names:
        return []
    told = words.trouble("web.trouble.asking", n=len(names), names=", ".join(names))
    return [replace(told, path="/peers", grade="warn")]


def _worth_telling(worker: WorkerState, now: datetime) -> Iterator[WorkerNotice]:
    """The worker's notices of late, one a code, without what stands above them or has passed."""
    told = {worker.intake_problem}
    for notice in worker.notices:  # the latest first
        if notice.code not in told and now - notice.at < _NOTICES_LAST:
            yield notice
        told.add(notice.code)
        if notice.code == "detect.disk_has_room":
            told.add("detect.disk_full")


routes = [situation]
