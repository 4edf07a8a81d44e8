"""Working on rules: how often they hit, what they would find, what they are to leave out, many at once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import orjson

from istmo.detect import exceptions
from istmo.detect.normalise import normalise
from istmo.detect.objects import RULE, AlertFilter, Rule, Snoozed, Status
from istmo.detect.objects_rule import Exempted, Kept, RuleFilter, Switched, Tried
from istmo.detect.records import rule_hits
from istmo.detect.records import rules as rule_records
from istmo.detect.service.alerts import Alerts
from istmo.detect.service.hunts import Hunts
from istmo.detect.service.rules import Rules, rule_values
from istmo.detect.wire import SIGMA
from istmo.errors import Conflict, InvalidInput, NotAllowed
from istmo.policy import Action, Person, Principal, TokenHolder, told

TRIAL_SECONDS: Final = 8.0
"""For which somebody waits before a page; the machine interface has no such end."""
TRIAL_MATCHES: Final = 50
MOST_EXCEPTIONS: Final = 100
_ALERTS_LOOKED_AT: Final = 5
_VALUES_SHOWN: Final = 40
_LONGEST_SHOWN: Final = 200
_PASSING_NAMES: Final = (
    *("time", "timestamp", "date", "recordnumber", "recordid", "processid", "threadid", "guid"),
    *("created", "logonid", "sequence"),
)
"""How fields end whose values are others in every event."""
_PASSING: Final = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\{?[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}?$"
)
"""Values that are: a time, or a GUID."""


class RuleWork(Rules, Alerts, Hunts):
    """What is done with rules beside keeping them."""

    # --- hits ----------------------------------------------------------------------------------

    def rule_hits(self, principal: Principal, ids: Sequence[str], since: datetime) -> dict[str, int]:
        """Matches of each of these rules since then, of alerts that the asker may read."""
        self._require(principal, Action.RULE_READ, self._own("rule"))
        reads = self.reads_alerts(principal)
        if reads is None or not ids:
            return {}
        with self._store.read() as connection:
            return rule_hits.hits(connection, ids, since, reads=reads)

    def rule_hits_by_hour(self, principal: Principal, id: str, since: datetime) -> list[tuple[datetime, int]]:
        """Matches of one rule by the hour, of alerts that the asker may read."""
        self._require(principal, Action.RULE_READ, self._own("rule"))
        reads = self.reads_alerts(principal)
        if reads is None:
            return []
        with self._store.read() as connection:
            return rule_hits.hits_by_hour(connection, id, since, reads=reads)

    # --- many at once ----------------------------------------------------------------------------

    def count_to_switch(self, principal: Principal, wanted: RuleFilter, is_enabled: bool) -> int:
        """How many rules ``switch_rules`` would change."""
        self._require(principal, Action.RULE_WRITE, self._own("rule"))
        with self._store.read() as connection:
            return rule_records.count_switched(connection, wanted, is_enabled, self.reads_alerts(principal))

    def switch_rules(
        self, principal: Principal, wanted: RuleFilter, is_enabled: bool, *, expected: int | None = None
    ) -> Switched:
        """Switch every rule on or off that a filter finds.

        ``expected``: how many the asker was told. Raises Conflict("detect.rules_moved") where it is another
        number by now: then nothing is changed.
        """
        self._require(principal, Action.RULE_WRITE, self._own("rule"))
        reads, now = self.reads_alerts(principal), self._clock.now()
        with self._store.write() as tx:
            ids = rule_records.switch_rules(tx.connection, wanted, is_enabled, told(principal), now, reads)
            if expected is not None and len(ids) != expected:
                raise Conflict("detect.rules_moved", n=len(ids))
            if ids:
                tx.notify("rule", ids[0], ids=ids)
                self._record(tx, principal, Action.RULE_WRITE, f"{len(ids)} {'on' if is_enabled else 'off'}")
        return Switched(len(ids), now)

    def switch_rules_back(self, principal: Principal, at: datetime, is_enabled: bool) -> int:
        """Take back what the same person switched ``is_enabled`` at a moment; what changed since stays."""
        self._require(principal, Action.RULE_WRITE, self._own("rule"))
        now = self._clock.now()
        with self._store.write() as tx:
            ids = rule_records.switch_back(tx.connection, at, is_enabled, told(principal), now)
            if ids:
                tx.notify("rule", ids[0], ids=ids)
                word = "off" if is_enabled else "on"
                self._record(tx, principal, Action.RULE_WRITE, f"{len(ids)} {word} again")
        return len(ids)

    # --- trying and tuning -------------------------------------------------------------------------

    def try_rule(self, principal: Principal, id: str, start: datetime, end: datetime) -> Tried:
        """What a rule matches in stored events, with the exceptions that are in force; bounded in time.

        Raises NotAllowed, NotFound, InvalidInput("detect.rule_not_tried") for what is no plain rule,
        Unavailable without a worker.
        """
        rule = self._tried_rule(principal, id)
        ids = [rule.id, *(one.id for one in self._filters(rule) if one.is_enabled)]
        return self._try(principal, "", ids, {rule.id}, start, end)[0]

    def try_exception(
        self, principal: Principal, id: str, given: Exempted, start: datetime, end: datetime
    ) -> Kept:
        """What an exception would keep away of a rule's matches in stored events. Raises as ``try_rule``."""
        self._require(principal, Action.RULE_WRITE, self._own("rule"))
        rule, given = self._tried_rule(principal, id), exceptions.checked(given)
        exceptions.read_filter(exceptions.write_filter(rule, given))
        filters = [one for one in self._filters(rule) if one.is_enabled]
        text, twin = exceptions.side_by_side(rule, filters, given)
        before, counts = self._try(principal, text, (), {rule.id}, start, end)
        return Kept(before, max(0, before.count - counts[twin]))

    def add_exception(self, principal: Principal, id: str, given: Exempted) -> Rule:
        """Keep an exception: in force from the next event on.

        Raises NotAllowed, NotFound, what ``exceptions.checked`` raises, ``exceptions.Unusable``,
        Conflict("detect.too_many_exceptions").
        """
        self._require(principal, Action.RULE_WRITE, self._own("rule"))
        rule, given = self._tried_rule(principal, id), exceptions.checked(given)
        found = exceptions.read_filter(exceptions.write_filter(rule, given))
        now = self._clock.now()
        author = principal.name if isinstance(principal, (Person, TokenHolder)) else ""
        values = rule_values(found, now, told(principal)) | {"author": author, "file": exceptions.FILE}
        with self._store.write() as tx:
            if len(rule_records.filters_of(tx.connection, rule)) >= MOST_EXCEPTIONS:
                raise Conflict("detect.too_many_exceptions", limit=MOST_EXCEPTIONS)
            rule_records.add_rules(tx.connection, [values])
            tx.notify("rule", found.id, ids=[found.id])
            self._record(tx, principal, Action.RULE_WRITE, f"{rule.id} exception {found.id}")
            return rule_records.find_rules(tx.connection, [found.id])[found.id]

    def exceptions_of(self, principal: Principal, id: str) -> list[Rule]:
        """The filters that name a rule, those that are switched off among them."""
        return self._filters(self.read_rule(principal, id))

    def count_open_alerts(self, principal: Principal, id: str) -> int | None:
        """Alerts of a rule that wait in the asker's queue; None where there are more than are counted."""
        wanted = AlertFilter(Status.OPEN, detector=SIGMA, subject=id, snoozed=Snoozed.NO)
        return self.list_alerts(principal, wanted, limit=1).total

    def values_of_matches(self, principal: Principal, id: str) -> list[tuple[str, str, int]]:
        """Fields and values of a rule's newest evidence, the most frequent first: to make exceptions of.

        What is another in every event is none to make an exception of: times, numbers of records and of
        processes, GUIDs; and what a single event has, where others have more in common.
        """
        counts: Counter[tuple[str, str]] = Counter()
        try:
            found = self.alerts_about(principal, id, _ALERTS_LOOKED_AT)
        except NotAllowed:
            return []
        for alert in found:
            for one in self.read_alert(principal, alert.id).evidence:
                counts.update(_plain_values(one.raw))
        least = 2 if any(number > 1 for number in counts.values()) else 1
        ordered = sorted(
            (one for one in counts.items() if one[1] >= least), key=lambda one: (-one[1], one[0])
        )
        return [(field, value, number) for (field, value), number in ordered[:_VALUES_SHOWN]]

    def _tried_rule(self, principal: Principal, id: str) -> Rule:
        rule = self.read_rule(principal, id)
        if rule.kind != RULE:
            raise InvalidInput("detect.rule_not_tried")
        return rule

    def _filters(self, rule: Rule) -> list[Rule]:
        with self._store.read() as connection:
            return rule_records.filters_of(connection, rule)

    def _try(
        self,
        principal: Principal,
        text: str,
        ids: Sequence[str],
        about: set[str],
        start: datetime,
        end: datetime,
    ) -> tuple[Tried, Counter[str]]:
        if start >= end:
            raise InvalidInput("detect.trial_stretch")
        most = self._settings.limits.search_rows
        parts = self.hunt_rules(principal, text, rules=ids, start=start, end=end, limit=most)
        until = self._clock.monotonic() + TRIAL_SECONDS
        tried, met, sums = Tried(start, end), Counter[str](), Counter[str]()
        try:
            for part in parts:
                mine = tuple(one for one in part.matches if one.rule in about)
                met.update(one.rule for one in part.matches)
                sums.update({one.rule: one.count for one in part.found})
                tried = replace(
                    tried,
                    matches=(*tried.matches, *mine)[:TRIAL_MATCHES],
                    looked=part.looked or tried.looked,
                    left_out=(*tried.left_out, *part.left_out),
                    problem=part.problem or tried.problem,
                    is_cut=not part.done,
                )
                if self._clock.monotonic() > until:
                    break
        finally:
            parts.close()
        counts = sums or met
        return replace(tried, count=sum(counts[one] for one in about)), counts


def _plain_values(raw: bytes) -> set[tuple[str, str]]:
    try:
        event = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return set()
    if not isinstance(event, dict):
        return set()
    return {
        (name, text)
        for name, value in normalise(event).fields.items()
        if isinstance(value, (str, int, float))
        and (text := str(value).strip())
        and len(text) <= _LONGEST_SHOWN
        and not name.lower().endswith(_PASSING_NAMES)
        and not _PASSING.match(text)
    }
