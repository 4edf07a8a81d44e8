"""A statement of SQL as a process aside runs it: once, and within bounds that the process cannot pass."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from istmo.detect.aside.jobs import FindBySql, Found
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.search.find import OutOfTime
from istmo.detect.search.sql.running import CutAt, SqlQuery
from istmo.detect.wire import Problem, SqlRows
from istmo.errors import IstmoError

MOST_MEMORY: Final = 1 << 30
"""Bytes of addresses beyond what the process begins with: what DuckDB does not count, it cannot have."""
MOST_FILE: Final = 1 << 30
"""Bytes of a file: the largest is that of events that are read line by line."""

MOST_FILES: Final = 65_536


def confine() -> None:
    """Bound this process for good, before it reads what somebody wrote."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    most = pages * resource.getpagesize() + MOST_MEMORY
    for what, bound in (
        (resource.RLIMIT_AS, most),
        (resource.RLIMIT_FSIZE, MOST_FILE),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        own = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(what, (own, own))
    # DuckDB keeps the files of a table open, one a segment.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))


def sql_rows(folder: EventFolder, job: FindBySql) -> Iterator[Found]:
    """A statement's answers: its columns with the first, then rows as they come, the problem at last."""
    query = SqlQuery(folder, job.sql, job.upto, job.seconds, start=job.start, end=job.end, limit=job.limit)
    cut: Problem | None = None
    is_told = False
    try:
        for rows in query.portions():
            columns = [] if is_told else query.columns
            is_told = is_told or bool(columns)
            yield Found(False, table=SqlRows(0, False, columns, rows))
    except OutOfTime:
        cut = Problem("", "detect.sql_cut_short", {"seconds": int(job.seconds)})
    except CutAt as error:
        cut = Problem("", error.code, {"limit": error.limit})
    except IstmoError as error:
        cut = Problem("", error.code, error.params)
    if query.unreadable and (cut is None or cut.code.startswith("detect.sql_cut_")):
        code = "detect.sql_cut_and_unreadable" if cut else "detect.sql_unreadable"
        cut = Problem("", code, query.unreadable.params)
    yield Found(True, problem=cut)
