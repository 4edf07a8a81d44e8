"""Stored events as lines of JSON, while they are found: of a search, and of a saved hunt by a query."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Final

import orjson

from istmo.detect.answers import row_line
from istmo.detect.shapes import CountProblem
from istmo.detect.wire import Problem, WireRow
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue

NDJSON: Final = "application/x-ndjson"


def problem_told(problem: Problem | None, asker: Asker, catalogue: Catalogue) -> CountProblem | None:
    """Why an answer does not hold everything, in words."""
    if problem is None:
        return None
    text = catalogue.text(asker.language, f"error.{problem.code}", **problem.params)
    return {"code": problem.code, "text": text}


class RowLines(Iterator[bytes]):
    """The answer's lines. Closing it (the client has gone) calls the search off."""

    def __init__(
        self,
        rows: Generator[WireRow | Problem],
        names: Mapping[str, str],
        asker: Asker,
        catalogue: Catalogue,
    ) -> None:
        self._rows, self._names = rows, names
        self._asker, self._catalogue = asker, catalogue
        self._count = 0
        self._problem: Problem | None = None
        self._is_done = False

    def __next__(self) -> bytes:
        if self._is_done:
            raise StopIteration
        for found in self._rows:
            if isinstance(found, Problem):
                self._problem = found
                continue
            self._count += 1
            return row_line(found, self._names)
        self._is_done = True
        return self._last()

    def close(self) -> None:
        """Call off what was asked."""
        self._rows.close()

    __del__ = close

    def _last(self) -> bytes:
        problem = problem_told(self._problem, self._asker, self._catalogue)
        return orjson.dumps({"done": True, "count": self._count, "problem": problem}) + b"\n"
