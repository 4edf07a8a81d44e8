"""The audit trail, read: who did what to which thing, how it went, and why it was denied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request, Response, get

from istmo.errors import InvalidInput, IstmoError
from istmo.identity.objects import AuditLine
from istmo.identity.service import Identity
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form
from istmo.kit.i18n import Catalogue
from istmo.kit.pages import page, told, with_query
from istmo.web.audit_api import read_audit_filter

OUTCOMES = ("done", "denied", "failed")
NAMES = ("name", "action", "outcome", "subject", "since", "until")
ROWS = 100


@dataclass(frozen=True)
class Row:
    """A line with who it was and its reasons in words."""

    line: AuditLine
    who: str
    reasons: tuple[str, ...]


@get("/administration/audit", opt=PEOPLE, sync_to_thread=True)
def audit_page(
    request: Request[Any, Any, Any], asker: Asker, identity: Identity, catalogue: Catalogue
) -> Response[Any]:
    """The newest first, in portions; all filters stand in the address."""
    identity.require_audit(asker.principal)  # also where what is asked for cannot be read
    asked = {name: request.query_params.get(name, "").strip()[:256] for name in NAMES}
    cursor = request.query_params.get("cursor", "")
    form, found = Form(dict(asked)), []
    try:
        before = _number(cursor) if cursor else None
        wanted = read_audit_filter(**asked, zone=asker.zone)
        found = identity.audit_trail(asker.principal, before=before, limit=ROWS + 1, **wanted)
    except InvalidInput as error:
        form.general, form.remedy = told(request, error)
    shown = found[:ROWS]
    return page(
        request,
        "web/admin_audit.html",
        form=form,
        rows=[
            Row(one, who_told(one, catalogue, asker.language), reasons_told(one, catalogue, asker.language))
            for one in shown
        ],
        next=str(shown[-1].id) if len(found) > ROWS else "",
        cursor=cursor,
        asked=asked,
        outcomes=OUTCOMES,
        export=with_query("/api/v1/audit/export", **asked),
        json_path=with_query("/api/v1/audit", **asked),
    )


def who_told(line: AuditLine, catalogue: Catalogue, language: str) -> str:
    """The person's name; of whoever has none, what they are (``told`` says how the trail names them)."""
    kind, _, id = line.principal.partition(":")
    key = f"web.audit.who.{kind}"
    if line.name or not catalogue.has(language, key):
        return line.name or line.principal
    return catalogue.text(language, key, id=id)


def reasons_told(line: AuditLine, catalogue: Catalogue, language: str) -> tuple[str, ...]:
    """Why, in words: what policy says has words of its own, what an error says those of the error."""
    found = []
    for one in line.reasons:
        code, params = str(one["code"]), dict(one["params"])
        keys = (f"policy.{code}", f"error.{code}")
        key = next((key for key in keys if catalogue.has(language, key)), "")
        if line.outcome == "done" and code == "role":
            role = f"identity.role.{params.get('role', '')}"
            name = catalogue.text(language, role) if catalogue.has(language, role) else ""
            found.append(catalogue.text(language, "web.audit.role", role=name or str(params.get("role", ""))))
            continue
        try:
            found.append(catalogue.text(language, key, **params) if key else code)
        except (IstmoError, LookupError):
            found.append(code)
    return tuple(found)


def _number(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit()) or len(cursor) > 18:
        raise InvalidInput("web.bad_request")
    return int(cursor)


routes = [audit_page]
