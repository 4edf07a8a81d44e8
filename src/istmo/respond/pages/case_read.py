"""The list of cases, and one case with its timeline."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get

from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form
from istmo.kit.pages import faces_of, page
from istmo.policy.actions import Action
from istmo.respond.objects import Severity, Status
from istmo.respond.records import Filter
from istmo.respond.service import Respond

FILTERS = ("q", "status", "severity", "opener")
STATUSES = [str(status) for status in Status]
SEVERITIES = [str(severity) for severity in reversed(Severity)]


@get("/cases", opt=PEOPLE, sync_to_thread=True)
def case_list(
    request: Request[Any, Any, Any], asker: Asker, respond: Respond, names: dict[str, str]
) -> Response[Any]:
    """Cases, last touched first."""
    chosen = {name: request.query_params.get(name, "")[:200] for name in FILTERS}
    cursor = request.query_params.get("cursor", "")[:300]
    found = respond.list_cases(asker.principal, _filter(chosen), cursor=cursor)
    return page(
        request,
        "respond/cases.html",
        found=found,
        chosen=chosen,
        is_filtered=any(chosen.values()),
        is_first=not cursor,
        names=names,
        statuses=STATUSES,
        severities=SEVERITIES,
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


def show_case(
    request: Request[Any, Any, Any],
    id: str,
    asker: Asker,
    respond: Respond,
    names: dict[str, str],
    own_member: str,
    form: Form,
) -> Response[Any]:
    """The page of a case, with what was typed into ``form`` when something stood against it."""
    case = respond.read(asker.principal, id)
    may = faces_of(request).may
    return page(
        request,
        "respond/case.html",
        form=form,
        case=case,
        names=names,
        own_member=own_member,
        statuses=STATUSES,
        severities=SEVERITIES,
        others=[(one, name) for one, name in sorted(names.items(), key=_by_name) if one not in case.members],
        may_work=may(asker.principal, Action.CASE_WORK) and not case.is_invitation,
        may_share=may(asker.principal, Action.CASE_SHARE) and not case.is_invitation,
    )


def _filter(chosen: dict[str, str]) -> Filter:
    return Filter(chosen["q"], chosen["status"], chosen["severity"], chosen["opener"])


def _by_name(one: tuple[str, str]) -> str:
    return one[1].lower()


routes = [case_list, case_page]
