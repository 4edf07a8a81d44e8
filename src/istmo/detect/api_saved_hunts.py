"""The machine interface of saved hunts: kept, shared, switched, and run."""

from __future__ import annotations

import msgspec
from litestar import delete, get, post, put
from litestar.response import Stream

from istmo.detect.api_hunt import RuleLines
from istmo.detect.api_lines import NDJSON, RowLines
from istmo.detect.api_sql import TableLines
from istmo.detect.hunt_answers import ALL, ALL_TYPED, hunt_json, run_json
from istmo.detect.objects import LEVELS, Level
from istmo.detect.objects_hunt import EVERYTHING, HuntKind, HuntPlan
from istmo.detect.service import Detect
from istmo.detect.shapes_saved_hunts import HuntRunList, SavedHuntList, SavedHuntShape
from istmo.errors import InvalidInput
from istmo.kit.access import PEOPLE
from istmo.kit.answering import heard
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.kit.openapi import TEXT, operation_with_answer
from istmo.model import durations

LONGEST = 1 << 20
"""Outer bound in bytes of a hunt; the service's own limits are checked behind it."""


class HuntRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A hunt as its owner gives it. ``kind``: query, rules, pattern, sql; ``text``: the query; Sigma rules as
    YAML, ids of the node's rules one a line, or ``all``; a STIX pattern; one SELECT. ``window``, ``every``:
    lengths of time such as ``24h``; ``window`` may be ``all``, ``every`` empty for no schedule. ``version``,
    where a hunt is changed: the one that was seen.
    """

    name: str
    text: str
    kind: str = "query"
    description: str = ""
    window: str = "24h"
    every: str = ""
    on: bool = True
    alert: bool = False
    level: str = "medium"
    shared: bool = False
    version: int | None = None


class HuntSwitch(msgspec.Struct, forbid_unknown_fields=True):
    """Let a hunt run by itself, or no more."""

    on: bool


class HuntAsk(msgspec.Struct, forbid_unknown_fields=True):
    """How many events, matches, or rows, are told one by one at most."""

    limit: int = 100


@get("/api/v1/hunts", opt=PEOPLE, sync_to_thread=True)
def list_hunts(
    asker: Asker,
    detect: Detect,
    catalogue: Catalogue,
    q: str = "",
    failing: bool = False,
) -> SavedHuntList:
    """The hunts that the asker may see, by name. ``q``: words of names; ``failing``: only those that fail."""
    found = detect.list_hunts(asker.principal, query=q, failing=failing)
    items = [hunt_json(one, asker, detect, catalogue) for one in found]
    return {"items": items, "next": None, "total": len(items)}


@post("/api/v1/hunts", opt=PEOPLE, sync_to_thread=True, request_max_body_size=LONGEST)
def save_hunt(data: HuntRequest, asker: Asker, detect: Detect, catalogue: Catalogue) -> SavedHuntShape:
    """A new hunt, of the asker's own. With a schedule its first run looks back over its window."""
    return hunt_json(detect.save_hunt(asker.principal, plan_of(data)), asker, detect, catalogue)


@get("/api/v1/hunts/{hunt_id:str}", opt=PEOPLE, sync_to_thread=True)
def show_hunt(hunt_id: str, asker: Asker, detect: Detect, catalogue: Catalogue) -> SavedHuntShape:
    """One hunt, with its last run."""
    return hunt_json(detect.read_hunt(asker.principal, hunt_id), asker, detect, catalogue)


@put(
    "/api/v1/hunts/{hunt_id:str}",
    opt=PEOPLE,
    status_code=200,
    sync_to_thread=True,
    request_max_body_size=LONGEST,
)
def change_hunt(
    hunt_id: str, data: HuntRequest, asker: Asker, detect: Detect, catalogue: Catalogue
) -> SavedHuntShape:
    """Give a hunt of one's own anew. It goes on from where its runs have got to."""
    if data.version is None:
        raise InvalidInput("detect.hunt_version")
    changed = detect.change_hunt(asker.principal, hunt_id, plan_of(data), data.version)
    return hunt_json(changed, asker, detect, catalogue)


