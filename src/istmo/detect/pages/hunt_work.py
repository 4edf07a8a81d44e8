"""Working on saved hunts: saving one, changing, running, switching and deleting it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson
from litestar import Request, Response, post

from istmo.clock import Clock
from istmo.detect.api_lines import problem_told
from istmo.detect.api_saved_hunts import HuntRequest, plan_of
from istmo.detect.hunt_answers import window_words
from istmo.detect.objects_hunt import HuntKind, HuntPlan
from istmo.detect.pages.hunt_read import show_hunt, show_hunts, values_of
from istmo.detect.pages.hunt_rows import cell_of, raw_text
from istmo.detect.pages.hunt_stream import LONG_PATIENCE, patient
from istmo.detect.service import Detect
from istmo.detect.stories import from_micros
from istmo.detect.wire import Problem, RuleFound, RuleHits, SqlRows, WireRow
from istmo.errors import IstmoError
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, one
from istmo.kit.i18n import Catalogue
from istmo.kit.pages import asker_of, back_to, faces_of, page, told

SHOWN: Final = 200
SHOWN_BYTES: Final = 20_000
LINE: Final = 160
"""Characters of an event in its row, until it is opened."""
FIELDS: Final = {
    "detect.hunt_name": "name",
    "detect.hunt_exists": "name",
    "detect.hunt_too_long": "text",
    "detect.hunt_empty": "text",
    "detect.hunt_no_usable_rule": "text",
    "detect.hunt_too_many_rules": "text",
    "detect.no_rule": "text",
    "detect.query_": "text",
    "detect.pattern_": "text",
    "detect.sql_": "text",
    "pattern.": "text",
    "instant.invalid": "text",
    "detect.hunt_window": "window",
    "detect.hunt_every": "every",
    "detect.hunt_description": "description",
}
"""The field that an error is about, by the beginning of its code."""
LABELS: Final = {
    "name": "detect.hunts.name",
    "kind": "detect.hunts.kind",
    "text": "console.hunt.text",
    "window": "console.hunt.window",
    "every": "console.hunt.every",
    "alert": "console.hunt.alert",
    "level": "console.hunt.level",
    "shared": "console.hunt.shared",
    "description": "console.hunt.description",
}
"""What each field of the form is called."""
TICKED: Final = ("alert", "shared")
"""Those that are ticked or not."""


@dataclass(frozen=True)
class ShownEvent:
    """A row of what a hunt found; ``text`` is the event, where it came along."""

    id: str
    time: datetime
    host: str
    title: str = ""
    text: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Of a hunt by a pattern: those by which it holds."""

    @property
    def line(self) -> str:
        """Its beginning, on one line."""
        start = " ".join(self.text[: 2 * LINE].split())
        return start if len(start) <= LINE else start[: LINE - 1] + "…"


@dataclass
class Found:
    """What a hunt found, as far as a page shows it."""

    rows: list[ShownEvent] = field(default_factory=list)
    number: int = 0
    columns: list[str] = field(default_factory=list)
    """Of a hunt by SQL …"""
    table: list[list[str]] = field(default_factory=list)
    """… and its rows, as texts."""
    sums: list[RuleFound] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    problem: str = ""


@post("/hunts", opt=PEOPLE, sync_to_thread=True)
def save_hunt(request: Request[Any, Any, Any], data: Sent, asker: Asker, detect: Detect) -> Response[Any]:
    """A new hunt."""
    values = _values(data)
    try:
        hunt = detect.save_hunt(asker.principal, _plan(values))
    except IstmoError as error:
        return show_hunts(request, detect, _wrong(request, values, error))
    return back_to(request, f"/hunts/{hunt.id}", notice="console.notice.hunt.saved", name=hunt.plan.name)


@post("/hunts/{id:str}", opt=PEOPLE, sync_to_thread=True)
def change_hunt(
    request: Request[Any, Any, Any], id: str, data: Sent, asker: Asker, detect: Detect
) -> Response[Any]:
    """Give a hunt anew, where nobody else has since."""
    values = _values(data) | {"version": one(data, "version")}
    hunt = detect.read_hunt(asker.principal, id)
    version = int(values["version"]) if values["version"].isdecimal() and len(values["version"]) < 10 else 0
    try:
        plan = _plan(values, is_on=hunt.plan.is_on)
        detect.change_hunt(asker.principal, id, plan, version)
    except IstmoError as error:
        if error.code == "detect.hunt_changed":
            now = detect.read_hunt(asker.principal, id)
            form = Form(values | {"version": str(now.version)})
            both = _both(request, values_of(now.plan), values)
            return show_hunt(request, id, detect, form, status=409, both=both)
        return show_hunt(request, id, detect, _wrong(request, values, error))
    return back_to(request, f"/hunts/{hunt.id}", notice="console.notice.hunt.saved", name=plan.name)


@post("/hunts/{id:str}/switch", opt=PEOPLE, sync_to_thread=True)
def switch_hunt(
    request: Request[Any, Any, Any], id: str, data: Sent, asker: Asker, detect: Detect
) -> Response[Any]:
    """Let a hunt run by itself, or no more."""
    is_on = one(data, "on") == "on"
    hunt = detect.switch_hunt(asker.principal, id, is_on)
    notice = "console.notice.hunt.on" if is_on else "console.notice.hunt.off"
    return back_to(request, "/hunts", notice=notice, name=hunt.plan.name)


@post("/hunts/{id:str}/delete", opt=PEOPLE, sync_to_thread=True)
def delete_hunt(request: Request[Any, Any, Any], id: str, asker: Asker, detect: Detect) -> Response[Any]:
    """Forget a hunt."""
    name = detect.read_hunt(asker.principal, id).plan.name
    detect.delete_hunt(asker.principal, id)
    return back_to(request, "/hunts", notice="console.notice.hunt.deleted", name=name)


