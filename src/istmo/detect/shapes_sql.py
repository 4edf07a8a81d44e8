"""The lines of an answer to SQL: what its columns are, its rows as arrays, how it ended."""

from __future__ import annotations

from typing import TypedDict


class SqlColumn(TypedDict):
    """A column of the answer; ``type`` as DuckDB calls it."""

    name: str
    type: str


class SqlHead(TypedDict):
    """The first line."""

    columns: list[SqlColumn]


class SqlProblem(TypedDict):
    """Why these are not all rows, or not those of all events."""

    code: str
    text: str


class SqlEnd(TypedDict):
    """The last line; ``count`` counts rows."""

    done: bool
    count: int
    problem: SqlProblem | None
