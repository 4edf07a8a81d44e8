"""SQL over stored events, answered line by line."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Annotated, Final

import orjson
from litestar import post
from litestar.params import QueryParameter
from litestar.response import Stream

from istmo.detect.api_lines import NDJSON, problem_told
from istmo.detect.service import Detect
from istmo.detect.shapes_sql import SqlEnd, SqlHead
from istmo.detect.wire import Problem, SqlRows
from istmo.errors import InvalidInput
from istmo.kit.access import PEOPLE
from istmo.kit.answering import heard
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.kit.openapi import TEXT, operation_with_both
from istmo.model import instants

LARGEST_BODY: Final = 64 << 10
"""Outer bound in bytes; the statement's own limit is checked behind it."""


@post(
    "/api/v1/events/sql",
    opt=PEOPLE,
    status_code=200,
    sync_to_thread=True,
    request_max_body_size=LARGEST_BODY,
    operation_class=operation_with_both(
        "One SELECT over the table ``events``.",
        {"application/sql": TEXT},
        "First ``columns``; then a row a line, an array each; the last line has ``done``.",
        {NDJSON: TEXT},
    ),
)
def ask_by_sql(
    body: bytes,
    asker: Asker,
    detect: Detect,
    catalogue: Catalogue,
    start: Annotated[str, QueryParameter(name="from")] = "",
    end: Annotated[str, QueryParameter(name="to")] = "",
    limit: int = 0,
) -> Stream:
    """What the SELECT in the body gives, over events from one time on and before another."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise InvalidInput("detect.sql_not_text") from None
    parts = detect.sql(
        asker.principal,
        text,
        start=instants.parse(start) if start else None,
        end=instants.parse(end) if end else None,
        limit=limit,
    )
    return Stream(heard(TableLines(parts, asker, catalogue), asker), media_type=NDJSON)


class TableLines(Iterator[bytes]):
    """The answer's lines. Closing it (the client has gone) calls the statement off."""

    def __init__(self, parts: Generator[SqlRows], asker: Asker, catalogue: Catalogue) -> None:
        self._parts, self._asker, self._catalogue = parts, asker, catalogue
        self._count = 0
        self._problem: Problem | None = None
        self._is_done = False

    def __next__(self) -> bytes:
        if self._is_done:
            raise StopIteration
        for part in self._parts:
            self._problem = part.problem or self._problem
            self._count += len(part.rows)
            # An empty line now and then: whoever has gone is noticed by writing to them.
            lines = b"".join((_head(part), *(row + b"\n" for row in part.rows))) or b"\n"
            if not part.done:
                return lines
        self._is_done = True
        return self._last()

    def close(self) -> None:
        """Call off what was asked."""
        self._parts.close()

    __del__ = close

    def _last(self) -> bytes:
        problem = problem_told(self._problem, self._asker, self._catalogue)
        end: SqlEnd = {"done": True, "count": self._count, "problem": problem}
        return orjson.dumps(end) + b"\n"


def _head(part: SqlRows) -> bytes:
    if not part.columns:
        return b""
    head: SqlHead = {"columns": [{"name": name, "type": kind} for name, kind in part.columns]}
    return orjson.dumps(head) + b"\n"


routes = [ask_by_sql]
