"""SQL over stored events: asked for, never stored, seeing what a search of the same person would see."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime

from istmo.detect.link import WorkerLink
from istmo.detect.service.asking import Asking
from istmo.detect.stories import to_micros
from istmo.detect.wire import SqlRows
from istmo.policy import Action, Principal


class Statements(Asking):
    """Statements of people who know SQL."""

    _link: WorkerLink

    def sql(
        self,
        principal: Principal,
        text: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 0,
    ) -> Generator[SqlRows]:
        """What one SELECT over the table ``events`` gives: parts as they come; the last is ``done``.

        ``limit``: rows that are given; 0, and at most, ``limits.search_rows``.

        Raises NotAllowed, InvalidInput for a statement that cannot be run (``detect.sql_…``), Unavailable
        without a worker or with another statement under way.
        """
        self._require(principal, Action.EVENT_SEARCH, self._own("event"))
        most = self._settings.limits.search_rows
        return self._link.ask.sql(
            text,
            None if start is None else to_micros(start),
            None if end is None else to_micros(end),
            min(limit, most) if limit > 0 else most,
        )
