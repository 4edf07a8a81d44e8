"""What a button of triage asks for, read from a form: alike in the queue and on the page of one alert."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from istmo.detect.objects import CloseReason
from istmo.detect.objects_triage import LENGTHS, Deed, Picked, Until
from istmo.detect.service.alert_work import Work
from istmo.kit import times
from istmo.kit.asking import Asker
from istmo.kit.forms import one, several
from istmo.kit.pages import Faces
from istmo.model import instants
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
