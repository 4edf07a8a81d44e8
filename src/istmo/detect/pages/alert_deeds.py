"""What a button of triage asks for, read from a form: alike in the queue and on the page of one alert."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from litestar import Request, Response

from istmo.detect.objects import AlertFilter, CloseReason
from istmo.detect.objects_triage import LENGTHS, Deed, Neighbours, Picked, Until
from istmo.detect.service import Detect
from istmo.detect.service.alert_work import Work
from istmo.errors import Conflict, InvalidInput, IstmoError
from istmo.kit import times
from istmo.kit.asking import Asker
from istmo.kit.forms import one, several
from istmo.kit.pages import Faces, Undo, back_to
from istmo.model import instants
from istmo.model.markings import Tlp
from istmo.policy.principals import told

MORNING: Final = 7
"""The hour of the asker's zone at which what was put off until morning is back."""
REASONS: Final = tuple(CloseReason)
UNTILS: Final = tuple(Until)
MOST_PICKED: Final = 500
CASE: Final = "case"
MOST_CASES: Final = 8
MOST_IN_CASE: Final = 50
"""Alerts that one press puts into a case: each is quoted there, and a case is read by people."""


def read_work(sent: Mapping[str, Any], asker: Asker, now: datetime) -> Work | None:
    """The work that ``do`` names: ``acknowledge``, ``close:resolved``, ``snooze:day`` …; None: no such."""
    deed, _, more = one(sent, "do").partition(":")
    note = one(sent, "note")
    match deed:
        case Deed.ACKNOWLEDGE | Deed.OPEN:
            return Work(Deed(deed), note=note)
        case Deed.CLOSE:
            reason = more or one(sent, "reason")
            return Work(Deed.CLOSE, CloseReason(reason) if reason in REASONS else None, note)
        case Deed.ASSIGN:
            return Work(Deed.ASSIGN, assignee=more or one(sent, "assignee"))
        case Deed.SNOOZE:
            return Work(Deed.SNOOZE, until=read_until(more, now, asker.zone))
    return None


def put_into_case(
    request: Request[Any, Any, Any],
    asker: Asker,
    detect: Detect,
    neighbours: Neighbours,
    picked: Picked,
    wanted: AlertFilter,
    address: str,
    into: str,
) -> Response[Any]:
    """Put what was picked into the case that ``into`` names; who does so has it in hand, and may undo that.

    ``into``: what follows ``case:`` in a button of triage: the case's id (empty: a new one), and after
    another colon the marking that it may rise to.
    """
    case, _, raise_to = into.partition(":")
    chosen, left = detect.pick_out(asker.principal, picked, wanted, MOST_IN_CASE)
    if not chosen.alerts:
        raise Conflict("detect.alert_changed") if left else InvalidInput("detect.nothing_picked")
    name = neighbours.put_into_case(asker.principal, case, tuple(chosen.alerts), Tlp.read(raise_to))
    done = detect.work_on(asker.principal, chosen, Work(Deed.ACKNOWLEDGE))
    undo = Undo("/alerts/undo", {"change": done.change, "next": address}) if done.change else None
    return back_to(
        request,
        address,
        notice="console.notice.triage.case_left" if left else "console.notice.triage.case",
        n=len(chosen.alerts),
        left=left,
        case=name.title,
        undo=undo,
    )


def confirmation(into: str, error: IstmoError) -> str:
    """What a button says that does it all the same; empty where that would not be enough."""
    tlp = error.params.get("tlp", "") if error.code.startswith("respond.raises_marking") else ""
    return f"{CASE}:{into.partition(':')[0]}:{tlp}" if tlp else ""


def namer(faces: Faces, asker: Asker, people: Mapping[str, str]) -> Callable[[str], str]:
    """What somebody is called, by ``policy.told``; ``people``: names of accounts."""

    def name(who: str) -> str:
        if who == told(asker.principal):
            return faces.catalogue.text(asker.language, "console.triage.me")
        if who == "operator":
            return faces.catalogue.text(asker.language, "detect.hunts.operator")
        if who.startswith("system:"):
            return faces.catalogue.text(asker.language, "console.triage.itself")
        return people.get(who, who)

    return name


def notice_of(work: Work) -> str:
    """The key of what is said when it is done."""
    is_woken = work.deed is Deed.SNOOZE and work.until is None
    return f"console.notice.triage.{'woken' if is_woken else work.deed}"


def read_until(choice: str, now: datetime, zone: str) -> datetime | None:
    """When what is put off is back; None for no choice that there is: at once."""
    if choice not in UNTILS:
        return None
    until = Until(choice)
    if until in LENGTHS:
        return now + LENGTHS[until]
    there = now.astimezone(times.zone(zone) or UTC)
    morning = there.replace(hour=MORNING, minute=0, second=0, microsecond=0)
    return (morning if there < morning else morning + timedelta(days=1)).astimezone(UTC)


def read_picked(sent: Mapping[str, Any]) -> Picked:
    """What was picked: ``alert:ID:VERSION``, ``line:DETECTOR:SUBJECT`` or ``host:NAME``, any number each."""
    alerts: dict[str, int | None] = {}
    lines, hosts = [], []
    for text in several(sent, "pick")[:MOST_PICKED]:
        kind, _, rest = text.partition(":")
        first, _, second = rest.partition(":")
        if kind == "alert" and first:
            alerts[first[:80]] = int(second) if second.isdecimal() and len(second) < 10 else None
        elif kind == "line" and second:
            lines.append((first, second[:200]))
        elif kind == "host" and rest:
            hosts.append(rest[:255])
    seen = one(sent, "seen")
    return Picked(alerts, tuple(lines), tuple(hosts), instants.parse(seen) if seen else None)
