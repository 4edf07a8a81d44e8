"""Statements asked of a store on disk, as a process aside would ask them."""

from __future__ import annotations

from typing import Any

import orjson

from istmo.detect.aside.jobs import FindBySql, Found
from istmo.detect.aside.sql_queries import sql_rows
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.wire import Position, Problem

from ..test_find import all_seen, fill  # noqa: TID252 - works with and without tests as a package

__all__ = ["EVERYTHING", "all_seen", "ask", "fill", "gathered", "job", "rows"]

EVERYTHING = Position(1 << 40)


def job(sql: str, **more: Any) -> FindBySql:
    asked = {"start": None, "end": None, "limit": 10_000, "upto": EVERYTHING, "seconds": 20.0}
    return FindBySql(sql, **(asked | more))


def gathered(found: list[Found]) -> tuple[list[tuple[str, str]], list[list[Any]], Problem | None]:
    """(columns, rows, problem) of all parts."""
    tables = [one.table for one in found if one.table is not None]
    columns = [column for table in tables for column in table.columns]
    return columns, [orjson.loads(row) for table in tables for row in table.rows], found[-1].problem


def ask(
    folder: EventFolder, sql: str, **more: Any
) -> tuple[list[tuple[str, str]], list[list[Any]], Problem | None]:
    found = list(sql_rows(folder, job(sql, **more)))
    assert [one.done for one in found] == [False] * (len(found) - 1) + [True]
    return gathered(found)


def rows(folder: EventFolder, sql: str, **more: Any) -> list[list[Any]]:
    _, told, problem = ask(folder, sql, **more)
    assert problem is None, problem
    return told
