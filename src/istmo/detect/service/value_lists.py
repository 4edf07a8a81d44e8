"""Value lists: what ``%name%`` stands for in Sigma rules that say ``expand``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from istmo.detect.objects import ValueList
from istmo.detect.records import rules as rule_records
from istmo.detect.records import value_lists as records
from istmo.detect.service.asking import Asking
from istmo.detect.sigma.limits import STANDARD
from istmo.detect.sigma.placeholders import is_name
from istmo.errors import Conflict, InvalidInput, NotFound, TooLarge
from istmo.policy import Action, Principal, told

MOST_LISTS: Final = 100
MOST_VALUES: Final = STANDARD.values
LONGEST_VALUE: Final = STANDARD.placeholder_characters
MOST_CHARACTERS: Final = 1 << 18
"""In all values of one list: the worker is told of all lists at once."""


class ValueLists(Asking):
    """What can be done with value lists. Who may write rules may write these: they are a part of them."""

    def value_lists(self, principal: Principal) -> list[ValueList]:
        """Every list by name."""
        self._require(principal, Action.RULE_READ, self._own("value-list"))
        with self._store.read() as connection:
            return records.all_lists(connection)

    def read_value_list(self, principal: Principal, name: str) -> ValueList:
        """One list. Raises NotFound("detect.no_list")."""
        self._require(principal, Action.RULE_READ, self._own("value-list"))
        with self._store.read() as connection:
            found = records.find_list(connection, name)
        if found is None:
            raise NotFound("detect.no_list", name=name[:100])
        return found

    def missing_lists(self, principal: Principal) -> list[tuple[str, int]]:
        """Each list that rules in force wait for, by name, and how many do."""
        self._require(principal, Action.RULE_READ, self._own("value-list"))
        with self._store.read() as connection:
            there, asked = records.names(connection), rule_records.lists_asked(connection)
        return sorted((name, number) for name, number in asked.items() if name not in there)

    def put_value_list(
        self, principal: Principal, name: str, values: Sequence[str], *, version: str | None = None
    ) -> ValueList:
        """A new list, or the new values of one: in force from the next event on.

        Values may hold wildcards, as in a rule; each counts once. ``version``: of the list that was seen,
        ``""`` where there was none; None to write over whatever there is. Raises NotAllowed, InvalidInput
        ``detect.list_name``, ``detect.list_empty``, ``detect.list_value``; TooLarge, Conflict
        ``detect.list_changed``, ``detect.too_many_lists``.
        """
        self._require(principal, Action.RULE_WRITE, self._own("value-list"))
        kept = _checked(name, values)
        now = self._clock.now()
        with self._store.write() as tx:
            if version is not None:
                found = records.find_list(tx.connection, name)
                if version != (found.version if found else "") and not (found and found.values == kept):
                    raise Conflict("detect.list_changed", name=name)
            known = records.names(tx.connection)
            if name not in known and len(known) >= MOST_LISTS:
                raise Conflict("detect.too_many_lists", limit=MOST_LISTS)
            records.put_list(tx.connection, name, kept, told(principal), now)
            tx.notify("value_list", name)
            self._record(tx, principal, Action.RULE_WRITE, f"%{name}% = {len(kept)}")
            return ValueList(name, kept, now, told(principal))

    def drop_value_list(self, principal: Principal, name: str) -> None:
        """Forget a list; rules that ask for it rest until there is one again. Raises NotFound, NotAllowed."""
        self._require(principal, Action.RULE_WRITE, self._own("value-list"))
        with self._store.write() as tx:
            if not records.drop_list(tx.connection, name):
                raise NotFound("detect.no_list", name=name[:100])
            tx.notify("value_list", name)
            self._record(tx, principal, Action.RULE_WRITE, f"%{name}% -")


def _checked(name: str, values: Sequence[str]) -> tuple[str, ...]:
    if not is_name(name):
        raise InvalidInput("detect.list_name", name=name[:100])
    kept = tuple(dict.fromkeys(text for one in values if (text := one.strip())))
    if not kept:
        raise InvalidInput("detect.list_empty", name=name)
    for one in kept:
        if len(one) > LONGEST_VALUE or "\x00" in one or not one.isprintable():
            raise InvalidInput("detect.list_value", value=one[:100], limit=LONGEST_VALUE)
    if len(kept) > MOST_VALUES or sum(map(len, kept)) > MOST_CHARACTERS:
        raise TooLarge("detect.list_too_long", values=MOST_VALUES, characters=MOST_CHARACTERS)
    return kept
