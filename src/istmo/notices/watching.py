"""What nobody does but what happens: a peer that is away, a disk that fills up, a node that is not in order.

Looked at about once a minute. A trouble that lasts is told once; when it is over, it may be told again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

from istmo.clock import Clock
from istmo.kit.ticking import Ticking
from istmo.notices import records
from istmo.notices.objects import Kind
from istmo.notices.telling import Telling
from istmo.store.engine import Store

LOOK_SECONDS: Final = 60.0
CLEAN_EVERY: Final = timedelta(hours=6)

Troubles = Callable[[datetime], Iterable[tuple[Kind, str]]]
"""What is amiss at an instant: the kind, and what it is about."""


class Watching:
    """Looks every minute. ``start`` and ``stop`` once; ``look`` may be called by itself."""

    def __init__(self, store: Store, clock: Clock, telling: Telling, troubles: Troubles) -> None:
        self._store, self._clock, self._telling, self._troubles = store, clock, telling, troubles
        self._cleaned: datetime | None = None
        self._ticking = Ticking("notices-watching", LOOK_SECONDS, self.look)

    def start(self) -> None:
        """Look from now on."""
        self._ticking.start()

    def stop(self) -> None:
        """Look no more."""
        self._ticking.stop()

    def look(self) -> None:
        """Tell of each trouble that is new; forget those that are over."""
        now = self._clock.now()
        found = set(self._troubles(now))
        with self._store.read() as connection:
            known = records.known_troubles(connection)
        if found != known:
            with self._store.write() as tx:
                for kind, subject in sorted(known - found):
                    records.drop_trouble(tx.connection, kind, subject)
                for kind, subject in sorted(found - known):
                    records.add_trouble(tx.connection, kind, subject, now)
                    self._telling.keep(tx, kind, subject)
        if self._cleaned is None or now - self._cleaned >= CLEAN_EVERY:
            self._cleaned = now
            self._telling.forget_old(now)
