"""Saved hunts that somebody runs now: over their window, kept as a run, raising no alert."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from istmo.detect.objects_hunt import HuntKind, HuntRun, SavedHunt
from istmo.detect.records import saved_hunts as records
from istmo.detect.service.hunts import Hunts
from istmo.detect.service.patterns import PARTLY, asked_pattern, sought
from istmo.detect.service.sql import Statements
from istmo.detect.stories import to_micros
from istmo.detect.wire import Problem, RuleHits, SqlRows, WireRow
from istmo.errors import TooLarge
from istmo.policy import Action, Principal, Resource, told

MOST_IDS: Final = 200
ALL: Final = "all"
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


@dataclass(frozen=True)
class AskedRules:
    """What the text of a hunt by rules stands for: YAML, ids of the node's rules, or (neither) all."""

    yaml: str = ""
    ids: tuple[str, ...] = ()


class HuntRuns(Hunts, Statements):
    """Runs of saved hunts, each of its kind."""

    def run_query(
        self, principal: Principal, hunt: SavedHunt, *, limit: int = 100
    ) -> Generator[WireRow | Problem]:
        """The events that a hunt by a query, or a pattern, finds within its window, newest first, as a search
        tells them.

        Raises as ``search`` does. A run that came to its end is kept; it raises no alert, and
        changes nothing of when and where the hunt goes on by itself.
        """
        self._require(principal, Action.HUNT_READ, self._hunt(hunt), hunt.id)
        self._require(principal, Action.EVENT_SEARCH, self._own("event"))
        begun = self._clock.now()
        limit = max(1, min(limit, self._settings.limits.search_rows))
        since = micros_since(hunt, begun)
        if hunt.plan.kind is HuntKind.PATTERN:
            pattern = asked_pattern(hunt.plan.text)
            rows = self._link.ask.search("", since, None, limit, pattern=sought(pattern))
            if pattern.not_detected is not None:
                rows = with_word(rows, PARTLY)
        else:
            rows = self._link.ask.search(hunt.plan.text, since, None, limit)
        return self._noted_rows(principal, hunt, begun, rows, limit)

    def run_rules(self, principal: Principal, hunt: SavedHunt, *, limit: int = 100) -> Generator[RuleHits]:
        """The same of a hunt by rules, as ``hunt_rules`` tells it."""
        self._require(principal, Action.HUNT_READ, self._hunt(hunt), hunt.id)
        begun, asked = self._clock.now(), rules_asked(hunt.plan.text)
        start = hunt.plan.since(begun)
        parts = self.hunt_rules(principal, asked.yaml, rules=asked.ids, start=start, limit=limit)
        return self._noted_parts(principal, hunt, begun, parts)

    def run_sql(self, principal: Principal, hunt: SavedHunt, *, limit: int = 100) -> Generator[SqlRows]:
        """The rows that a hunt by SQL gives over its window, as ``sql`` tells them."""
        self._require(principal, Action.HUNT_READ, self._hunt(hunt), hunt.id)
        begun = self._clock.now()
        start = hunt.plan.since(begun)
        parts = self.sql(principal, hunt.plan.text, start=start, limit=limit)
        return self._noted_table(principal, hunt, begun, parts)

    def _noted_rows(
        self,
        principal: Principal,
        hunt: SavedHunt,
        begun: datetime,
        rows: Generator[WireRow | Problem],
        limit: int,
    ) -> Generator[WireRow | Problem]:
        found, problem = 0, None
        try:
            for one in rows:
                if isinstance(one, Problem):
                    problem = one
                else:
                    found += 1
                yield one
        finally:
            rows.close()
        if problem is None and found >= limit:
            problem = Problem("", "detect.search_cut_at", {"limit": limit})
            yield problem
        self._note(principal, hunt, begun, found, problem)

    def _noted_parts(
        self, principal: Principal, hunt: SavedHunt, begun: datetime, parts: Generator[RuleHits]
    ) -> Generator[RuleHits]:
        found, problem = 0, None
        try:
            for one in parts:
                found += sum(rule.count for rule in one.found)
                problem = one.problem or problem
                yield one
        finally:
            parts.close()
        self._note(principal, hunt, begun, found, problem)

    def _noted_table(
        self, principal: Principal, hunt: SavedHunt, begun: datetime, parts: Generator[SqlRows]
    ) -> Generator[SqlRows]:
        found, problem = 0, None
        try:
            for one in parts:
                found += len(one.rows)
                problem = one.problem or problem
                yield one
        finally:
            parts.close()
        self._note(principal, hunt, begun, found, problem)

    def _note(
        self, principal: Principal, hunt: SavedHunt, begun: datetime, found: int, problem: Problem | None
    ) -> None:
        run = run_of(principal, begun, self._clock.now(), found, problem)
        with self._store.write() as tx:
            if records.find_hunt(tx.connection, hunt.id) is not None:
                records.add_run(tx.connection, hunt.row, run)

    def _of(self, owner: str) -> Resource:
        return replace(self._own("hunt"), owner=owner)

    def _hunt(self, hunt: SavedHunt) -> Resource:
        audience = frozenset({self._member}) if hunt.plan.is_shared else frozenset[str]()
        return replace(self._of(hunt.owner), audience=audience)


def rules_asked(text: str) -> AskedRules:
    """What the text of a hunt by rules stands for. No Sigma rule consists of ids alone: it has a colon."""
    text = text.strip()
    if text.lower() == ALL:
        return AskedRules()
    words = text.split()
    if all(_ID.fullmatch(one) for one in words):
        ids = tuple(dict.fromkeys(words))
        if len(ids) > MOST_IDS:
            raise TooLarge("detect.hunt_too_many_rules", limit=MOST_IDS)
        return AskedRules(ids=ids)
    return AskedRules(yaml=text)


def run_of(
    principal: Principal, begun: datetime, ended: datetime, found: int, problem: Problem | None
) -> HuntRun:
    """A run as it is kept."""
    who = told(principal), called(principal)
    if problem is None:
        return HuntRun(*who, begun, ended, found, True)
    return HuntRun(*who, begun, ended, found, False, problem.code, dict(problem.params))


def called(principal: Principal) -> str:
    """What somebody is called; how they are told where they have no name."""
    return getattr(principal, "name", "") or told(principal)


def micros_since(hunt: SavedHunt, now: datetime) -> int:
    """µs since 1970: where the window of a hunt begins."""
    return to_micros(hunt.plan.since(now))


def with_word(found: Generator[WireRow | Problem], problem: Problem) -> Generator[WireRow | Problem]:
    """An answer that ends with ``problem``, where it has no other."""
    with closing(found):
        is_told = False
        for one in found:
            is_told = is_told or isinstance(one, Problem)
            yield one
        if not is_told:
            yield problem
