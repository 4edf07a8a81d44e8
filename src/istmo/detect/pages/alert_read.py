"""One alert with its evidence, its timeline, what it was about, and what to do next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from litestar import Request, Response, get

from istmo.clock import Clock
from istmo.detect.attack import said_by
from istmo.detect.explaining import explain, explain_silence, explain_weighed
from istmo.detect.highlighting import show_event
from istmo.detect.objects import Alert, Rule, TakenBack
from istmo.detect.objects_hunt import SavedHunt
from istmo.detect.objects_triage import Deed, Neighbours, Past
from istmo.detect.pages.alert_deeds import MOST_CASES, REASONS, UNTILS, namer
from istmo.detect.service import Detect
from istmo.detect.sigma.documents import read_documents
from istmo.detect.sigma.problems import Refused
from istmo.detect.sigma.rules import content_of, texts
from istmo.errors import NotAllowed, NotFound
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form
from istmo.kit.pages import Faces, asker_of, faces_of, page
from istmo.kit.timeline import Bar, draw
from istmo.policy.actions import Action
from istmo.policy.principals import Principal
from istmo.policy.principals import told as told_of

TakenBackBy = Callable[[Principal, str], TakenBack | None]
Asked = Any
"""``TakenBackBy`` or ``Neighbours``, as Litestar hands it on: it would try to check such a type."""
AFTER: Final = {"acknowledge": "acknowledged", "close": "closed", "open": "open"}
"""The status that a deed leads to."""
PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "signin": ("logon", "authentication", "credential", "security", "auditd"),
    "network": ("network", "dns", "proxy", "firewall", "command-and-control", "zeek", "exfiltration"),
    "web": ("webserver", "apache", "nginx", "iis"),
    "file": ("file_", "registry", "persistence"),
    "process": ("process", "powershell", "script", "image_load", "driver"),
}
"""Where a rule looks, by words of its logsource and tags, the first that fits: what to do next differs."""


@get("/alerts/{id:str}", opt=PEOPLE, sync_to_thread=True)
def alert_page(
    request: Request[Any, Any, Any],
    id: str,
    detect: Detect,
    clock: Clock,
    names: dict[str, str],
    taken_back: Asked,
    neighbours: Asked,
) -> Response[Any]:
    """One alert: when, where, which fields matched, why, and what to do next."""
    return show_alert(request, id, detect, clock, names, taken_back, neighbours, Form())


def show_alert(
    request: Request[Any, Any, Any],
    id: str,
    detect: Detect,
    clock: Clock,
    names: dict[str, str],
    taken_back: TakenBackBy,
    neighbours: Neighbours,
    form: Form,
    yours: Mapping[str, str] | None = None,
) -> Response[Any]:
    """The page of an alert, with what was typed into ``form`` when something stood against it.

    ``taken_back`` tells whether the origin of an indicator has taken it back: an analyst must not act on it.
    ``yours``: what was asked for while somebody else was faster; both versions are shown.
    """
    asker, faces = asker_of(request), faces_of(request)
    story = detect.read_alert(asker.principal, id)
    alert = story.alert
    title = faces.catalogue.text(asker.language, "console.alert.timeline", n=alert.count)
    may_search = faces.may(asker.principal, Action.EVENT_SEARCH)
    may_work = faces.may(asker.principal, Action.ALERT_WORK)
    may_case = faces.may(asker.principal, Action.CASE_WORK)
    is_indicator = alert.detector == "indicator"
    chart = ""
    if len(story.hours) > 1:  # a single bar says nothing that its count and hour do not
        chart = draw([Bar(hour, count) for hour, count in story.hours], title=title, zone=asker.zone)
    rule = _rule(asker, detect, alert)
    near, same = detect.related(asker.principal, alert)
    history, people = detect.history(asker.principal, id), detect.people(asker.principal)
    return page(
        request,
        "detect/alert.html",
        status=200 if yours is None else 409,
        json_path=f"/api/v1/alerts/{alert.id}",
        form=form,
        both=_both(faces, asker, alert, yours, namer(faces, asker, people)) if yours else [],
        story=story,
        sources=detect.source_names(asker.principal) if may_search else {},
        alert=alert,
        now=clock.now(),
        chart=chart,
        evidence=[(one, show_event(one)) for one in story.evidence],
        names=names,
        reasons=[str(reason) for reason in REASONS],
        untils=[str(until) for until in UNTILS],
        rule=rule,
        attack=said_by(rule.tags) if rule else None,
        rule_notes=_rule_notes(rule),
        steps=_steps(alert, rule),
        near=near,
        same=same,
        history=history,
        undoable=_undoable(asker, alert, history) if may_work else "",
        people=people,
        who_is=namer(faces, asker, people),
        cases=neighbours.open_cases(asker.principal, MOST_CASES) if may_case else (),
        seen=neighbours.sightings(asker.principal, alert.subject) if is_indicator else (),
        **_in_words(faces, asker, alert),
        hunt=_hunt(asker, detect, alert),
        may_read_sources=faces.may(asker.principal, Action.SOURCE_READ),
        retraction=taken_back(asker.principal, alert.subject) if is_indicator else None,
        hunt_problem=detect.detection(alert.subject).hunt_problem if is_indicator else None,
        may_work=may_work,
        may_case=may_case,
    )


def _in_words(faces: Faces, asker: Asker, alert: Alert) -> dict[str, Any]:
    """Why there is an alert, of whichever kind it is; empty for the others."""
    words, language = faces.catalogue, asker.language
    return {
        "explanation": " ".join(explain(words, language, alert.correlation)) if alert.correlation else "",
        "silence": " ".join(explain_silence(words, language, alert.silence, asker.zone))
        if alert.silence
        else "",
        "weighed": explain_weighed(words, language, alert.weighed) if alert.weighed else [],
    }


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


def _both(
    faces: Faces, asker: Asker, alert: Alert, yours: Mapping[str, str], name: Callable[[str], str]
) -> list[tuple[str, str, str]]:
    """An alert as it is now beside what was asked for: label, now, yours."""

    def say(key: str) -> str:
        return faces.catalogue.text(asker.language, key)

    deed, _, more = yours["do"].partition(":")
    status = AFTER.get(deed, str(alert.status))
    reason = more if deed == Deed.CLOSE and more in REASONS else None if deed in AFTER else alert.reason
    mine = say("console.triage.me") if more == "me" else yours["assignee"]
    whose = name(alert.assignee) if alert.assignee else ""
    return [
        (
            say("console.filter.state"),
            say(f"console.alert.status.{alert.status}"),
            say(f"console.alert.status.{status}"),
        ),
        (
            say("console.retract.reason"),
            say(f"console.alert.reason.{alert.reason}") if alert.reason else "",
            say(f"console.alert.reason.{reason}") if reason else "",
        ),
        (say("console.triage.whose"), whose, mine if deed == Deed.ASSIGN else whose),
        (say("console.case.note"), alert.note, yours["note"] or alert.note),
    ]


def _steps(alert: Alert, rule: Rule | None) -> list[str]:
    """Keys of what to do next, by what found it and where a rule looks."""
    kind = alert.detector
    if alert.correlation is not None:
        kind = "correlation"
    elif rule is not None:
        looked = f"{rule.logsource} {' '.join(rule.tags)}".lower()
        kind = next((name for name, words in PLACES.items() if any(word in looked for word in words)), kind)
    return [f"console.triage.next.{kind}.{number}" for number in (1, 2, 3)]


def _undoable(asker: Asker, alert: Alert, history: tuple[Past, ...]) -> str:
    """The change that the asker can take back here; empty where there is none."""
    for past in history:
        if past.deed is Deed.WAKE:
            continue
        is_own = past.by == told_of(asker.principal) and past.version == alert.version
        return past.change if is_own and not past.is_undone and past.deed is not Deed.UNDO else ""
    return ""


def _rule_notes(rule: Rule | None) -> dict[str, list[str]]:
    """What a rule says beside its conditions: when it is wrong, and where to read more."""
    found: dict[str, list[str]] = {"falsepositives": [], "references": []}
    if rule is not None:
        try:
            content = content_of(next(iter(read_documents(rule.text.encode("utf-8", "replace")))))
            found = {name: list(texts(content, name)) for name in found}
        except (Refused, StopIteration):
            return found
    return found


routes = [alert_page]
