"""Hunts by Sigma rules through what is stored: asked for, never stored, raising no alert."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from istmo.detect.link import WorkerLink
from istmo.detect.objects import RuleProblem
from istmo.detect.records import rules as rule_records
from istmo.detect.records import value_lists
from istmo.detect.rule_import import read_upload
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

    def check_rules(self, principal: Principal, text: str) -> tuple[int, list[RuleProblem]]:
        """How many rules of a text can be used, and by line what cannot.

        Raises NotAllowed, TooLarge; InvalidInput("detect.rules_unreadable") where reading takes too much.
        """
        self._require(principal, Action.EVENT_SEARCH, self._own("event"))
        if len(text.encode("utf-8", "surrogatepass")) > LONGEST_RULES:
            raise TooLarge("detect.rules_too_large", limit=LONGEST_RULES)
        found = read_upload(text.encode("utf-8", "replace"))
        return len(found.rules), [one.told() for one in found.problems]

    def hunt_rules(
        self,
        principal: Principal,
        text: str = "",
        *,
        rule: str = "",
        rules: Sequence[str] = (),
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 100,
    ) -> Generator[RuleHits]:
        """Stored events that the rules of ``text`` match (YAML, several documents), or some of the node,
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
            asked = asked_rules(connection, text, [rule] if rule else rules)
        most = self._settings.limits.search_rows
        first = None if start is None else to_micros(start)
        last = None if end is None else to_micros(end)
        return self._link.ask.hunt_rules(
            lambda number: HuntRules(number, asked, lists, first, last, max(0, min(limit, most)))
        )


def asked_rules(connection: Connection, text: str, ids: Sequence[str]) -> list[WireRule]:
    """The rules of a hunt: those of ``text``, those of the node by id, or all that are in force.

    Raises NotFound("detect.no_rule"), InvalidInput("detect.rule_hunt_nothing").
    """
    if text:
        return [WireRule(PASTED, text)]
    if not ids:
        in_force = list(rule_records.rules_in_force(connection))
        if not in_force:
            raise InvalidInput("detect.rule_hunt_nothing")
        return in_force
    found = rule_records.find_rules(connection, list(ids))
    for one in ids:
        if one not in found:
            raise NotFound("detect.no_rule", rule=one[:128])
    return [WireRule(one, found[one].text) for one in ids]
