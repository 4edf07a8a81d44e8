"""What can be done with alerts, rules, intake sources and stored events, each after asking policy."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from istmo.clock import Clock
from istmo.detect import wire
from istmo.detect.levels import level_of
from istmo.detect.link import WorkerLink
from istmo.detect.objects import IndicatorSource, WorkerState
from istmo.detect.objects_kept import Kept
from istmo.detect.objects_source import Source
from istmo.detect.records import positions
from istmo.detect.records import sources as source_records
from istmo.detect.search.query import parse_query
from istmo.detect.service.alert_work import AlertWork
from istmo.detect.service.hunt_runs import with_word
from istmo.detect.service.overview import Overview
from istmo.detect.service.past import PastMatching
from istmo.detect.service.patterns import PARTLY, asked_pattern, sought
from istmo.detect.service.retention import Retention
from istmo.detect.service.rule_work import RuleWork
from istmo.detect.service.saved_hunts import SavedHunts
from istmo.detect.service.sources import Sources
from istmo.detect.service.sql import Statements
from istmo.detect.service.value_lists import ValueLists
from istmo.detect.service.warning_lists import WarningLists
from istmo.detect.stories import to_micros
from istmo.detect.warned import Warned
from istmo.detect.wire import WireRow
from istmo.errors import InvalidInput
from istmo.model.ids import is_id
from istmo.policy import Action, Principal, decide
from istmo.settings import Settings
from istmo.store.engine import Store

_TOLD_SECONDS: Final = 2.0
"""For which a new source waits until the worker knows it. A worker that is busy longer learns of it later."""
_FIELDS_SECONDS: Final = 30.0
"""For which the names of fields are good: they change when a new kind of event comes in."""

LONGEST_FIELD: Final = 200
MOST_LOOKED_UP: Final = 200
"""Values of one indicator that are looked for on warning lists when somebody asks about it."""


@dataclass(frozen=True)
class Detection:
    """What detection makes of one indicator."""

    state: str
    """``live`` (the worker has acknowledged it), ``waiting`` (it has not yet), ``stopping`` (it is no longer
    to be watched for, and the worker has not yet said so), ``off``."""
    hunt_problem: str | None
    """The code of why a hunt did not see every stored event; None where it did."""
    level: str = ""
    """Of its hits, but where warning lists say otherwise; empty where it is not watched for."""
    warned: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Its values that stand on warning lists, with the lists' names."""


