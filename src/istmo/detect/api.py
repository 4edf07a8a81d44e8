"""The machine interface of detection: rules, stored events; alerts and sources have modules of their own."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import delete, get, post, put
from litestar.params import QueryParameter
from litestar.response import Stream

from istmo.detect import api_alerts, api_hunt, api_rule_work, api_saved_hunts, api_source, api_sql
from istmo.detect.answers import (
    count_told,
    list_json,
    problem_json,
    rule_json,
)
from istmo.detect.api_lines import NDJSON, RowLines, problem_told
from istmo.detect.service import Detect
from istmo.detect.shapes import (
    CountShape,
    EventField,
    EventFieldList,
    RuleRead,
    RuleShape,
    RulesImported,
    ValueListList,
    ValueListShape,
)
from istmo.errors import InvalidInput
from istmo.kit.access import PEOPLE
from istmo.kit.answering import heard
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.kit.openapi import BYTES, TEXT, operation_with_answer, operation_with_body
from istmo.model import durations, instants

LARGEST_BODY = 256 << 20
"""Outer bound in bytes of an upload of rules; the node's own limit is checked behind it."""


RulesOperation = operation_with_body(
    "Sigma rules: a zip of YAML files, or one YAML file.",
    {
        "application/zip": BYTES,
        "application/yaml": TEXT,
    },
)


class RuleRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Switch a rule on or off."""

    enabled: bool


class ValueListRequest(msgspec.Struct, forbid_unknown_fields=True):
    """All values of a list; wildcards as in a rule. ``version``: of the list that was seen, empty where there
    was none; without it, whatever there is is written over.
    """

    values: list[str]
    version: str | None = None


# --- rules -----------------------------------------------------------------------------------


@post(
    "/api/v1/rules/import",
    opt=PEOPLE,
    operation_class=RulesOperation,
    status_code=200,
    sync_to_thread=True,
    request_max_body_size=LARGEST_BODY,
)
def import_rules(body: bytes, asker: Asker, detect: Detect, catalogue: Catalogue) -> RulesImported:
    """Keep the rules, correlations and filters of the zip or YAML file in the body; problems by line."""
    done = detect.import_rules(asker.principal, body)
    return {
        "accepted": done.accepted,
        "added": done.added,
        "changed": done.changed,
        "unchanged": done.unchanged,
        "problems": [problem_json(one, asker, catalogue) for one in done.problems],
    }


@get("/api/v1/rules/{rule_id:str}", opt=PEOPLE, sync_to_thread=True)
def show_rule(rule_id: str, asker: Asker, detect: Detect, catalogue: Catalogue) -> RuleRead:
    """One rule with its text."""
    found = detect.read_rule(asker.principal, rule_id)
    return {**rule_json(found, asker, catalogue), "text": found.text}


@post("/api/v1/rules/{rule_id:str}", opt=PEOPLE, status_code=200, sync_to_thread=True)
def set_rule(
    rule_id: str, data: RuleRequest, asker: Asker, detect: Detect, catalogue: Catalogue
) -> RuleShape:
    """Switch a rule on or off."""
    return rule_json(detect.enable_rule(asker.principal, rule_id, data.enabled), asker, catalogue)


# --- value lists ------------------------------------------------------------------------------


@get("/api/v1/value-lists", opt=PEOPLE, sync_to_thread=True)
def list_value_lists(asker: Asker, detect: Detect) -> ValueListList:
    """Every value list by name."""
    found = detect.value_lists(asker.principal)
    return {"items": [list_json(one) for one in found], "next": None, "total": len(found)}


@get("/api/v1/value-lists/{name:str}", opt=PEOPLE, sync_to_thread=True)
def show_value_list(name: str, asker: Asker, detect: Detect) -> ValueListShape:
    """One value list."""
    return list_json(detect.read_value_list(asker.principal, name))


@put("/api/v1/value-lists/{name:str}", opt=PEOPLE, status_code=200, sync_to_thread=True)
def put_value_list(name: str, data: ValueListRequest, asker: Asker, detect: Detect) -> ValueListShape:
    """A new list, or the new values of one; rules that ask for it go by it from the next event on."""
    return list_json(detect.put_value_list(asker.principal, name, data.values, version=data.version))


@delete("/api/v1/value-lists/{name:str}", opt=PEOPLE, sync_to_thread=True)
def drop_value_list(name: str, asker: Asker, detect: Detect) -> None:
    """Forget a list; rules that ask for it rest until there is one again."""
    detect.drop_value_list(asker.principal, name)


# --- stored events ---------------------------------------------------------------------------


@get(
    "/api/v1/events/search",
    opt=PEOPLE,
    sync_to_thread=True,
    operation_class=operation_with_answer("One event a line; the last line has ``done``.", {NDJSON: TEXT}),
)
def search_events(
    asker: Asker,
    detect: Detect,
    catalogue: Catalogue,
    q: str = "",
    start: Annotated[str, QueryParameter(name="from")] = "",
    end: Annotated[str, QueryParameter(name="to")] = "",
    limit: int = 100,
    pattern: str = "",
) -> Stream:
    """Stored events as newline JSON, newest first, as they are found; the last line has ``done``.

    ``pattern``: a STIX pattern; of the events that answer ``q``, those that make it true.
    """
    rows = detect.search(
        asker.principal,
        q,
        start=instants.parse(start) if start else None,
        end=instants.parse(end) if end else None,
        limit=limit,
        pattern=pattern,
    )
    names = detect.source_names(asker.principal)
    return Stream(heard(RowLines(rows, names, asker, catalogue), asker), media_type=NDJSON)


@get("/api/v1/events/fields", opt=PEOPLE, sync_to_thread=True)
def list_event_fields(asker: Asker, detect: Detect, prefix: str = "", limit: int = 500) -> EventFieldList:
    """The fields that stored events have: what a search may ask about. ``prefix`` does not mind case."""
    found, start = detect.event_fields(asker.principal), prefix.lower()
    chosen = [one for one in found.fields if one[0].lower().startswith(start)]
    items: list[EventField] = [
        {"name": name, "segments": count} for name, count in chosen[: max(1, min(limit, 2_000))]
    ]
    return {"items": items, "segments": found.segments, "whole": found.is_whole}


@get("/api/v1/events/count", opt=PEOPLE, sync_to_thread=True)
def count_events(
    asker: Asker,
    detect: Detect,
    catalogue: Catalogue,
    q: str = "",
    start: Annotated[str, QueryParameter(name="from")] = "",
    end: Annotated[str, QueryParameter(name="to")] = "",
    by: str = "",
    top: int = 20,
    histogram: str = "",
) -> CountShape:
    """How many stored events answer a query; ``by`` a field's values, ``histogram`` in stretches (``1h``)."""
    seconds = durations.parse(histogram) if histogram else 0
    if seconds is None or (histogram and seconds < 1):
        raise InvalidInput("detect.count_stretch", given=histogram[:40])
    tally, problem = detect.count(
        asker.principal,
        q,
        start=instants.parse(start) if start else None,
        end=instants.parse(end) if end else None,
        by=by,
        top=top,
        seconds=seconds,
    )
    names = detect.source_names(asker.principal) if by.lower() == "source" else {}
    return count_told(tally, names, problem_told(problem, asker, catalogue))


routes = [
    *api_alerts.routes,
    *api_source.routes,
    *api_hunt.routes,
    *api_rule_work.routes,
    *api_saved_hunts.routes,
    *api_sql.routes,
    import_rules,
    show_rule,
    set_rule,
    list_value_lists,
    show_value_list,
    put_value_list,
    drop_value_list,
    search_events,
    list_event_fields,
    count_events,
]
