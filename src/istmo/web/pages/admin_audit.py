"""The audit trail, read: who did what to which thing, how it went, and why it was denied."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from litestar import Request, Response, get

from istmo.errors import InvalidInput, IstmoError
from istmo.identity.objects import AuditLine
from istmo.identity.service import Identity
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form
from istmo.kit.i18n import Catalogue
from istmo.kit.pages import faces_of, page, told, with_query
from istmo.policy.actions import Action
from istmo.web.audit_api import read_audit_filter

OUTCOMES = ("done", "denied", "failed")
NAMES = ("name", "action", "outcome", "subject", "since", "until")
ROWS = 100
ACTIONS: Final = (
    *(str(one) for one in Action),
    *("account.create", "account.role", "account.disable", "account.enable", "account.password"),
    *("session.create", "session.end", "token.create", "token.revoke", "web.request"),
    *("peer.found", "peer.invite", "peer.withdraw", "peer.accept", "peer.confirm", "peer.remove"),
    *("peer.export", "peer.import"),
)
"""What the trail knows: what policy decides on, and what is told more closely than by that name."""
_ID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_THING: Final = re.compile(rf"([a-z][a-z-]*)--{_ID}")
_BARE: Final = re.compile(_ID)
_PLACES: Final = {
    "x-istmo-alert": "/alerts",
    "x-istmo-case": "/cases",
    "x-istmo-notice-way": "/administration/notices",
    "x-istmo-source": "/sources",
    "identity": "/peers",
}
"""Where there is a page of a thing, by the type in its id. A hunt's is mostly its owner's alone."""
_NEEDS: Final = {
    "/administration/people/": Action.ACCOUNT_MANAGE,
    "/administration/notices/": Action.NOTICE_MANAGE,
}
"""What one must be allowed to enter a place that not everybody who reads the trail may enter."""


@dataclass(frozen=True)
class Row:
    """A line in words. ``subject``: its parts, each with the address of its page, where it has one."""

    line: AuditLine
    who: str
    action: str
    subject: tuple[tuple[str, str], ...]
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
    may = faces_of(request).may
    shut = tuple(place for place, action in _NEEDS.items() if not may(asker.principal, action))
    return page(
        request,
        "web/admin_audit.html",
        form=form,
        rows=[
            Row(
                one,
                who_told(one, catalogue, asker.language),
                action_told(one.action, catalogue, asker.language),
                tuple((text, "" if path.startswith(shut) else path) for text, path in subject_told(one)),
                reasons_told(one, catalogue, asker.language),
            )
            for one in shown
        ],
        next=str(shown[-1].id) if len(found) > ROWS else "",
        cursor=cursor,
        asked=asked,
        outcomes=OUTCOMES,
        actions=_choices(asked["action"], catalogue, asker.language),
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


def action_told(action: str, catalogue: Catalogue, language: str) -> str:
    """What was done, in the words that the page of roles has for it; the code where there are none."""
    key = f"web.action.{action}"
    return catalogue.text(language, key) if catalogue.has(language, key) else action


def subject_told(line: AuditLine) -> Iterator[tuple[str, str]]:
    """What it was done to, in parts: text, and the address of the page of what it names."""
    text, at = line.subject, 0
    if line.action.startswith(("account.", "session.")):
        # A name alone; what follows it after a colon is how many.
        name, colon, rest = text.partition(": ")
        is_one = line.outcome == "done" and name
        yield name, f"/administration/people/{quote(name, safe='')}" if is_one else ""
        yield colon + rest, ""
        return
    is_rule = line.action == Action.RULE_WRITE
    for found in (_BARE if is_rule else _THING).finditer(text):
        path = "" if line.action == "web.request" else "/rules" if is_rule else _place(line.action, found[1])
        if is_rule and at:
            path = ""  # what follows a rule is an exception of it
        yield text[at : found.start()], ""
        yield found[0], f"{path}/{found[0]}" if path else ""
        at = found.end()
    yield text[at:], ""


def _place(action: str, type: str) -> str:
    return _PLACES.get(type) or ("/objects" if action.startswith(("object.", "sighting.")) else "")


def _choices(chosen: str, catalogue: Catalogue, language: str) -> list[tuple[str, str]]:
    """What can be asked for, by its words; also what was asked for by an address alone."""
    names = {*ACTIONS, chosen} - {""}
    found = [(one, action_told(one, catalogue, language)) for one in names]
    return sorted(found, key=lambda one: (one[1].casefold(), one[0]))


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