class Detect(
    AlertWork,
    Overview,
    RuleWork,
    ValueLists,
    WarningLists,
    Sources,
    Retention,
    SavedHunts,
    Statements,
    PastMatching,
):
    """The watching room of one node. Thread-safe; one instance a node."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        clock: Clock,
        *,
        member: str,
        members: Callable[[], Iterable[str]],
        link: WorkerLink,
        indicators: IndicatorSource,
        warned: Warned | None = None,
    ) -> None:
        """``members``: the region's present members. ``link`` is started and stopped by the node."""
        super().__init__(store, settings, clock, member, members)
        self.warned = warned or Warned(store)
        self._link, self._indicators = link, indicators
        self._fields: tuple[float, wire.Fields] | None = None

    # --- intake sources, as the worker knows them ------------------------------------------------

    def create_source(
        self,
        principal: Principal,
        name: str,
        *,
        expires: datetime | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> tuple[Source, str]:
        """``Sources.create_source``; when it answers, the intake opens to the secret."""
        made = super().create_source(principal, name, expires=expires, settings=settings)
        self._link.wait_sources(_TOLD_SECONDS)
        return made

    def change_source(
        self,
        principal: Principal,
        source: str,
        changes: Mapping[str, Any],
        *,
        name: str | None = None,
        version: str | None = None,
    ) -> Source:
        """``Sources.change_source``; when it answers, the intake goes by it."""
        found = super().change_source(principal, source, changes, name=name, version=version)
        self._link.wait_sources(_TOLD_SECONDS)
        return found

    def rotate_source(self, principal: Principal, source: str) -> tuple[Source, str]:
        """``Sources.rotate_source``; when it answers, the intake opens to the new secret alone."""
        made = super().rotate_source(principal, source)
        self._link.wait_sources(_TOLD_SECONDS)
        return made

    def pause_source(
        self, principal: Principal, source: str, is_paused: bool, *, undoing: datetime | None = None
    ) -> Source:
        """``Sources.pause_source``; when it answers, the intake goes by it."""
        found = super().pause_source(principal, source, is_paused, undoing=undoing)
        self._link.wait_sources(_TOLD_SECONDS)
        return found

    def revoke_source(self, principal: Principal, source: str) -> None:
        """``Sources.revoke_source``; when it answers, the intake is closed to the source."""
        super().revoke_source(principal, source)
        self._link.wait_sources(_TOLD_SECONDS)

    def sources(self, principal: Principal) -> list[Source]:
        """``Sources.sources``, with what came in the last minute and hour."""
        return [self._with_recent(one) for one in super().sources(principal)]

    def read_source(self, principal: Principal, source: str) -> Source:
        """``Sources.read_source``, with what came in the last minute and hour."""
        return self._with_recent(super().read_source(principal, source))

    def intake(self, principal: Principal) -> str:
        """Where the intake listens (``host:port``) for whoever may know sources; empty without a worker."""
        self._require(principal, Action.SOURCE_READ, self._own("source"))
        ready = self._link.ready
        return "" if ready is None else f"{ready.intake_host}:{ready.intake_port}"

    def _with_recent(self, source: Source) -> Source:
        return replace(source, recent=self._link.recent.of(source.id))

    # --- stored events and the worker ----------------------------------------------------------

    def search(
        self,
        principal: Principal,
        query: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 100,
        pattern: str = "",
    ) -> Generator[WireRow | wire.Problem]:
        """Stored events, newest first, as they are found; a Problem where the answer is cut short.

        With a STIX ``pattern``, of those that answer the query the events that make it true; rows tell the
        fields by which. More than ``limits.search_rows`` are never told: who asks for more hears that there
        may be more.

        Raises NotAllowed, InvalidInput for a query or a pattern that cannot be read or served (TooLarge where
        it is too long), Unavailable without a worker.
        """
        self._require(principal, Action.EVENT_SEARCH, self._own("event"))
        most = self._settings.limits.search_rows
        asked = asked_pattern(pattern) if pattern else None
        found = self._link.ask.search(
            query,
            None if start is None else to_micros(start),
            None if end is None else to_micros(end),
            max(1, min(limit, most)),
            pattern=None if asked is None else sought(asked),
        )
        if asked is not None and asked.not_detected is not None:
            found = with_word(found, PARTLY)
        return _with_its_bound(found, most) if limit > most else found

    def require_search(self, principal: Principal) -> None:
        """Raises NotAllowed, before an answer begins that comes in pieces."""
        self._require(principal, Action.EVENT_SEARCH, self._own("event"))

    def search_telling(
        self,
        principal: Principal,
        query: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 100,
    ) -> Generator[WireRow | wire.Progress | wire.Problem]:
        """``search`` for who shows how far it is: begun at once, with what goes wrong as a part of it.

        Raises NotAllowed, InvalidInput and TooLarge for a query that cannot be read, Unavailable.
        """
        self._require(principal, Action.EVENT_SEARCH, self._own("event"))
        parse_query(query)
        return self._link.ask.search_telling(
            query,
            None if start is None else to_micros(start),
            None if end is None else to_micros(end),
            max(1, min(limit, self._settings.limits.search_rows)),
        )

    def event_fields(self, principal: Principal) -> wire.Fields:
        """Which fields stored events have, looked up once in a while.

        Raises NotAllowed, Unavailable without a worker.
        """
        self._require(principal, Action.EVENT_SEARCH, self._own("event"))
        now = self._clock.monotonic()
        if self._fields is None or now - self._fields[0] > _FIELDS_SECONDS:
            self._fields = now, self._link.ask.fields()
        return self._fields[1]

    def count(
        self,
        principal: Principal,
        query: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        by: str = "",
        top: int = 20,
        seconds: int = 0,
    ) -> tuple[wire.Tally, wire.Problem | None]:
        """How many stored events answer a query, by a field and in stretches of so many seconds.

        Raises NotAllowed, InvalidInput for a query that cannot be read, Unavailable without a worker.
        """
        self._require(principal, Action.EVENT_SEARCH, self._own("event"))
        if len(by) > LONGEST_FIELD:
            raise InvalidInput("detect.count_field", limit=LONGEST_FIELD)
        return self._link.ask.count(
            query,
            None if start is None else to_micros(start),
            None if end is None else to_micros(end),
            by=by,
            top=max(1, min(top, self._settings.limits.search_rows)),
            bucket=seconds * 1_000_000,
        )

    def source_names(self, principal: Principal) -> dict[str, str]:
        """What sources are called, for whoever may see where an event came from."""
        self._require(principal, Action.EVENT_SEARCH, self._own("event"))
        with self._store.read() as connection:
            return source_records.source_names(connection)

    def worker(self, principal: Principal) -> WorkerState:
        """How the detection worker is doing. Without an answer of it, as far as it is known."""
        self._require(principal, Action.NODE_READ, self._own("node"))
        state, ready = self._link.state, self._link.ready
        stats = self._link.ask.stats() if ready is not None else None
        if ready is None or stats is None:
            return WorkerState(state if ready is None else "starting", notices=self._link.notices)
        counts_all = bool(decide(principal, Action.NODE_MANAGE, self._own("node"), self._context()))
        host = f"[{ready.intake_host}]" if ":" in ready.intake_host else ready.intake_host
        return WorkerState(
            state=state,
            pid=ready.pid,
            intake=f"{host}:{ready.intake_port}",
            intake_problem="" if stats.intake == "open" else stats.intake,
            stored=stats.events,
            bytes=stats.bytes,
            rate=self._link.recent.rate(),
            indicators=stats.indicators if counts_all else None,
            rules=stats.rules,
            indicator_lag=stats.behind.get(wire.INDICATORS, 0),
            sigma_lag=stats.behind.get(wire.SIGMA, 0),
            hunting=self._link.hunting if counts_all else None,
            correlations=stats.correlations,
            patterns=stats.patterns if counts_all else {},
            notices=self._link.notices,
        )

    def kept(self, principal: Principal) -> Kept:
        """What is kept of stored events; without an answer of the worker, what was said of it alone."""
        return self.kept_of(principal, self._link.ask.stats())

    def taken_in(self, principal: Principal) -> list[int]:
        """Events that came in, minute by minute over the last hour, this minute last: NotAllowed."""
        self._require(principal, Action.NODE_READ, self._own("node"))
        return self._link.recent.by_minute()

    # --- detection of one indicator ------------------------------------------------------------

    def detection(self, indicator: str) -> Detection:
        """What detection makes of an indicator; for whoever may read it, which the caller has asked."""
        if not is_id(indicator, "indicator"):
            return Detection("off", None)
        with self._store.read() as connection:
            found = next(iter(self._indicators.detectable(connection, [indicator])), None)
            problem = positions.hunt_problem(connection, indicator)
        if found is not None:
            state = "live" if self._link.has_acknowledged(indicator) else "waiting"
        else:
            state = "off" if self._link.has_dropped(indicator) else "stopping"
            return Detection(state, problem)
        lists = self.warned.lists_of((one.kind, one.value) for one in list(found.terms)[:MOST_LOOKED_UP])
        warned = {value: names for (_, value), names in lists.items()}
        return Detection(state, problem, str(level_of(found.confidence, found.types)), warned)


def _with_its_bound(found: Generator[WireRow | wire.Problem], most: int) -> Generator[WireRow | wire.Problem]:
    """An answer for who asked for more than ``most`` rows, with a word where it may have ended for that."""
    with closing(found):
        rows, is_told = 0, False
        for one in found:
            if isinstance(one, wire.Problem):
                is_told = True
            else:
                rows += 1
            yield one
        if rows >= most and not is_told:
            yield wire.Problem("", "detect.search_cut_at", {"limit": most})
