"""Warning lists: values too common to be alarmed by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from istmo.detect.objects import KeptWarningList
from istmo.detect.records import warning_lists as records
from istmo.detect.service.asking import Asking, require_last
from istmo.detect.warned import Warned
from istmo.detect.warnings import WarningList, prepare, read_warning_list, reserved_lists
from istmo.errors import Conflict, InvalidInput, NotFound, TooLarge
from istmo.model.values import recognise
from istmo.policy import Action, Principal, told

MOST_LISTS: Final = 300
MOST_ENTRIES: Final = 5_000_000
"""In all lists together: 40 MB of memory."""


class WarningLists(Asking):
    """What can be done with warning lists. Who may write rules may write these: both decide on alerts."""

    warned: Warned

    def warning_lists(self, principal: Principal) -> list[KeptWarningList]:
        """Every list by name."""
        self._require(principal, Action.RULE_READ, self._own("warning-list"))
        with self._store.read() as connection:
            return records.all_lists(connection)

    def put_warning_list(self, principal: Principal, raw: bytes) -> KeptWarningList:
        """A new list in MISP's format, or a new version of the one of that name; in force when it answers.

        Raises NotAllowed, InvalidInput and TooLarge as ``read_warning_list``, ``detect.warning_list_empty``
        where nothing of it can be used, Conflict ``detect.too_many_warning_lists``.
        """
        self._require(principal, Action.RULE_WRITE, self._own("warning-list"))
        return self._put(principal, [read_warning_list(raw)])[0]

    def put_reserved_lists(self, principal: Principal) -> list[KeptWarningList]:
        """The lists that come with the program: ranges and names that RFCs reserve."""
        self._require(principal, Action.RULE_WRITE, self._own("warning-list"))
        return self._put(principal, reserved_lists())

    def switch_warning_list(
        self, principal: Principal, name: str, is_enabled: bool, *, undoing: datetime | None = None
    ) -> datetime:
        """Put a list in force, or out of it; so it is when it answers. The moment of the switch.

        ``undoing``: when the asker switched what is taken back by this. Raises NotFound, NotAllowed, and
        Conflict("detect.switched_since") where the list was changed since.
        """
        self._require(principal, Action.RULE_WRITE, self._own("warning-list"))
        with self._store.write() as tx:
            found = records.find_list(tx.connection, name)
            if found is None:
                raise NotFound("detect.no_warning_list", name=name[:100])
            require_last(undoing, found.changed if found.changed_by == told(principal) else None, name)
            now = self._clock.now()
            records.switch_list(tx.connection, name, is_enabled, told(principal), now)
            word = "on" if is_enabled else "off"
            self._record(tx, principal, Action.RULE_WRITE, f"warning-list {name} {word}")
        self.warned.refresh()
        return now

    def lists_with(self, principal: Principal, value: str) -> tuple[str, str, tuple[str, ...]]:
        """What a value is (kind and normal form), and the lists in force on which it stands."""
        self._require(principal, Action.RULE_READ, self._own("warning-list"))
        kind, normal = recognise(value) or ("filename", value.strip().lower())
        return kind, normal, self.warned.current.find(kind, normal)

    def drop_warning_list(self, principal: Principal, name: str) -> None:
        """Forget a list: hits of its values have their own level from now on. Raises NotFound, NotAllowed."""
        self._require(principal, Action.RULE_WRITE, self._own("warning-list"))
        with self._store.write() as tx:
            if not records.drop_list(tx.connection, name):
                raise NotFound("detect.no_warning_list", name=name[:100])
            self._record(tx, principal, Action.RULE_WRITE, f"warning-list {name} -")
        self.warned.refresh()

    def _put(self, principal: Principal, lists: Sequence[WarningList]) -> list[KeptWarningList]:
        ready = [(one, prepare(one)) for one in lists]
        for one, two in ready:
            if not two.entries:
                raise InvalidInput("detect.warning_list_empty", name=one.name[:100], type=one.type)
        kept = []
        with self._store.write() as tx:
            known = records.numbers(tx.connection) | {one.name: two.entries for one, two in ready}
            if len(known) > MOST_LISTS:
                raise Conflict("detect.too_many_warning_lists", limit=MOST_LISTS)
            if sum(known.values()) > MOST_ENTRIES:
                raise TooLarge("detect.warning_lists_long", limit=MOST_ENTRIES)
            for one, two in ready:
                now = self._clock.now()
                kept.append(records.put_list(tx.connection, one, two, told(principal), now))
                self._record(tx, principal, Action.RULE_WRITE, f"warning-list {one.name} = {two.entries}")
        self.warned.refresh()
        return kept
