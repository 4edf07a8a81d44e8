"""What a search or a statement gives as a file: JSON lines, or CSV for a spreadsheet, while it is found."""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Iterable, Mapping
from typing import Any, Final

import orjson
from litestar import Request, get
from litestar.response import Stream

from istmo.clock import Clock
from istmo.detect.api_lines import NDJSON, RowLines
from istmo.detect.pages.hunt_asked import Asked, read_asked
from istmo.detect.pages.hunt_rows import columns_for, fields_of
from istmo.detect.pages.hunt_stream import problem_words
from istmo.detect.service import Detect
from istmo.detect.stories import from_micros
from istmo.detect.wire import Problem, SqlRows, WireRow
from istmo.kit.access import PEOPLE
from istmo.kit.answering import Lines, heard
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.kit.pages import asker_of, faces_of
from istmo.kit.visible import guarded
from istmo.model import instants

CSV: Final = "text/csv"
_FIRST: Final = 200
"""Events that decide on the columns where nobody chose."""
_OWN: Final = ("id", "time", "received", "source", "host")


@get("/hunt/export", opt=PEOPLE, sync_to_thread=True)
def export_events(
    request: Request[Any, Any, Any],
    asker: Asker,
    detect: Detect,
    catalogue: Catalogue,
    clock: Clock,
    form: str = "ndjson",
) -> Stream:
    """What a search finds, ``limits.search_rows`` events at most; the last line says how many it was."""
    asked = read_asked(request.query_params, asker.zone)
    start, end = asked.stretch(clock.now())
    most = faces_of(request).settings.limits.search_rows
    rows = detect.search(asker.principal, asked.query, start=start, end=end, limit=most + 1)
    names = detect.source_names(asker.principal)
    if form == "csv":
        return _file(_csv(request, asked, rows, names), asker, CSV, "events.csv")
    return _file(RowLines(rows, names, asker, catalogue), asker, NDJSON, "events.ndjson")


@get("/hunt/sql/export", opt=PEOPLE, sync_to_thread=True)
def export_statement(
    request: Request[Any, Any, Any], asker: Asker, detect: Detect, clock: Clock, sql: str = ""
) -> Stream:
    """What a statement gives, as CSV; the last line says how many rows, and why where these are not all."""
    asked = read_asked(request.query_params, asker.zone)
    start, end = asked.stretch(clock.now())
    parts = detect.sql(asker.principal, sql, start=start, end=end)
    return _file(_table(request, parts), asker, CSV, "rows.csv")


def _file(lines: Lines, asker: Asker, media_type: str, name: str) -> Stream:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Stream(heard(lines, asker), media_type=media_type, headers=headers)


def _csv(
    request: Request[Any, Any, Any],
    asked: Asked,
    rows: Generator[WireRow | Problem],
    names: Mapping[str, str],
) -> Generator[bytes]:
    first: list[WireRow] = []
    columns, problem, count = asked.columns, None, 0
    if columns:
        yield _line((*_OWN, *columns))
    try:
        for row in rows:
            if isinstance(row, Problem):
                problem = row
            elif columns:
                yield _event(row, columns, names)
                count += 1
            else:
                first.append(row)
                if len(first) == _FIRST:
                    columns = columns_for(fields_of(one.raw) for one in first)
                    yield _line((*_OWN, *columns))
                    yield from (_event(one, columns, names) for one in first)
                    count += len(first)
    finally:
        rows.close()
    if not columns:  # fewer than would decide
        columns = columns_for(fields_of(one.raw) for one in first)
        yield _line((*_OWN, *columns))
        yield from (_event(one, columns, names) for one in first)
        count += len(first)
    yield _last(request, count, problem)


def _event(row: WireRow, columns: Iterable[str], names: Mapping[str, str]) -> bytes:
    low: dict[str, list[str]] = {}
    for name, texts in fields_of(row.raw).items():
        low.setdefault(name.lower(), []).extend(texts)
    own = (row.event_id, _time(row.time), _time(row.received), names.get(row.source, row.source), row.host)
    return _line((*own, *("\n".join(low.get(column.lower(), ())) for column in columns)))


def _table(request: Request[Any, Any, Any], parts: Generator[SqlRows]) -> Generator[bytes]:
    problem, count = None, 0
    try:
        for part in parts:
            if part.columns:
                yield _line([name for name, _ in part.columns])
            for row in part.rows:
                count += 1
                yield _line(["" if one is None else str(one) for one in orjson.loads(row)])
            problem = part.problem or problem
    finally:
        parts.close()
    yield _last(request, count, problem)


def _last(request: Request[Any, Any, Any], count: int, problem: Problem | None) -> bytes:
    """A file tells by itself how much it holds: one that broke off would pass for all there is."""
    asker, catalogue = asker_of(request), faces_of(request).catalogue
    text = catalogue.text(asker.language, "console.hunting.exported", n=count)
    return _line([f"# {text} {problem_words(problem, request)}".strip()])


def _line(cells: Iterable[str]) -> bytes:
    into = io.StringIO()
    csv.writer(into).writerow([guarded(one) for one in cells])
    return into.getvalue().encode("utf-8", "replace")


def _time(micros: int) -> str:
    return instants.format(from_micros(micros))


routes = [export_events, export_statement]
