"""Stored events: how long they are kept, and what they take."""

from __future__ import annotations

from typing import Final

from istmo.detect.objects_kept import Kept, Sealed, SourceKeep, SourceKept
from istmo.detect.records import retention as records
from istmo.detect.records import sources as source_records
from istmo.detect.service.asking import Asking
from istmo.detect.stories import from_micros
from istmo.detect.wire import Sealing, Stats
from istmo.errors import InvalidInput, NotFound
from istmo.policy import Action, Principal

MOST_DAYS: Final = 36_500
MOST_BUDGET: Final = 1 << 60


class Retention(Asking):
    """What can be asked and said of keeping events."""

    def kept_of(self, principal: Principal, stats: Stats | None) -> Kept:
        """What is kept, by what the worker counts. Raises NotAllowed."""
        self._require(principal, Action.SOURCE_READ, self._own("event"))
        with self._store.read() as connection:
            names = source_records.source_names(connection)
            said = records.retention_by_source(connection)
        sizes = stats.sources if stats else {}
        usual = self._settings.retention
        daily = stats.daily if stats else 0
        return Kept(
            oldest=from_micros(stats.oldest) if stats and stats.oldest else None,
            bytes=stats.bytes if stats else 0,
            daily_bytes=daily,
            days_left=stats.room // daily if stats and daily else None,
            keep=SourceKeep(usual.keep_days, usual.budget_bytes),
            sources=[
                SourceKept(id, names.get(id, ""), said.get(id, SourceKeep()), sizes.get(id, 0))
                for id in sorted({*names, *sizes}, key=lambda id: (-sizes.get(id, 0), names.get(id, ""), id))
            ],
            sealed=_sealed(stats.sealing) if stats and stats.sealing else None,
        )

    def keep_source(self, principal: Principal, source: str, days: int, budget: int) -> None:
        """Say how long and in how much room a source's events are kept; 0 is no bound of its own.

        What is past it goes within a day, and is on the audit trail. Raises NotAllowed,
        InvalidInput ``detect.keep_days`` or ``detect.keep_budget``, NotFound("detect.unknown_source").
        """
        self._require(principal, Action.SOURCE_MANAGE, self._own("source"))
        if not 0 <= days <= MOST_DAYS:
            raise InvalidInput("detect.keep_days", most=MOST_DAYS)
        if not 0 <= budget <= MOST_BUDGET:
            raise InvalidInput("detect.keep_budget")
        with self._store.write() as tx:
            if source not in source_records.source_names(tx.connection):
                raise NotFound("detect.unknown_source", source=source[:80])
            records.put_retention(tx.connection, source, SourceKeep(days, budget))
            self._record(tx, principal, Action.SOURCE_MANAGE, f"{source} keep {days} days {budget} bytes")


def _sealed(told: Sealing) -> Sealed:
    return Sealed(told.key, told.sealed, told.older, told.plain, told.shut)
