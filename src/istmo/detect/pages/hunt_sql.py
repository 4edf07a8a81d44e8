"""SQL over stored events in the console: the statement, the columns that there are, and what it gives."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from litestar import Request, Response, get
from litestar.response import Stream

from istmo.clock import Clock
from istmo.detect.objects_hunt import HuntKind
from istmo.detect.pages.hunt_asked import STRETCHES, Asked, read_asked
from istmo.detect.pages.hunt_rows import cell_of
from istmo.detect.pages.hunt_stream import (
    PATIENCE,
    Piece,
    error_words,
    patient,
    problem_words,
    renderer,
    stream,
)
from istmo.detect.service import Detect
from istmo.detect.wire import Problem, SqlRows
from istmo.errors import IstmoError
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.pages import asker_of, back_to, faces_of, page
from istmo.policy.actions import Action

SHOWN: Final = 1_000
LONGEST: Final = 16 << 10
MOST_FIELDS: Final = 400
FIXED: Final = ("id", "time", "received", "source", "host", "event")
"""What every event has as a column, whatever its fields."""
NUMBERS: Final = ("INT", "DOUBLE", "FLOAT", "DECIMAL", "HUGEINT")


@dataclass
class Rows:
    """What a statement gave so far."""

    columns: list[tuple[str, bool]] = field(default_factory=list)
    """(name, whether it holds numbers)"""
    rows: list[list[str]] = field(default_factory=list)
    shown: int = 0
    has_more: bool = False
    problem: Problem | None = None

    def take(self, part: SqlRows) -> None:
        """A part of the answer; ``rows`` are those of this part."""
        if part.columns:
            self.columns = [(name, any(one in kind for one in NUMBERS)) for name, kind in part.columns]
        rows = [[cell_of(one) for one in orjson.loads(row)] for row in part.rows]
        self.has_more = self.has_more or len(rows) > SHOWN - self.shown
        self.rows = rows[: SHOWN - self.shown]
        self.shown += len(self.rows)
        if part.problem is not None and not (self.has_more and part.problem.code == "detect.sql_cut_rows"):
            self.problem = part.problem


@get("/hunt/sql", opt=PEOPLE, sync_to_thread=True)
def hunt_by_sql(
    request: Request[Any, Any, Any], asker: Asker, detect: Detect, clock: Clock, sql: str = ""
) -> Response[Any]:
    """The statement's form, and what it gives: for scripts to fill, or whole."""
    faces = faces_of(request)
    if not faces.may(asker.principal, Action.EVENT_SEARCH):
        return back_to(request, "/hunts")
    asked = read_asked(request.query_params, asker.zone)
    sql = _read(sql)
    found, rows, wrong = None, [], ""
    status = 200
    if sql and request.query_params.get("whole") == "on":
        found = Rows()
        late = SqlRows(0, True, problem=Problem("", "detect.sql_cut_short", {"seconds": PATIENCE}))
        try:
            with closing(patient(_parts(request, detect, asked, sql, clock), clock, late)) as parts:
                for part in parts:
                    found.take(part)
                    rows += found.rows
        except IstmoError as error:
            if error.status in (401, 403):
                raise
            status, wrong, found = error.status, error_words(error, asker, request), None
    limits = faces.settings.limits
    return page(
        request,
        "detect/hunting_sql.html",
        status=status,
        asked=asked,
        sql=sql,
        address=_path(asked, sql, "/hunt/sql"),
        rows_path=_path(asked, sql, "/hunt/sql/rows"),
        export_path=_path(asked, sql, "/hunt/sql/export"),
        found=found,
        rows=rows,
        problem=problem_words(found.problem, request) if found else "",
        wrong=wrong,
        fixed=FIXED,
        fields=_fields(detect, asker),
        stretches=STRETCHES,
        seconds=limits.search_seconds,
        most=limits.search_rows,
        may_save="sql" in set(HuntKind) and detect.may_save_hunts(asker.principal),
    )


@get("/hunt/sql/rows", opt=PEOPLE, sync_to_thread=True)
def stream_by_sql(
    request: Request[Any, Any, Any], asker: Asker, detect: Detect, clock: Clock, sql: str = ""
) -> Stream:
    """The rows of a statement as they come."""
    detect.require_search(asker.principal)
    return stream(
        request, _pieces(request, detect, read_asked(request.query_params, asker.zone), _read(sql), clock)
    )


def _pieces(
    request: Request[Any, Any, Any], detect: Detect, asked: Asked, sql: str, clock: Clock
) -> Generator[Piece]:
    render = renderer(request, "detect/hunt_table.html")
    found = Rows()
    parts: Generator[SqlRows] | None = None
    try:
        parts = _parts(request, detect, asked, sql, clock)
        has_head = False
        for part in parts:
            found.take(part)
            if found.columns and not has_head:
                yield {"put": "head", "html": render("head", found=found)}
                has_head = True
            if found.rows:
                yield {"add": "rows", "html": render("rows", rows=found.rows, found=found)}
            yield {"text": render("progress", found=found).strip()}
    except IstmoError as error:
        words = error_words(error, asker_of(request), request)
        yield {"put": "end", "html": render("wrong", problem=words), "failed": True}
        return
    finally:
        if parts is not None:
            parts.close()
    words = problem_words(found.problem, request)
    yield {"put": "end", "html": render("end", found=found, problem=words)}


def _parts(
    request: Request[Any, Any, Any], detect: Detect, asked: Asked, sql: str, clock: Clock
) -> Generator[SqlRows]:
    start, end = asked.stretch(clock.now())
    return detect.sql(asker_of(request).principal, sql, start=start, end=end, limit=SHOWN + 1)


def _fields(detect: Detect, asker: Asker) -> tuple[list[str], bool]:
    """Names of fields as columns, and whether these are all; none while the worker is away."""
    try:
        names = [name for name, _ in detect.event_fields(asker.principal).fields if name.lower() not in FIXED]
    except IstmoError as error:
        if error.status in (401, 403):
            raise
        return [], True
    return sorted(names[:MOST_FIELDS], key=str.lower), len(names) <= MOST_FIELDS


def _path(asked: Asked, sql: str, base: str) -> str:
    return Asked(within=asked.within).path(base, q="", sql=sql).replace("q=&", "", 1)


def _read(sql: str) -> str:
    return sql.replace("\r\n", "\n")[: LONGEST + 1].strip()


routes = [hunt_by_sql, stream_by_sql]