@post("/hunts/{id:str}/run", opt=PEOPLE, status_code=200, sync_to_thread=True)
def run_hunt(
    request: Request[Any, Any, Any],
    id: str,
    asker: Asker,
    detect: Detect,
    catalogue: Catalogue,
    clock: Clock,
) -> Response[Any]:
    """Run a hunt now, and show what it found: this answer alone holds it."""
    hunt = detect.read_hunt(asker.principal, id)
    try:
        if hunt.plan.kind is HuntKind.RULES:
            parts = detect.run_rules(asker.principal, hunt, limit=SHOWN)
            late = RuleHits(
                0, True, problem=Problem("", "detect.search_cut_short", {"seconds": LONG_PATIENCE})
            )
            found = _found_by_rules(patient(parts, clock, late, LONG_PATIENCE), asker, catalogue)
        elif hunt.plan.kind is HuntKind.SQL:
            found = _found_by_sql(detect.run_sql(asker.principal, hunt, limit=SHOWN), asker, catalogue)
        else:
            rows = detect.run_query(asker.principal, hunt, limit=SHOWN)
            found = _found_rows(rows, asker, catalogue)
    except IstmoError as error:
        if error.status in (401, 403):
            raise
        form = Form()
        form.general, form.remedy = told(request, error)
        return show_hunt(request, id, detect, form)
    window = window_words(hunt.plan.window, asker.language, catalogue)
    return page(request, "detect/hunt_found.html", hunt=hunt, found=found, window=window)


def _found_rows(rows: Generator[WireRow | Problem], asker: Asker, catalogue: Catalogue) -> Found:
    found = Found()
    with closing(rows):
        for row in rows:
            if isinstance(row, Problem):
                found.problem = _words(row, asker, catalogue)
                continue
            found.number += 1
            when = from_micros(row.time)
            found.rows.append(
                ShownEvent(
                    row.event_id, when, row.host, text=raw_text(row.raw, SHOWN_BYTES), fields=row.fields
                )
            )
    return found


def _found_by_rules(parts: Generator[RuleHits], asker: Asker, catalogue: Catalogue) -> Found:
    found = Found()
    with closing(parts):
        for part in parts:
            found.rows += [
                ShownEvent(match.event_id, from_micros(match.time), match.host, match.title or match.rule)
                for match in part.matches
            ]
            found.sums += part.found
            for left in part.left_out:
                place = f"{left.rule}:{left.line}" if left.line else left.rule
                found.left_out.append((place, catalogue.text(asker.language, left.key, **left.params)))
            if part.problem is not None:
                found.problem = _words(part.problem, asker, catalogue)
    found.number = sum(rule.count for rule in found.sums) or len(found.rows)
    return found


def _found_by_sql(parts: Generator[SqlRows], asker: Asker, catalogue: Catalogue) -> Found:
    found = Found()
    with closing(parts):
        for part in parts:
            found.columns = found.columns or [name for name, _ in part.columns]
            found.table += [[cell_of(value) for value in orjson.loads(row)] for row in part.rows]
            if part.problem is not None:
                found.problem = _words(part.problem, asker, catalogue)
    found.number = len(found.table)
    return found


def _words(problem: Problem, asker: Asker, catalogue: Catalogue) -> str:
    told_ = problem_told(problem, asker, catalogue)
    return told_["text"] if told_ is not None else ""


def _values(data: Sent) -> dict[str, Any]:
    names = ("name", "kind", "text", "description", "window", "every", "alert", "level", "shared")
    values = {name: one(data, name) for name in names}
    return values | {"window": values["window"] or "24h", "level": values["level"] or "medium"}


def _plan(values: dict[str, Any], *, is_on: bool = True) -> HuntPlan:
    return plan_of(
        HuntRequest(
            name=values["name"],
            text=values["text"],
            kind=values["kind"] or "query",
            description=values["description"],
            window=values["window"],
            every=values["every"],
            on=is_on,
            alert=bool(values["alert"]),
            level=values["level"],
            shared=bool(values["shared"]),
        )
    )


def _both(
    request: Request[Any, Any, Any], now: Mapping[str, Any], typed: Mapping[str, Any]
) -> list[tuple[str, str, str]]:
    """What a hunt is now, and what was typed, in words."""
    catalogue, language = faces_of(request).catalogue, asker_of(request).language

    def words(name: str, value: str) -> str:
        if name == "kind":
            return catalogue.text(language, f"console.hunt.kind.{value}")
        if name == "level":
            return catalogue.text(language, f"kit.level.{value}")
        return catalogue.text(language, "kit.yes") if name in TICKED and value else value

    return [
        (catalogue.text(language, key), words(name, str(now[name])), words(name, str(typed[name])))
        for name, key in LABELS.items()
    ]


def _wrong(request: Request[Any, Any, Any], values: dict[str, Any], error: IstmoError) -> Form:
    """The form again, with what stands against it beside its field. Denials are not the form's matter."""
    if error.status in (401, 403, 404) and error.code != "detect.no_rule":
        raise error
    form = Form(values)
    message, remedy = told(request, error)
    name = next((to for code, to in FIELDS.items() if error.code.startswith(code)), "")
    if error.code == "detect.hunt_length":
        name = next((to for to in ("window", "every") if values[to] == error.params.get("given")), "window")
    if name:
        form.problems[name] = f"{message} {remedy}".strip()
    else:
        form.general, form.remedy = message, remedy
    return form


routes = [save_hunt, change_hunt, switch_hunt, delete_hunt, run_hunt]
