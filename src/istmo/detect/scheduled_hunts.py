"""Saved hunts that run by themselves: what is due, one after another, each from where it ended.

A run takes a stretch of the event log, from the place where the last one got to up to the log's head; one by
SQL takes its whole window, and tells the rows that the run before had not. That place, or those rows, the run
and the alert about what was found are stored in one transaction: a node that is killed in between asks the
same again, and tells it once. See ``docs/decisions/027-saved-hunts.md``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import orjson
import structlog

from istmo.clock import Clock
from istmo.detect.hunted_rows import digest_of, hit_of_row
from istmo.detect.link import WorkerLink
from istmo.detect.objects_hunt import FAILED_TOO_OFTEN, HuntKind, SavedHunt
from istmo.detect.records import saved_hunts as records
from istmo.detect.records import value_lists
from istmo.detect.search.quoting import quoted_fields
from istmo.detect.service.hunt_runs import micros_since, rules_asked, run_of
from istmo.detect.service.hunts import asked_rules
from istmo.detect.service.patterns import PARTLY, asked_pattern, sought
from istmo.detect.service.saved_hunts import next_due
from istmo.detect.stories import HUNT, KEPT_AT_EACH_END, Heading, Stories, event_position, to_micros
from istmo.detect.waiting import CUT
from istmo.detect.wire import HuntRules, Position, Problem, RuleMatch, Stretch, WireHit, WireRow
from istmo.errors import IstmoError, NotAllowed, Unavailable
from istmo.model.markings import Tlp
from istmo.policy import Action, Context, Resource, System, decide
from istmo.settings import Limits
from istmo.store.engine import Store

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 10.0
ITSELF: Final = System("detect")
HUNT_TLP: Final = Tlp.AMBER_STRICT
"""An alert quotes stored events: whoever may not search those reads no such alert."""
NOT_NOW: Final = frozenset({"detect.worker_away", "detect.search_busy", "detect.search_cancelled"})
"""Why a run did not take place: it does at the next look, and counts as no failure."""
CUT_SHORT: Final = frozenset({"detect.search_cut_short", "detect.search_cut_and_unreadable", CUT})
"""A run that ended before its end: what it told is right, and not all."""
GOOD_AS_FAR: Final = frozenset(
    (
        "detect.segments_unreadable",
        "detect.search_cut_at",
        "detect.pattern_forgot",
        "detect.pattern_partly",
        "detect.sql_cut_bytes",
        "detect.sql_cut_rows",
        "detect.sql_unreadable",
    )
)
"""What asking again would only repeat: the run says so and the hunt goes on behind it."""


class _NotNow(Exception):
    """Somebody else is being served, or the worker is away."""


@dataclass
class Outcome:
    """What one run came to."""

    hits: list[WireHit] = field(default_factory=list)
    found: int = 0
    problem: Problem | None = None
    rows: dict[bytes, WireHit] = field(default_factory=dict)
    """Of a hunt by SQL: every row, by its digest."""

    @property
    def is_through(self) -> bool:
        """Whether all of the stretch was looked at, as far as it ever can be."""
        return self.problem is None or self.problem.code in GOOD_AS_FAR


class ScheduledHunts:
    """Looks every few seconds, and at once when a hunt has changed.

    ``start`` and ``stop`` once; ``look`` may be called by itself.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        link: WorkerLink,
        stories: Stories,
        context: Callable[[], Context],
        limits: Limits,
    ) -> None:
        """``context``: where policy is asked from."""
        self._store, self._clock, self._link, self._stories = store, clock, link, stories
        self._context, self._most = context, limits.search_rows
        self._stopping, self._changed = threading.Event(), threading.Event()
        self._unsubscribe: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name="scheduled-hunts", daemon=True)

    def start(self) -> None:
        """Look from now on."""
        self._unsubscribe = self._store.changes.subscribe(lambda _: self._changed.set(), "hunt")
        self._thread.start()

    def stop(self) -> None:
        """Look no more. A run that is under way ends with the link, which is to be stopped first."""
        self._unsubscribe()
        self._stopping.set()
        self._changed.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._changed.wait(LOOK_SECONDS)
            self._changed.clear()
            if self._stopping.is_set():
                return
            try:
                self.look()
            except Exception:
                log.exception("hunts_not_run")

    def look(self) -> None:
        """Run what is due by now."""
        with self._store.read() as connection:
            due = records.due_hunts(connection, self._clock.now())
        for id in due:
            if self._stopping.is_set():
                return
            # One that makes trouble must not keep the others from running.
            try:
                self._run_one(id)
            except _NotNow:
                return
            except Unavailable as error:
                log.warning("hunt_not_run", hunt=id, problem=error.code)
            except Exception:
                log.exception("hunt_not_run", hunt=id)

    def _run_one(self, id: str) -> None:
        with self._store.read() as connection:
            hunt = records.find_hunt(connection, id)
        stats = self._link.ask.stats() if hunt is not None else None
        if hunt is None:
            return
        if stats is None:
            raise _NotNow
        begun, head = self._clock.now(), stats.head
        # A log that is shorter than it was is another log: it is looked back over as at first.
        after = hunt.upto if hunt.upto is not None and hunt.upto <= head else None
        since = micros_since(hunt, begun) if after is None else None
        outcome = Outcome()
        if after != head or hunt.plan.kind is HuntKind.SQL:
            outcome = self._asked(hunt, Stretch(after or Position(), head), since)
        self._keep(hunt, outcome, begun, head)

    def _asked(self, hunt: SavedHunt, stretch: Stretch, since: int | None) -> Outcome:
        try:
            self._require_searching()
            match hunt.plan.kind:
                case HuntKind.QUERY:
                    return self._ask_query(hunt, stretch, since)
                case HuntKind.PATTERN:
                    return self._ask_pattern(hunt, stretch, since)
                case HuntKind.SQL:
                    return self._ask_sql(hunt)
                case HuntKind.RULES:
                    return self._ask_rules(hunt, stretch, since)
        except IstmoError as error:
            if error.code in NOT_NOW:
                raise _NotNow from None
            params = {name: one if isinstance(one, int) else str(one) for name, one in error.params.items()}
            return Outcome(problem=Problem("", error.code, params))

    def _require_searching(self) -> None:
        context = self._context()
        own = Resource("event", context.member, frozenset({context.member}), Tlp.CLEAR, context.space)
        decision = decide(ITSELF, Action.EVENT_SEARCH, own, context)
        if not decision:
            why = [reason.code for reason in decision.reasons]
            raise NotAllowed("detect.not_allowed", action=str(Action.EVENT_SEARCH), why=why)

    def _ask_query(self, hunt: SavedHunt, stretch: Stretch, since: int | None) -> Outcome:
        rows, problem = self._gathered(
            self._link.ask.search(hunt.plan.text, since, None, self._most, stretch=stretch)
        )
        hits = [_hit_of_row(hunt.id, one) for one in rows]
        return Outcome(_with_fields(hits, hunt.plan.text), len(hits), problem)

    def _ask_pattern(self, hunt: SavedHunt, stretch: Stretch, since: int | None) -> Outcome:
        """What lies in the stretch; a pattern over time may have begun before it, within the window."""
        pattern = asked_pattern(hunt.plan.text)
        before = micros_since(hunt, self._clock.now())
        rows, problem = self._gathered(
            self._link.ask.search(
                "", since, None, self._most, stretch=stretch, pattern=sought(pattern), before=before
            )
        )
        if problem is None and pattern.not_detected is not None:
            problem = PARTLY
        hits = [_hit_of_row(hunt.id, one) for one in rows]
        return Outcome(hits, len(hits), problem)

    def _gathered(self, answers: Iterable[WireRow | Problem]) -> tuple[list[WireRow], Problem | None]:
        rows: list[WireRow] = []
        problem: Problem | None = None
        for one in answers:
            if isinstance(one, Problem):
                problem = one
            else:
                rows.append(one)
        if problem is None and len(rows) >= self._most:
            problem = Problem("", "detect.search_cut_at", {"limit": self._most})
        if problem is not None and problem.code in NOT_NOW:
            raise _NotNow
        return rows, problem

    def _ask_sql(self, hunt: SavedHunt) -> Outcome:
        now = self._clock.now()
        columns: list[str] = []
        rows: list[bytes] = []
        problem: Problem | None = None
        for part in self._link.ask.sql(
            hunt.plan.text, micros_since(hunt, now), None, self._most, scheduled=True
        ):
            columns = columns or [name for name, _ in part.columns]
            rows += part.rows
            problem = part.problem or problem
        if problem is not None and problem.code in NOT_NOW:
            raise _NotNow
        found = {digest_of(one): hit_of_row(hunt.id, columns, one, to_micros(now)) for one in rows}
        return Outcome(found=len(found), problem=problem, rows=found)

    def _ask_rules(self, hunt: SavedHunt, stretch: Stretch, since: int | None) -> Outcome:
        asked = rules_asked(hunt.plan.text)
        with self._store.read() as connection:
            rules = asked_rules(connection, asked.yaml, asked.ids)
            lists = value_lists.values_by_name(connection)
        matches: list[RuleMatch] = []
        problem: Problem | None = None
        counted = 0
        for part in self._link.ask.hunt_rules(
            lambda number: HuntRules(number, rules, lists, since, None, self._most, stretch, True)
        ):
            matches += part.matches
            counted += sum(one.count for one in part.found)
            problem = part.problem or problem
        if problem is None and counted > len(matches):
            problem = Problem("", "detect.search_cut_at", {"limit": len(matches)})
        if problem is not None and problem.code in NOT_NOW:
            raise _NotNow
        hits = _hits_of_matches(hunt.id, matches)
        return Outcome(hits, len(hits), problem)

    def _keep(self, hunt: SavedHunt, outcome: Outcome, begun: datetime, head: Position) -> None:
        """Store a run, what it found and where the hunt goes on: all of it or nothing."""
        with self._store.write() as tx:
            now = self._clock.now()
            found = records.find_hunt(tx.connection, hunt.id)
            if found is None or found.version != hunt.version:
                return  # deleted meanwhile, or it asks something else: it is still due
            places = {event_position(one.event_id): one for one in outcome.hits}
            known = records.told_among(tx.connection, found.row, places)
            fresh = [one for place, one in places.items() if place not in known]
            if found.plan.kind is HuntKind.SQL and outcome.is_through:
                before = records.rows_before(tx.connection, found.row)
                fresh = [one for digest, one in outcome.rows.items() if digest not in before]
                records.keep_rows(tx.connection, found.row, outcome.rows.keys())
            if fresh and found.plan.is_alerting:
                heading = Heading(found.plan.name, found.plan.level, HUNT_TLP, self._context().member, None)
                self._stories.store_scheduled(tx, found.id, heading, fresh)
            run = run_of(ITSELF, begun, now, len(fresh), outcome.problem)
            records.add_run(tx.connection, found.row, run)
            failures = 0 if outcome.is_through else found.failures + 1
            is_cut = outcome.problem is not None and outcome.problem.code in CUT_SHORT
            # A stretch that is too much each time only grows: it is given up, which the run has said.
            moves = outcome.is_through or (is_cut and failures >= FAILED_TOO_OFTEN)
            if moves:
                records.forget_told(tx.connection, found.row)
            else:
                records.remember_told(tx.connection, found.row, places.keys() - known)
            due = next_due(found.due, found.plan.every, now) if found.due and found.plan.every else None
            records.finish_run(
                tx.connection, found.row, due=due, upto=head if moves else None, failures=failures
            )
        if failures:
            code = outcome.problem.code if outcome.problem else ""
            log.warning("hunt_failed", hunt=hunt.id, failures=failures, problem=code)


