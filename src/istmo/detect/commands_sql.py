"""``istmo search --sql``: one SELECT over stored events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, Final

import orjson

from istmo.detect.commands_rule_hunt import asked_times
from istmo.errors import InvalidInput
from istmo.kit.cli import Teller

_MEASURED: Final = 100
"""Rows by which the widths of columns are taken; the others come as they are."""
_WIDEST: Final = 60


def ask_by_sql(teller: Teller, statement: str, start: str, end: str, limit: int | None) -> None:
    """Rows as they come, under the names of their columns; status 1 where they are not all."""
    with teller.client() as node:
        times = asked_times(start, end)
        tell_table(teller, node.stream_post("/api/v1/events/sql", statement.encode(), limit=limit, **times))


def tell_table(teller: Teller, answer: Iterable[Any]) -> None:
    """A statement's lines as they come; status 1 where they are not all."""
    last: dict[str, Any] = {}

    def rows(lines: Iterable[Any]) -> Iterator[Any]:
        for line in lines:
            if isinstance(line, dict) and line.get("done"):
                last.update(line)
            yield line

    lines = rows(answer)
    if teller.json:
        for line in lines:
            teller.print_json_line(line)
    else:
        _show(teller, lines)
    if not last:
        raise InvalidInput("detect.sql_broken")
    if not teller.json:
        teller.note("detect.sql.done", n=last["count"])
    if last["problem"]:
        teller.note("detect.search.cut_short", message=last["problem"]["text"])
        raise SystemExit(1)


def _show(teller: Teller, lines: Iterator[Any]) -> None:
    heads: list[str] = []
    rows = (line for line in lines if isinstance(line, list))
    for line in lines:
        if "columns" in line:
            heads = [one["name"] for one in line["columns"]]
            break
    first = [[_text(one) for one in row] for row in islice(rows, _MEASURED)]
    if not first:
        return
    widths = [min(_WIDEST, max(map(len, column))) for column in zip(heads, *first, strict=True)]
    for row in chain([heads], first, ([_text(one) for one in row] for row in rows)):
        cells = [text.ljust(width) for text, width in zip(row, widths, strict=True)]
        teller.line("  ".join(cells).rstrip())


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
