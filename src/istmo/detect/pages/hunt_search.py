"""The hunting page: a search of stored events, its table, and what each value leads to."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import replace
from datetime import UTC
from typing import Any, Final

from litestar import Request, Response, get
from litestar.enums import MediaType
from litestar.response import Stream

from istmo.clock import Clock
from istmo.detect.pages.hunt_asked import STRETCHES, Asked, narrowed, read_asked, term_of
from istmo.detect.pages.hunt_counts import count
from istmo.detect.pages.hunt_rows import LONGEST_VALUE, fields_of, raw_text, value_of
from istmo.detect.pages.hunt_stream import (
    PATIENCE,
    Piece,
    error_words,
    patient,
    problem_words,
    renderer,
    stream,
)
from istmo.detect.pages.hunt_table import Table
from istmo.detect.search.query import parse_query
from istmo.detect.service import Detect
from istmo.detect.stories import from_micros
from istmo.detect.wire import Problem, Progress, WireRow
from istmo.errors import InvalidInput, IstmoError, NotFound
from istmo.kit import times
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.pages import asker_of, back_to, faces_of, page, told
from istmo.model import durations
from istmo.model.values import recognise
from istmo.policy.actions import Action

SHOWN: Final = 100
"""Rows of a page without scripts."""
STREAMED: Final = 1_000
"""Rows that a page holds while they come: more would make a browser slow, and nobody reads them."""
LONGEST_SHOWN: Final = 8_000
"""Characters of a value on its event's page; the event as it came stands below."""
COMMON: Final = ("host", "source")
"""What every event has: its most frequent values may be asked for whatever the columns are."""
_ID: Final = re.compile(r"[0-9]{1,18}-[0-9]{1,18}", re.ASCII)
Parts = Generator[WireRow | Progress | Problem]


@get("/hunt", opt=PEOPLE, sync_to_thread=True)
def hunting(request: Request[Any, Any, Any], asker: Asker, detect: Detect, clock: Clock) -> Response[Any]:
    """The search box, and what it found: at once for scripts to fill, whole for who has none."""
    if not faces_of(request).may(asker.principal, Action.EVENT_SEARCH):
        return back_to(request, "/hunts")
    asked = read_asked(request.query_params, asker.zone)
    is_asked = "q" in request.query_params
    context: dict[str, Any] = {"wrong": None, "counted": None, "rows": (), "table": None, "problem": ""}
    status = 200
    if is_asked:
        try:
            parse_query(asked.query)
            asked.stretch(clock.now())
            if request.query_params.get("whole") == "on":
                context |= _whole(request, detect, asked, clock)
        except IstmoError as error:
            if error.status in (401, 403):
                raise
            status, is_asked = error.status, False
            context["wrong"] = _wrong(request, asked, error)
    here = asked.path(before=asked.before)
    return page(
        request,
        "detect/hunting.html",
        status=status,
        asked=asked,
        is_asked=is_asked,
        here_path=here,
        stretches=STRETCHES,
        stretch_text=_stretch_text(asked, asker),
        url=faces_of(request).settings.url,
        most=faces_of(request).settings.limits.search_rows,
        common=COMMON,
        may_save=detect.may_save_hunts(asker.principal),
        json_path=_api(asked, clock) if is_asked else "",
        **context,
    )


@get("/hunt/rows", opt=PEOPLE, sync_to_thread=True)
def hunting_rows(request: Request[Any, Any, Any], asker: Asker, detect: Detect, clock: Clock) -> Stream:
    """The rows of a search as they are found, and how far it is."""
    detect.require_search(asker.principal)
    return stream(request, _pieces(request, detect, read_asked(request.query_params, asker.zone), clock))


@get("/hunt/counts", opt=PEOPLE, sync_to_thread=True)
def hunting_counts(request: Request[Any, Any, Any], asker: Asker, detect: Detect) -> Stream:
    """How many events there were when, and the most frequent values of a field."""
    detect.require_search(asker.principal)
    return stream(request, _counted(request, detect, read_asked(request.query_params, asker.zone)))


@get("/hunt/event", opt=PEOPLE, sync_to_thread=True)
def hunting_event(
    request: Request[Any, Any, Any], asker: Asker, detect: Detect, id: str = ""
) -> Response[Any]:
    """One event: every field, what each value leads to, and the event as it came."""
    detect.require_search(asker.principal)
    if not id:  # an address cut short: the search is where an event is found
        return back_to(request, "/hunt")
    found = None
    if _ID.fullmatch(id):
        found = next((one for one in detect.search(asker.principal, f"id:{id}", limit=1)), None)
    if not isinstance(found, WireRow):
        raise NotFound("detect.no_event", event=id[:40])
    asked = read_asked(request.query_params, asker.zone)
    names = detect.source_names(asker.principal)
    own = [("host", [found.host])] if found.host else []
    fields = [*own, ("source", [found.source]), *sorted(fields_of(found.raw).items(), key=_by_name)]
    context = {
        "asked": asked,
        "event": found,
        "time": from_micros(found.time),
        "received": from_micros(found.received),
        "fields": [
            (name, [(value_of(name, text), text[:LONGEST_SHOWN]) for text in texts]) for name, texts in fields
        ],
        "names": names,
        "raw": raw_text(found.raw),
    }
    return _part_or_page(request, "detect/hunt_event.html", context)