def _hit_of_row(hunt: str, row: WireRow) -> WireHit:
    fields = dict(row.fields)
    return WireHit(
        HUNT, hunt, row.event_id, row.time, row.host, fields, row.raw, True, row.received, row.source
    )


def _hits_of_matches(hunt: str, matches: Iterable[RuleMatch]) -> list[WireHit]:
    """Each event once, with the titles of the rules that match it."""
    titles: dict[str, dict[str, None]] = {}
    events: dict[str, RuleMatch] = {}
    for one in matches:
        titles.setdefault(one.event_id, {})[one.title or one.rule] = None
        events.setdefault(one.event_id, one)
    return [
        WireHit(
            HUNT,
            hunt,
            id,
            one.time,
            one.host,
            {"rule": ", ".join(titles[id])},
            one.raw,
            True,
            one.received,
            one.source,
        )
        for id, one in events.items()
    ]


def _with_fields(hits: list[WireHit], query: str) -> list[WireHit]:
    """The first and the last events, which an alert quotes, with the fields that the query names."""
    hits = sorted(hits, key=lambda hit: (hit.time, hit.event_id))
    last = len(hits) - KEPT_AT_EACH_END
    for place, one in enumerate(hits):
        if place < KEPT_AT_EACH_END or place >= last:
            try:
                one.fields.update(quoted_fields(query, orjson.loads(one.raw)))
            except ValueError:
                log.warning("event_not_quoted", place=one.event_id)
    return hits
