"""Rules asked about portions of events: by their lines where many wait, else by their fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import structlog

from istmo.detect.eventstore.lines import StoredEvent
from istmo.detect.normalise import NormalEvent
from istmo.detect.normalise.windows import line_logsources
from istmo.detect.sigma import Match
from istmo.detect.sigma.engine import Engine, RawScan, can_scan_lines
from istmo.detect.sigma.fields import EventView
from istmo.detect.worker.lags import LagSample
from istmo.detect.worker.rule_table import InForce

log = structlog.get_logger(__name__)

FEW: Final = 100
"""Events of which fewer are parsed at once: looking at lines first pays where many wait."""
_BY_FIELDS: Final = 16
"""Of so many portions one goes by fields all the same: that is where costs are timed and lags are seen."""


class Matched(NamedTuple):
    """A rule that an event matches."""

    event: StoredEvent
    normal: NormalEvent
    rule: str
    match: Match | None
    """By what; None where nobody is told."""


class _Failures:
    """What failed of the rules that are in force: told whole once, and counted after that.

    A rule that cannot bear an event meets such events again and again: a trace for each would fill the disk.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def note(self, what: str, rule: str = "", **about: object) -> None:
        """The failure in hand; how many there were is told at the tenth, the hundredth and so on."""
        named = {"rule": rule} if rule else {}
        self._counts[what, rule] += 1
        count = self._counts[what, rule]
        if count == 1:
            log.exception(what, **named, **about)
        elif count == 10 ** (len(str(count)) - 1):
            log.error(what, **named, **about, times=count)


class Looking:
    """The rules in force, asked. For one thread, but for ``scan_for``."""

    def __init__(self, lags: LagSample | None = None) -> None:
        self.in_force = InForce()
        self._lags = lags
        self._scan: RawScan | None = None
        self._failures = _Failures()
        self._portions = 0
        self._by_start: dict[int, StoredEvent] = {}
        """Events of the block in work, by where their lines begin in it."""

    def scan_for(self, engine: Engine) -> RawScan | None:
        """The way by lines, made behind so that no event waits for it; None where it is not worth it."""
        if not can_scan_lines():
            return None
        try:
            return RawScan(engine, self._read, line_logsources, self._scan)
        except Exception:
            log.exception("rules_not_scanned")
            return None  # by fields the same is found: slower, but rules come into force

    def use(self, in_force: InForce, scan: RawScan | None) -> None:
        """Ask these from the next portion on."""
        self.in_force = in_force
        self._scan = scan
        self._failures = _Failures()

    def find(self, events: Sequence[StoredEvent], *, is_told: bool = True) -> list[Matched]:
        """Every match, in the order of the events. What cannot be read, or fails, costs itself."""
        if self._scan is not None and len(events) >= FEW:
            self._portions += 1
            if self._portions % _BY_FIELDS:
                try:
                    return self._in_lines(self._scan, events, is_told=is_told)
                except Exception:
                    self._failures.note("rules_failed_on_lines", first=events[0].id, events=len(events))
                    # By fields each event, and then each rule, can be asked alone.
        return self._by_fields(events, is_told=is_told)

    # --- by lines ------------------------------------------------------------------------------

    def _in_lines(self, scan: RawScan, events: Sequence[StoredEvent], *, is_told: bool) -> list[Matched]:
        self._by_start = {}
        start = 0
        for event in events:
            self._by_start[start] = event
            start += len(event.raw) + 1
        found: list[Matched] = []
        for one in scan.find(b"\n".join([event.raw for event in events])):
            assert isinstance(one.event, NormalEvent)
            match = self._explained(one.rule.id, one.event, is_told=is_told)
            found.append(Matched(self._by_start[one.start], one.event, one.rule.id, match))
        return found

    def _read(self, _line: bytes, start: int) -> NormalEvent | None:
        return self._normal(self._by_start[start])

    # --- by fields -----------------------------------------------------------------------------

    def _by_fields(self, events: Sequence[StoredEvent], *, is_told: bool) -> list[Matched]:
        asked = [(event, normal) for event in events if (normal := self._normal(event)) is not None]
        if self._lags is not None and is_told:
            self._lags.see(asked)
        try:
            return [
                Matched(*asked[at], rule.id, self._explained(rule.id, asked[at][1], is_told=is_told))
                for at, rule in self.in_force.engine.find([normal for _, normal in asked])
            ]
        except Exception:
            self._failures.note("rules_failed_on_events", first=asked[0][0].id, events=len(asked))
        # One of them cannot bear one of these events: ask each alone.
        return [one for event, normal in asked for one in self._one_by_one(event, normal)]

    def _one_by_one(self, event: StoredEvent, normal: NormalEvent) -> list[Matched]:
        view, silent = EventView(normal.fields), self.in_force.ruleset.silent
        found: list[Matched] = []
        for matcher in self.in_force.engine.meant_for(normal.logsources):
            id_ = matcher.rule.id
            try:
                if matcher.holds(view):
                    match = None if id_ in silent else matcher.match(view)
                    found.append(Matched(event, normal, id_, match))
            except Exception:
                self._failures.note("rule_failed", rule=id_, place=event.id)
        return found

    # --- both ----------------------------------------------------------------------------------

    def _explained(self, rule: str, normal: NormalEvent, *, is_told: bool) -> Match | None:
        if not is_told or rule in self.in_force.ruleset.silent:
            return None
        return self.in_force.engine.explain(rule, normal)

    @staticmethod
    def _normal(event: StoredEvent) -> NormalEvent | None:
        try:
            return event.normal
        except Exception:
            log.exception("event_not_normalised", place=event.id)
            return None