@get("/hunt/value", opt=PEOPLE, sync_to_thread=True)
def hunting_value(
    request: Request[Any, Any, Any], asker: Asker, detect: Detect, field: str = "", value: str = ""
) -> Response[Any]:
    """What a value leads to: these events alone, those without it, it alone, objects that tell of it."""
    detect.require_search(asker.principal)
    if not field:
        return back_to(request, "/hunt")
    asked = read_asked(request.query_params, asker.zone)
    field, value = field[:200], value[: LONGEST_VALUE * 2]
    names = detect.source_names(asker.principal)
    term = term_of(field, value)
    only, without = narrowed(asked, term), narrowed(asked, term, without=True)
    known = recognise(value) if len(value) <= LONGEST_VALUE else None
    return _part_or_page(
        request,
        "detect/hunt_value.html",
        {
            "asked": asked,
            "field": field,
            "value": value,
            "told": names.get(value, value) if field.lower() == "source" else value,
            "only": only.path() if only else "",
            "without": without.path() if without else "",
            "alone": replace(asked, query=term, before="").path(),
            "known": known[1] if known else "",
        },
    )


def _part_or_page(request: Request[Any, Any, Any], template: str, context: dict[str, Any]) -> Response[Any]:
    """A page of its own, or (``part=on``) what of it stands within the table."""
    if request.query_params.get("part") != "on":
        return page(request, template, part="page", **context)
    html = faces_of(request).render(asker_of(request), template, {**context, "part": "piece"})
    return Response(html, media_type=MediaType.HTML)


def _whole(request: Request[Any, Any, Any], detect: Detect, asked: Asked, clock: Clock) -> dict[str, Any]:
    """What a page without scripts shows, within the time that it waits."""
    table, parts = _begin(request, detect, asked, clock, SHOWN)
    late = Problem("", "detect.search_cut_short", {"seconds": PATIENCE})
    problem = None
    for part in patient(parts, clock, late):
        if isinstance(part, Problem):
            problem = part
        elif isinstance(part, WireRow):
            table.take(part)
    rows = table.rows()
    return {
        "rows": rows,
        "table": table,
        "problem": problem_words(problem, request),
        "counted": count(request, detect, asked),
    }


def _begin(
    request: Request[Any, Any, Any], detect: Detect, asked: Asked, clock: Clock, limit: int
) -> tuple[Table, Parts]:
    principal = asker_of(request).principal
    start, end = asked.stretch(clock.now())
    page_end, _ = asked.page()
    ends = [one for one in (end, page_end) if one is not None]
    table = Table(asked, detect.source_names(principal), limit)
    parts = detect.search_telling(
        principal, asked.query, start=start, end=min(ends, default=None), limit=table.wanted
    )
    return table, parts


def _pieces(request: Request[Any, Any, Any], detect: Detect, asked: Asked, clock: Clock) -> Generator[Piece]:
    render = renderer(request, "detect/hunt_rows.html")
    problem: Problem | None = None
    try:
        table, parts = _begin(request, detect, asked, clock, STREAMED)
    except IstmoError as error:
        words = error_words(error, asker_of(request), request)
        yield {"put": "end", "html": render("wrong", problem=words, asked=asked), "failed": True}
        return
    has_head = False
    try:
        for part in parts:
            if isinstance(part, WireRow):
                table.take(part)
            elif isinstance(part, Problem):
                problem = part
            else:
                if rows := table.rows():
                    if not has_head:
                        yield {"put": "head", "html": render("head", columns=table.columns)}
                        has_head = True
                    yield {"add": "rows", "html": render("rows", rows=rows, asked=asked)}
                so_far: Piece = {"text": render("progress", looked=part.looked, of=part.of).strip()}
                if part.of:  # what is not closed yet is not counted before it is read
                    so_far["share"] = min(100, 100 * part.looked // part.of)
                yield so_far
    finally:
        parts.close()
    words = problem_words(problem, request)
    yield {"put": "end", "html": render("end", table=table, problem=words, asked=asked, is_streamed=True)}


def _counted(request: Request[Any, Any, Any], detect: Detect, asked: Asked) -> Generator[Piece]:
    render = renderer(request, "detect/hunt_counts.html")
    counted = count(request, detect, asked)
    for name in ("chart", "values"):
        yield {"put": name, "html": render(name, counted=counted, asked=asked, common=COMMON)}


def _wrong(request: Request[Any, Any, Any], asked: Asked, error: IstmoError) -> dict[str, Any]:
    """An error of the language, at its place: what stands before it, and what from there on."""
    message, remedy = told(request, error)
    at = error.params.get("at")
    place = min(at - 1, len(asked.query)) if isinstance(at, int) and at > 0 else None
    return {
        "message": message,
        "remedy": remedy,
        "before": None if place is None else asked.query[:place],
        "behind": "" if place is None else asked.query[place:],
    }


def _stretch_text(asked: Asked, asker: Asker) -> tuple[str, str] | None:
    """Both ends of a stretch that is not among those offered, to the minute, in the asker's zone."""
    if asked.within in STRETCHES:
        return None
    try:
        start, end = asked.stretch(from_micros(0))
    except InvalidInput:
        return None
    if durations.parse(asked.within) is not None:
        return asked.within, ""
    zone = times.zone(asker.zone) or UTC
    there = [None if one is None else times.shifted(one, zone) for one in (start, end)]
    begin, until = there
    is_one_day = begin is not None and until is not None and begin.date() == until.date()
    return (
        "…" if begin is None else f"{begin:%Y-%m-%d %H:%M}",
        "…" if until is None else f"{until:%H:%M}" if is_one_day else f"{until:%Y-%m-%d %H:%M}",
    )


def _api(asked: Asked, clock: Clock) -> str:
    try:
        return asked.api("/api/v1/events/search", clock.now(), limit=str(SHOWN))
    except IstmoError:
        return ""


def _by_name(one: tuple[str, Any]) -> str:
    return one[0].lower()


routes = [hunting, hunting_rows, hunting_counts, hunting_event, hunting_value]
