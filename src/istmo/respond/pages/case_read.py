"""The list of cases, one case with its timeline, and the case as a report to print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

from litestar import Request, Response, get

from istmo.kit import times
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form
from istmo.kit.pages import faces_of, page
from istmo.model import instants
from istmo.policy.actions import Action
from istmo.respond.objects import Case, CaseEntry, Severity, Status
from istmo.respond.records import Filter
from istmo.respond.service import Respond

FILTERS = ("q", "status", "severity", "mine", "owner", "member", "opener", "since")
STATUSES = [str(status) for status in Status]
SEVERITIES = [str(severity) for severity in reversed(Severity)]
ENTRIES: Final = 100
ENTRY_BYTES: Final = 100_000
"""Of a timeline on one page: so many entries, and fewer where they are long."""
TASKS: Final = 50


@dataclass(frozen=True)
class Part:
    """The entries of a timeline that one page shows, in order."""

    entries: Sequence[CaseEntry]
    before: str
    """The entry that they go before; empty: they are the newest."""
    older: str
    """The entry before which there are more; empty: there are none."""


@get("/cases", opt=PEOPLE, sync_to_thread=True)
def case_list(
    request: Request[Any, Any, Any], asker: Asker, respond: Respond, names: dict[str, str]
) -> Response[Any]:
    """Cases, last touched first."""
    chosen = {name: request.query_params.get(name, "")[:200] for name in FILTERS}
    cursor = request.query_params.get("cursor", "")[:300]
    wanted = _filter(chosen, asker, respond)
    found = respond.list_cases(asker.principal, wanted, cursor=cursor)
    return page(
        request,
        "respond/cases.html",
        json_path=_json_path(chosen, wanted),
        found=found,
        chosen=chosen,
        is_filtered=any(chosen.values()),
        is_first=not cursor,
        names=names,
        statuses=STATUSES,
        severities=SEVERITIES,
        shown_owner=lambda owner: owner_text(owner, names),
    )


@get("/cases/{id:str}", opt=PEOPLE, sync_to_thread=True)
def case_page(
    request: Request[Any, Any, Any],
    id: str,
    asker: Asker,
    respond: Respond,
    names: dict[str, str],
    own_member: str,
) -> Response[Any]:
    """One case: where it stands, what happened by whom, what is to be done."""
    return show_case(request, id, asker, respond, names, own_member, Form())


@get("/cases/{id:str}/report", opt=PEOPLE, sync_to_thread=True)
def case_report(
    request: Request[Any, Any, Any], id: str, asker: Asker, respond: Respond, names: dict[str, str]
) -> Response[Any]:
    """The case on paper: what it is, where it stands, who is on it, what happened in order."""
    case = respond.read(asker.principal, id)
    return page(
        request,
        "respond/case_report.html",
        json_path=_api_path(case),
        case=case,
        names=names,
        opened=case.timeline[0].created if case.timeline else None,
        touched=case.timeline[-1].created if case.timeline else None,
        owner=owner_text(case.owner.value, names),
        now=faces_of(request).clock.now(),
    )


def show_case(
    request: Request[Any, Any, Any],
    id: str,
    asker: Asker,
    respond: Respond,
    names: dict[str, str],
    own_member: str,
    form: Form,
    *,
    status: int = 200,
    both: tuple[list[tuple[str, str, str]], str, datetime | None] | None = None,
) -> Response[Any]:
    """The page of a case, with what was typed into ``form`` when something stood against it.

    ``both``: where somebody else was faster, rows of what is now and what was wanted, by whom and when.
    """
    case = respond.read(asker.principal, id)
    may = faces_of(request).may
    standing = {"status": case.status.value, "severity": case.severity.value, "owner": case.owner.value}
    form.values = {**standing, **form.values}
    part = _part(case.timeline, request.query_params.get("cursor", ""))
    return page(
        request,
        "respond/case.html",
        json_path=_api_path(case),
        status=status,
        form=form,
        case=case,
        part=part,
        tasks=sorted(case.tasks, key=lambda one: one.is_done)[:TASKS],
        both=both,
        names=names,
        own_member=own_member,
        statuses=STATUSES,
        severities=SEVERITIES,
        owners=_owners(case, names, respond.owner_name(asker.principal), form.values["owner"]),
        owner=owner_text(case.owner.value, names),
        shown_owner=lambda owner: owner_text(owner, names),
        unseen=_unseen(case, part.entries, names),
        others=[(one, name) for one, name in sorted(names.items(), key=_by_name) if one not in case.members],
        may_work=may(asker.principal, Action.CASE_WORK) and not case.is_invitation,
        may_share=may(asker.principal, Action.CASE_SHARE) and not case.is_invitation,
    )


def owner_text(owner: str, names: Mapping[str, str]) -> str:
    """An owner as people read it; empty where nobody leads."""
    member, _, name = owner.partition("/")
    called = names.get(member, member)
    return f"{called} · {name}" if name else called


def _owners(case: Case, names: Mapping[str, str], me: str, chosen: str) -> list[tuple[str, str]]:
    """Who could lead: whoever asks, each member on the case, and whoever does now."""
    known = [me, *sorted(case.members, key=lambda one: names.get(one, one).lower())]
    known += [one for one in dict.fromkeys((case.owner.value, chosen)) if one and one not in known]
    return [(one, owner_text(one, names)) for one in known]


def _part(timeline: Sequence[CaseEntry], before: str) -> Part:
    """The newest entries before the one that is named, or of all where there is none of that name."""
    end = next((place for place, one in enumerate(timeline) if one.id == before), 0)
    before = before if end else ""
    start = end = end or len(timeline)
    size = 0
    while start and end - start < ENTRIES:
        size += len(timeline[start - 1].raw)
        if size > ENTRY_BYTES and start < end:
            break
        start -= 1
    return Part(timeline[start:end], before, timeline[start].id if start else "")


def _unseen(case: Case, entries: Sequence[CaseEntry], names: Mapping[str, str]) -> dict[str, list[str]]:
    """By entry: the members on the case to whom it did not go, as far as is known here."""
    found = {
        entry.id: sorted(names.get(one, one) for one in case.members - entry.readers)
        for entry in entries
        if not entry.is_withheld
    }
    return {id: members for id, members in found.items() if members}


def _filter(chosen: Mapping[str, str], asker: Asker, respond: Respond) -> Filter:
    wanted = Filter(
        q=chosen["q"],
        status=chosen["status"],
        severity=chosen["severity"],
        opener=chosen["opener"],
        owner=chosen["owner"],
        member=chosen["member"],
        since=_day(chosen["since"], asker.zone),
    )
    return replace(wanted, owner=respond.owner_name(asker.principal)) if chosen["mine"] else wanted


def _day(text: str, zone: str) -> datetime | None:
    """When a day begins in the asker's zone; None where it is no day."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=times.zone(zone) or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _json_path(chosen: Mapping[str, str], wanted: Filter) -> str:
    told = {name: chosen[name] for name in FILTERS if name not in ("since", "mine") and chosen[name]}
    if chosen["mine"]:
        told["mine"] = "true"
    if wanted.since is not None:
        told["since"] = instants.format(wanted.since)
    return "/api/v1/cases" + (f"?{urlencode(told)}" if told else "")


def _api_path(case: Case) -> str:
    return f"/api/v1/cases/{quote(case.id, safe='')}"


def _by_name(one: tuple[str, str]) -> str:
    return one[1].lower()


routes = [case_list, case_page, case_report]
