"""The table of a search as it grows: its rows, its columns, and where the next page begins."""

from __future__ import annotations

from collections.abc import Mapping

from istmo.detect.pages.hunt_asked import Asked
from istmo.detect.pages.hunt_rows import EventRow, columns_for, fields_of, row_of
from istmo.detect.wire import WireRow


class Table:
    """Takes found events, and gives them as rows. The first portion decides on columns that nobody chose."""

    def __init__(self, asked: Asked, names: Mapping[str, str], limit: int) -> None:
        """``names``: what sources are called; ``limit``: rows that are shown."""
        self._asked, self._names, self.limit = asked, names, limit
        self.columns = asked.columns
        self.shown = 0
        self.has_more = False
        """There are events behind the last row that is shown."""
        end, self._skip = asked.page()
        self._end = None if end is None else round(end.timestamp() * 1_000_000) - 1
        self._waiting: list[WireRow] = []
        self._last: WireRow | None = None
        self._alike = 0

    @property
    def wanted(self) -> int:
        """How many events to ask for: one more than are shown tells whether there are more."""
        return self.limit + self._skip + 1

    def take(self, row: WireRow) -> None:
        """A found event, the next older one."""
        if self._skip and row.time == self._end:
            self._skip -= 1
            self._count(row)
            return
        if self.shown >= self.limit:
            self.has_more = True
            return
        self.shown += 1
        self._count(row)
        self._waiting.append(row)

    def rows(self) -> list[EventRow]:
        """Rows of what was taken since the last time."""
        taken, self._waiting = self._waiting, []
        found = [fields_of(one.raw) for one in taken]
        if taken and not self.columns:
            self.columns = columns_for(found)
        return [
            row_of(one, fields, self.columns, self._names) for one, fields in zip(taken, found, strict=True)
        ]

    @property
    def next_path(self) -> str:
        """The address of the next page; empty where this one is the last."""
        if not self.has_more or self._last is None:
            return ""
        return self._asked.path(before=f"{self._last.time}-{self._alike}", columns=",".join(self.columns))

    def _count(self, row: WireRow) -> None:
        self._alike = self._alike + 1 if self._last is not None and self._last.time == row.time else 1
        self._last = row