@delete("/api/v1/hunts/{hunt_id:str}", opt=PEOPLE, sync_to_thread=True)
def delete_hunt(hunt_id: str, asker: Asker, detect: Detect) -> None:
    """Forget a hunt and its runs; the alerts that it raised stay. The audit trail tells of it."""
    detect.delete_hunt(asker.principal, hunt_id)


@post("/api/v1/hunts/{hunt_id:str}/switch", opt=PEOPLE, status_code=200, sync_to_thread=True)
def switch_hunt(
    hunt_id: str, data: HuntSwitch, asker: Asker, detect: Detect, catalogue: Catalogue
) -> SavedHuntShape:
    """Let a hunt run by itself, or no more. An administrator may switch off any."""
    return hunt_json(detect.switch_hunt(asker.principal, hunt_id, data.on), asker, detect, catalogue)


@get("/api/v1/hunts/{hunt_id:str}/runs", opt=PEOPLE, sync_to_thread=True)
def list_runs(hunt_id: str, asker: Asker, detect: Detect, catalogue: Catalogue) -> HuntRunList:
    """The last runs of a hunt, the newest first: by itself, and by people."""
    found = [run_json(one, asker, catalogue) for one in detect.hunt_runs(asker.principal, hunt_id)]
    return {"items": found, "next": None, "total": len(found)}


@post(
    "/api/v1/hunts/{hunt_id:str}/run",
    opt=PEOPLE,
    status_code=200,
    sync_to_thread=True,
    operation_class=operation_with_answer(
        "What a search answers, or what a hunt by rules or SQL answers; the last line has ``done``.",
        {NDJSON: TEXT},
    ),
)
def run_hunt(hunt_id: str, data: HuntAsk, asker: Asker, detect: Detect, catalogue: Catalogue) -> Stream:
    """Run a hunt now, over its window. It raises no alert, and its schedule goes on as it was."""
    hunt = detect.read_hunt(asker.principal, hunt_id)
    if hunt.plan.kind is HuntKind.RULES:
        parts = detect.run_rules(asker.principal, hunt, limit=data.limit)
        return Stream(heard(RuleLines(parts, asker, catalogue), asker), media_type=NDJSON)
    if hunt.plan.kind is HuntKind.SQL:
        table = detect.run_sql(asker.principal, hunt, limit=data.limit)
        return Stream(heard(TableLines(table, asker, catalogue), asker), media_type=NDJSON)
    rows = detect.run_query(asker.principal, hunt, limit=data.limit)
    names = detect.source_names(asker.principal)
    return Stream(heard(RowLines(rows, names, asker, catalogue), asker), media_type=NDJSON)


def plan_of(data: HuntRequest) -> HuntPlan:
    """What was sent, as a plan. Raises InvalidInput."""
    if data.kind not in list(HuntKind):
        raise InvalidInput("detect.hunt_kind", kind=data.kind[:40])
    if data.level not in LEVELS:
        raise InvalidInput("detect.unknown_filter", field="level", value=data.level[:40])
    return HuntPlan(
        name=data.name,
        kind=HuntKind(data.kind),
        text=data.text,
        description=data.description,
        window=window_of(data.window),
        every=length_of(data.every) if data.every.strip() else 0,
        is_on=data.on,
        is_alerting=data.alert,
        level=Level(data.level),
        is_shared=data.shared,
    )


def window_of(text: str) -> int:
    """Seconds; for ``all`` those that stand for everything. Raises InvalidInput("detect.hunt_length")."""
    return EVERYTHING if text.strip().lower() in (ALL, *ALL_TYPED) else length_of(text)


def length_of(text: str) -> int:
    """Seconds. Raises InvalidInput("detect.hunt_length")."""
    found = durations.parse(text)
    if found is None or not found:
        raise InvalidInput("detect.hunt_length", given=text[:40])
    return found


routes = [
    list_hunts,
    save_hunt,
    show_hunt,
    change_hunt,
    delete_hunt,
    switch_hunt,
    list_runs,
    run_hunt,
]
