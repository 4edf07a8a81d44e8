"""Rules: brought in, listed, read, switched on and off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from istmo.detect import rule_import
from istmo.detect.objects import Rule, RuleImport, RulePage, RuleProblem
from istmo.detect.objects_rule import RuleFilter, RuleOrder
from istmo.detect.records import rules as rule_records
from istmo.detect.records import value_lists as list_records
from istmo.detect.service.asking import LONGEST_PAGE, Asking, require_last, words_of
from istmo.errors import InvalidInput, NotFound, TooLarge
from istmo.model.markings import Tlp
from istmo.policy import Action, Principal, decide, reading_limit, told

EVERY_RULE: Final = RuleFilter()
HIT_DAYS: Final = 30
"""For so many days a list of rules tells their hits."""
MOST_REPLACED: Final = 20
"""Rules of one import that are shown as they were."""
NAMED: Final = 10
"""References of one rule that a report names."""


class Rules(Asking):
    """What can be done with rules."""

    def import_rules(self, principal: Principal, data: bytes) -> RuleImport:
        """Keep what a zip or a YAML file holds of rules, correlations and filters.

        Each that cannot be used is named by file and line; so is each that is kept and cannot be in force
        as it is, for it refers to what is not there, or asks for a value list that is not.
        What is there already is replaced where its text differs; whether it is switched on stays
        as it was. Raises NotAllowed, InvalidInput ``detect.rules_unreadable``, TooLarge.
        """
        self._require(principal, Action.RULE_WRITE, self._own("rule"))
        limit = self._settings.limits.bundle_bytes
        if len(data) > limit:
            raise TooLarge("detect.rules_too_large", limit=limit)
        found = rule_import.read_upload(data)
        now = self._clock.now()
        with self._store.write() as tx:
            known = rule_records.digests(tx.connection)
            added: list[rule_import.FoundRule] = []
            changed: list[rule_import.FoundRule] = []
            for one in found.rules:
                if known.get(one.id) == (one.digest, one.name):
                    continue
                (changed if one.id in known else added).append(one)
            rows = [rule_values(one, now, told(principal)) for one in added]
            if rows:
                rule_records.add_rules(tx.connection, rows)
            former = rule_records.find_rules(tx.connection, [one.id for one in changed[:MOST_REPLACED]])
            for one in changed:
                rule_records.change_rule(tx.connection, one.id, rule_values(one, now, told(principal)))
            ids = [one.id for one in (*added, *changed)]
            if ids:
                tx.notify("rule", ids[0], ids=ids)
                self._record(tx, principal, Action.RULE_WRITE, f"import +{len(added)} ~{len(changed)}")
            waiting = tuple(_waiting(tx.connection, found.rules))
        return RuleImport(
            len(added),
            len(changed),
            len(found.rules) - len(ids),
            (*(problem.told() for problem in found.problems), *waiting),
            tuple(former.values()),
        )

    def list_rules(
        self,
        principal: Principal,
        wanted: RuleFilter = EVERY_RULE,
        *,
        order: RuleOrder = RuleOrder.TITLE,
        cursor: str | None = None,
        limit: int = 50,
    ) -> RulePage:
        """Rules in an order; by hits, those of the last thirty days. Every word of the filter must occur in
        title, name, log source or id.
        """
        self._require(principal, Action.RULE_READ, self._own("rule"))
        limit = max(1, min(limit, LONGEST_PAGE))
        counts_hits = wanted.has_hits is not None or order is RuleOrder.HITS
        reads = self.reads_alerts(principal) if counts_hits else None
        with self._store.read() as connection:
            if cursor and cursor not in rule_records.find_rules(connection, [cursor]):
                raise InvalidInput("detect.bad_cursor")
            found, total = rule_records.list_rules(
                connection,
                wanted,
                order=order,
                since=since_days(self._clock.now(), HIT_DAYS),
                reads=reads,
                after=cursor or None,
                limit=limit,
            )
        return RulePage(tuple(found), found[-1].id if len(found) == limit else None, total)

    def logsource_parts(self, principal: Principal) -> list[str]:
        """Every product, category and service that rules name."""
        self._require(principal, Action.RULE_READ, self._own("rule"))
        with self._store.read() as connection:
            return rule_records.logsource_parts(connection)

    def reads_alerts(self, principal: Principal) -> Tlp | None:
        """How far somebody reads alerts; None for who reads none: such a one is told of no hits either."""
        if not decide(principal, Action.ALERT_READ, self._own("alert"), self._context()):
            return None
        return reading_limit(principal, Action.ALERT_READ)

    def read_rule(self, principal: Principal, rule: str) -> Rule:
        """One rule with its text. Raises NotFound("detect.no_rule")."""
        self._require(principal, Action.RULE_READ, self._own("rule"))
        with self._store.read() as connection:
            found = rule_records.find_rules(connection, [rule]).get(rule)
        if found is None:
            raise NotFound("detect.no_rule", rule=rule[:128])
        return found

    def correlations_of(self, principal: Principal, rule: str) -> list[tuple[str, str]]:
        """Id and title of each correlation that a rule is a part of."""
        self._require(principal, Action.RULE_READ, self._own("rule"))
        with self._store.read() as connection:
            return rule_records.correlations_of(connection, rule)

    def enable_rule(
        self, principal: Principal, rule: str, is_enabled: bool, *, undoing: datetime | None = None
    ) -> Rule:
        """Switch a rule on or off; it counts from the next event on.

        ``undoing``: when the asker switched what is taken back by this. Raises NotFound, NotAllowed, and
        Conflict("detect.switched_since") where the rule was changed since.
        """
        self._require(principal, Action.RULE_WRITE, self._own("rule"))
        with self._store.write() as tx:
            found = rule_records.find_rules(tx.connection, [rule]).get(rule)
            if found is None:
                raise NotFound("detect.no_rule", rule=rule[:128])
            require_last(undoing, found.updated if found.changed_by == told(principal) else None, found.title)
            rule_records.set_enabled(tx.connection, rule, is_enabled, told(principal), self._clock.now())
            tx.notify("rule", rule)
            self._record(tx, principal, Action.RULE_WRITE, f"{rule} {'on' if is_enabled else 'off'}")
            return rule_records.find_rules(tx.connection, [rule])[rule]

    def require_writing_rules(self, principal: Principal) -> None:
        """Raise NotAllowed for whoever may not."""
        self._require(principal, Action.RULE_WRITE, self._own("rule"))

    def count_rules(self, principal: Principal) -> tuple[int, int]:
        """How many rules there are, and how many are switched on."""
        self._require(principal, Action.RULE_READ, self._own("rule"))
        with self._store.read() as connection:
            return rule_records.count_rules(connection)


def _waiting(connection: Connection, found: Iterable[rule_import.FoundRule]) -> Iterator[RuleProblem]:
    """Why some of what was kept is not in force: what it refers to is missing, or switched off."""
    there = rule_records.referred(connection)
    lists = list_records.names(connection)
    for one in found:
        missing = [name for name in one.refers if name not in there and name.lower() not in there]
        off = [name for name in one.refers if there.get(name, there.get(name.lower())) is False]
        for code, names in (("missing", missing), ("off", off)):
            if names:
                key = f"detect.rule_import.{one.kind}_{code}"
                params = {"names": ", ".join(names[:NAMED]), "n": len(names)}
                yield RuleProblem(
                    key, one.file, one.line, params, one.title, is_not_served=False, is_kept=True
                )
        asked = [f"%{name}%" for name in one.lists if name not in lists]
        if asked:
            params = {"names": ", ".join(asked[:NAMED]), "n": len(asked)}
            yield RuleProblem(
                "detect.rule_import.list_missing",
                one.file,
                one.line,
                params,
                one.title,
                is_not_served=False,
                is_kept=True,
            )


def rule_values(found: rule_import.FoundRule, now: datetime, by: str) -> dict[str, object]:
    """The columns of a rule that was read, each within its bounds."""

    def kept(text: str, longest: int) -> str:
        return text.replace("\x00", "\ufffd")[:longest]

    return {
        "id": found.id,
        "title": kept(found.title, 500),
        "level": kept(found.level, 16),
        "status": kept(found.status, 32),
        "description": kept(found.description, 10_000),
        "author": kept(found.author, 1_000),
        "logsource": kept(found.logsource, 300),
        "tags": [kept(tag, 200) for tag in found.tags[:100]],
        "text": found.text,
        "digest": found.digest,
        "file": kept(found.file, 500),
        "kind": found.kind,
        "name": kept(found.name, 500),
        "refers": [kept(one, 500) for one in found.refers],
        "lists": found.lists,
        "imported": now,
        "updated": now,
        "changed_by": by,
    }


def rule_filter(
    now: datetime,
    *,
    query: str = "",
    level: str = "",
    kind: str = "",
    enabled: bool | None = None,
    slow: bool = False,
    logsource: str = "",
    tag: str = "",
    author: str = "",
    hits: bool | None = None,
) -> RuleFilter:
    """A filter from what stands in an address. Hits are those of the last thirty days."""
    return RuleFilter(
        words=words_of(query),
        level=level,
        kind=kind,
        is_enabled=enabled,
        is_slow=slow,
        part=logsource.lower().strip(),
        tag=tag.lower().strip(),
        author=author.lower().strip(),
        has_hits=hits,
        since=None if hits is None else now - timedelta(days=HIT_DAYS),
    )


def since_days(now: datetime, days: int) -> datetime:
    """So many days ago, at the full hour: the counts are by the hour."""
    return (now - timedelta(days=days)).replace(minute=0, second=0, microsecond=0)
