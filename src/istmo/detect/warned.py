"""The warning lists that are in force, as hits and indicators are held against them."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime

from istmo.detect.records import warning_lists as records
from istmo.detect.warnings import Compiled, Warnings, open_list, prepare, reserved_lists
from istmo.identity import audit
from istmo.policy import Action, Principal, told
from istmo.store.engine import Store


def put_reserved(store: Store, principal: Principal, now: datetime) -> None:
    """Put in force, in a new node, the lists that come with the program."""
    with store.write() as tx:
        for one in reserved_lists():
            ready = prepare(one)
            records.put_list(tx.connection, one, ready, told(principal), now)
            subject = f"warning-list {one.name} = {ready.entries}"
            audit.record(tx, principal, Action.RULE_WRITE, subject, audit.DONE, (), now)


class Warned:
    """One a node; thread-safe. Read when first asked, and anew when ``refresh`` is called."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = threading.Lock()
        self._compiled: dict[str, Compiled] = {}
        """By digest: a list that did not change is not made ready again."""
        self._current: Warnings | None = None

    @property
    def current(self) -> Warnings:
        """What is in force."""
        return self._current or self.refresh()

    @property
    def is_any_on(self) -> bool:
        """Whether any list is in force."""
        return self.current.is_any

    def refresh(self) -> Warnings:
        """Go by what is kept now: the old goes on counting until the new is ready."""
        with self._turn, self._store.read() as connection:
            wanted = records.digests(connection)
            missing = [name for name, digest in wanted.items() if digest not in self._compiled]
            for one in records.read_lists(connection, missing):
                self._compiled[wanted[one.name]] = open_list(one)
            self._compiled = {
                digest: self._compiled[digest] for digest in wanted.values() if digest in self._compiled
            }
            self._current = Warnings(self._compiled.values())
            return self._current

    def lists_of(self, values: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, ...]]:
        """Of these values (kind and normal form) those that stand on lists, with the lists' names."""
        current = self.current
        found = {(kind, value): current.find(kind, value) for kind, value in values}
        return {value: names for value, names in found.items() if names}
