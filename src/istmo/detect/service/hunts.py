"""Hunts by Sigma rules through what is stored: asked for, never stored, raising no alert."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime
from typing import Final

from istmo.detect.link import WorkerLink
from istmo.detect.records import rules as rule_records
from istmo.detect.records import value_lists
from istmo.detect.service.asking import Asking
from istmo.detect.stories import to_micros
from istmo.detect.wire import HuntRules, RuleHits, WireRule
from istmo.errors import InvalidInput, NotFound, TooLarge
from istmo.policy import Action, Principal

LONGEST_RULES: Final = 4 << 20
"""Bytes of rules that come with the question."""
PASTED: Final = "rules.yml"


class Hunts(Asking):
    """Rules asked about stored events."""

    _link: WorkerLink

    def hunt_rules(
        self,
        principal: Principal,
        text: str = "",
        *,
        rule: str = "",
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 100,
    ) -> Generator[RuleHits]:
        """Stored events that the rules of ``text`` match (YAML, several documents), or one rule of the node,
        or without either all that are in force. Parts as they are found; the last is ``done``.

        Raises NotAllowed, TooLarge, NotFound("detect.no_rule"), InvalidInput("detect.rule_hunt_nothing")
        where no rule is in force, Unavailable without a worker or with another hunt under way.
        """
        self._require(principal, Action.EVENT_SEARCH, self._own("event"))
        if len(text.encode()) > LONGEST_RULES:
            raise TooLarge("detect.rules_too_large", limit=LONGEST_RULES)
        if not text:
            self._require(principal, Action.RULE_READ, self._own("rule"))
        with self._store.read() as connection:
            lists = value_lists.values_by_name(connection)
            if text:
                rules = [WireRule(PASTED, text)]
            elif rule:
                found = rule_records.find_rules(connection, [rule]).get(rule)
                if found is None:
                    raise NotFound("detect.no_rule", rule=rule[:128])
                rules = [WireRule(found.id, found.text)]
            else:
                rules = list(rule_records.rules_in_force(connection))
        if not rules:
            raise InvalidInput("detect.rule_hunt_nothing")
        first = None if start is None else to_micros(start)
        last = None if end is None else to_micros(end)
        return self._link.hunt_rules(
            lambda number: HuntRules(number, rules, lists, first, last, max(0, limit))
        )
