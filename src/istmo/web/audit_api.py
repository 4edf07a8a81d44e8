"""The audit trail, for programs: read in portions, or taken out whole."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, cast

import orjson
from litestar import get
from litestar.params import QueryParameter
from litestar.response import Stream

from istmo.errors import InvalidInput
from istmo.identity.objects import AuditLine
from istmo.identity.service import Identity
from istmo.kit import times
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.visible import guarded
from istmo.model import instants
from istmo.policy.principals import Principal
from istmo.web.shapes import AuditList, AuditShape

PORTION: Final = 1_000
"""Lines of the audit trail that are read at once for an export."""
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@get("/api/v1/audit", opt=PEOPLE, sync_to_thread=True, tags=["people"])
def audit_trail(
    asker: Asker,
    identity: Identity,
    principal: str = "",
    name: str = "",
    action: str = "",
    outcome: str = "",
    subject: str = "",
    since: str = "",
    until: str = "",
    cursor: int | None = None,
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
) -> AuditList:
    """The audit trail, newest first. ``since`` and ``until``: RFC 3339, or a day of the asker's zone."""
    identity.require_audit(asker.principal)
    wanted = read_audit_filter(
        principal=principal,
        name=name,
        action=action,
        outcome=outcome,
        subject=subject,
        since=since,
        until=until,
        zone=asker.zone,
    )
    found = identity.audit_trail(asker.principal, before=cursor, limit=limit, **wanted)
    following = str(found[-1].id) if len(found) == limit else None
    return {"items": [told_line(one) for one in found], "next": following, "total": None}


@get(
    "/api/v1/audit/export",
    opt=PEOPLE,
    sync_to_thread=True,
    tags=["people"],
    media_type="application/x-ndjson",
)
def export_audit(
    asker: Asker,
    identity: Identity,
    principal: str = "",
    name: str = "",
    action: str = "",
    outcome: str = "",
    subject: str = "",
    since: str = "",
    until: str = "",
    form: Annotated[str, QueryParameter(pattern="^(jsonl|csv)$")] = "jsonl",
) -> Stream:
    """Every line that fits, newest first: JSON lines, or with ``form=csv`` a table for a spreadsheet."""
    identity.require_audit(asker.principal)
    wanted = read_audit_filter(
        principal=principal,
        name=name,
        action=action,
        outcome=outcome,
        subject=subject,
        since=since,
        until=until,
        zone=asker.zone,
    )
    first = identity.audit_trail(asker.principal, limit=PORTION, **wanted)
    found = _every_line(identity, asker.now, first, wanted)
    media = "text/csv" if form == "csv" else "application/x-ndjson"
    lines = _as_table(found) if form == "csv" else (orjson.dumps(told_line(one)) + b"\n" for one in found)
    headers = {"Content-Disposition": f'attachment; filename="audit.{form}"'}
    return Stream(lines, media_type=media, headers=headers)


def _every_line(
    identity: Identity, who: Callable[[], Principal], found: list[AuditLine], wanted: dict[str, Any]
) -> Iterator[AuditLine]:
    """Portion by portion; whoever may not read it any more is given no further one."""
    while found:
        yield from found
        if len(found) < PORTION:
            return
        found = identity.audit_trail(who(), before=found[-1].id, limit=PORTION, **wanted)


def _as_table(found: Iterator[AuditLine]) -> Iterator[bytes]:
    names = ("at", "principal", "name", "action", "subject", "outcome", "reasons", "address")
    yield _csv(names)
    for line in found:
        told_ = told_line(line)
        reasons = " ".join(str(one["code"]) for one in told_["reasons"])
        yield _csv(
            [reasons if name == "reasons" else str(cast("dict[str, Any]", told_)[name]) for name in names]
        )


def _csv(cells: Iterable[str]) -> bytes:
    """A line of RFC 4180. A cell that a spreadsheet would take for a formula is made text."""
    text = io.StringIO()
    csv.writer(text).writerow([guarded(one) for one in cells])
    return text.getvalue().encode()


def read_audit_filter(*, zone: str, since: str = "", until: str = "", **names: str) -> dict[str, Any]:
    """What the audit trail is narrowed to, from text as it stands in an address. A day means all of it.

    Raises InvalidInput("instant.invalid").
    """
    return {
        **{name: text for name, text in names.items() if text},
        "since": _moment(since, zone, 0) if since else None,
        "until": _moment(until, zone, 1) if until else None,
    }


def _moment(text: str, zone: str, days: int) -> datetime:
    if not _DAY.fullmatch(text):
        return instants.parse(text)
    try:
        day = datetime.fromisoformat(text).replace(tzinfo=times.zone(zone) or UTC)
        return (day + timedelta(days=days)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput("instant.invalid", text=text[:64]) from None


def told_line(line: AuditLine) -> AuditShape:
    """A line of the audit trail, for a program."""
    return {
        "id": line.id,
        "at": instants.format(line.at),
        "principal": line.principal,
        "name": line.name,
        "action": line.action,
        "subject": line.subject,
        "outcome": line.outcome,
        "reasons": [{"code": one["code"], "params": one["params"]} for one in line.reasons],
        "address": line.address,
    }


routes = [audit_trail, export_audit]
