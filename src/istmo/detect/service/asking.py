"""What every part of this room stands on: policy first, denials and writes on record."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from istmo.clock import Clock
from istmo.errors import Conflict, NotAllowed
from istmo.identity import audit
from istmo.model.markings import Tlp
from istmo.policy import Action, Context, Principal, Resource, decide
from istmo.settings import Settings
from istmo.store.engine import Store, Transaction

LONGEST_PAGE: Final = 500


class Asking:
    """Asks policy on behalf of the watching room of one node. ``members``: the region's present members."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        clock: Clock,
        member: str,
        members: Callable[[], Iterable[str]],
    ) -> None:
        self._store, self._settings, self._clock = store, settings, clock
        self._member, self._members = member, members

    def _context(self) -> Context:
        members = frozenset(self._members()) | {self._member}
        return Context(self._member, members, self._settings.space, self._clock.now())

    def _own(self, kind: str) -> Resource:
        return Resource(kind, self._member, frozenset({self._member}), Tlp.CLEAR, self._settings.space)

    def _require(self, principal: Principal, action: Action, resource: Resource, subject: str = "") -> None:
        """Raise NotAllowed, with the denial on record. Never within a write: it is one of its own."""
        decision = decide(principal, action, resource, self._context())
        if not decision:
            about, now = subject or resource.kind, self._clock.now()
            audit.record_denial(self._store, principal, action, about, decision.reasons, now)
            why = [reason.code for reason in decision.reasons]
            raise NotAllowed("detect.not_allowed", action=str(action), why=why)

    def _record(self, tx: Transaction, principal: Principal, action: Action, subject: str) -> None:
        audit.record(tx, principal, action, subject, audit.DONE, (), self._clock.now())


def require_last(undoing: datetime | None, last: datetime | None, name: str) -> None:
    """Raise Conflict("detect.switched_since") where a switch is to be taken back that is not the last.

    ``undoing``: when that switch was made, None where nothing is taken back; ``last``: when the asker made
    the last, None where somebody else did.
    """
    if undoing is not None and undoing != last:
        raise Conflict("detect.switched_since", name=name)


def words_of(query: str) -> tuple[str, ...]:
    """What a search for text looks for: each of its words."""
    return tuple(query.replace("\x00", " ").lower().split()[:8])
