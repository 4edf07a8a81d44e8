"""Hits folded into stories: one alert for each, whatever the number of events.

An indicator has one open alert at a time. A Sigma rule has one for each host, as long as no more
than a day lies between its events. Where events come out of order, one between two stories joins
either; what was told as two stays two, for somebody may be at work on each. What was closed stays as
it is: the next hit opens a new alert that refers to it. A hit that is stored already changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError

from istmo.clock import Clock
from istmo.detect import wire
from istmo.detect.levels import highest
from istmo.detect.objects import (
    LEVELS,
    Alert,
    Correlated,
    Evidence,
    IndicatorSource,
    Level,
    SightingSink,
    Status,
    Watched,
    Weighed,
)
from istmo.detect.records import alerts as alert_records
from istmo.detect.records import evidence, positions, rules
from istmo.detect.records.alert_history import come_back
from istmo.detect.warnings import Warnings
from istmo.detect.weighing import weigh, with_those_before
from istmo.detect.wire import Position, WireHit, WireMatch, WireState
from istmo.errors import IstmoError
from istmo.model.ids import new_id
from istmo.model.markings import Tlp, strictest
from istmo.store.engine import Transaction

log = structlog.get_logger(__name__)

INDICATOR, SIGMA, HUNT = "indicator", "sigma", "hunt"
DETECTORS: Final[Mapping[str, str]] = {wire.INDICATORS: INDICATOR, wire.SIGMA: SIGMA}
"""An alert's ``detector`` by the worker's name for the stage."""
ALERT_TYPE: Final = "x-istmo-alert"
KEPT_AT_EACH_END: Final = 20
DAY: Final = timedelta(hours=24)
RULE_TLP: Final = Tlp.AMBER
"""What a rule finds is this node's own business until somebody says otherwise."""
MOST_HOSTS: Final = 1000
MOST_HOURS: Final = 5000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FAR = datetime(9000, 1, 1, tzinfo=UTC)
_LONGEST_FIELD, _MOST_FIELDS, _LONGEST_RAW = 4096, 64, 1 << 16


@dataclass(frozen=True)
class Heading:
    """What an alert says of its subject, and who may see it."""

    title: str
    level: Level
    tlp: Tlp
    origin: str
    audience: frozenset[str] | None
    owner: str = ""
    weighed: Weighed | None = None


class Stories:
    """Folds hits into alerts, inside the transaction of the caller."""

    def __init__(
        self,
        member: str,
        clock: Clock,
        indicators: IndicatorSource,
        sightings: SightingSink,
        warnings: Callable[[], Warnings] = Warnings,
    ) -> None:
        """``warnings``: the warning lists that are in force."""
        self._member, self._clock = member, clock
        self._indicators, self._sightings, self._warnings = indicators, sightings, warnings

    def store(
        self,
        tx: Transaction,
        detector: str,
        hits: Iterable[WireHit],
        after: Position,
        matches: Iterable[WireMatch] = (),
        judged: int = wire.BEFORE,
        state: WireState | None = None,
    ) -> int:
        """Store live hits and matches, that everything before ``after`` is stored (of correlations what
        happened up to ``judged``), and what the detector remembers there; how many hits were new.
        """
        stored = positions.positions(tx.connection).get(detector, Position())
        before = (stored, positions.judged(tx.connection, detector) if detector == wire.SIGMA else judged)
        number = self._fold(tx, [hit for hit in hits if event_position(hit.event_id) >= stored])
        self._fold_matches(tx, [one for one in matches if (one.at, one.last) > before])
        now = self._clock.now()
        if (after, judged) > before:
            positions.put_position(tx.connection, detector, after, now, judged)
        if state is not None and after >= stored:
            positions.put_state(tx.connection, detector, after, state, now)
        return number

    def store_hunted(self, tx: Transaction, hits: Iterable[WireHit]) -> int:
        """Store what a hunt found; how many hits were new."""
        return self._fold(tx, hits)

    def store_scheduled(self, tx: Transaction, hunt: str, heading: Heading, hits: list[WireHit]) -> None:
        """Store what a saved hunt found by itself: new events, one story for as long as it is not closed."""
        found = alert_records.open_stories(tx.connection, HUNT, hunt)
        self._tell(tx, HUNT, hunt, heading, found[0] if found else None, hits, {})

    def _fold(self, tx: Transaction, hits: Iterable[WireHit]) -> int:
        by_subject: dict[tuple[str, str], dict[str, WireHit]] = {}
        for hit in hits:
            by_subject.setdefault((hit.detector, hit.subject), {}).setdefault(hit.event_id, hit)
        number = 0
        for (detector, subject), found in by_subject.items():
            # A subject that makes trouble must not cost the others their alerts.
            try:
                with tx.savepoint():
                    number += self._fold_subject(tx, detector, subject, list(found.values()))
            except (IstmoError, DataError, IntegrityError, ValueError) as error:
                if isinstance(error, IstmoError) and error.status >= 500:
                    raise
                log.exception("hits_not_stored", subject=subject, hits=len(found))
        return number

    def _fold_subject(self, tx: Transaction, detector: str, subject: str, hits: list[WireHit]) -> int:
        if detector == wire.SIGMA:
            return self._fold_rule(tx, subject, hits)
        watched = next(iter(self._indicators.detectable(tx.connection, [subject])), None)
        if watched is None:
            # Taken back while these were under way: nobody is to act on it any more.
            return 0
        hits = self._new_hits(tx.connection, subject, hits)
        if not hits:
            return 0
        heading = self._indicator_heading(watched, hits)
        found = alert_records.open_stories(tx.connection, INDICATOR, subject)
        self._tell(tx, INDICATOR, subject, heading, found[0] if found else None, hits, {})
        times = [from_micros(hit.time) for hit in hits]
        self._sightings.record_sighting(
            tx, subject, count=len(hits), first_seen=min(times), last_seen=max(times)
        )
        return len(hits)

    def _fold_rule(self, tx: Transaction, subject: str, hits: list[WireHit]) -> int:
        heading = self._rule_heading(tx.connection, subject)
        by_host: dict[str, list[WireHit]] = {}
        for hit in hits:
            by_host.setdefault(_text(hit.host, 255), []).append(hit)
        for host, some in by_host.items():
            self._tell_days(tx, subject, heading, host, some)
        return len(hits)

    def _new_hits(self, connection: Connection, subject: str, hits: list[WireHit]) -> list[WireHit]:
        watch = positions.watches(connection, [subject])[subject]
        places = {event_position(hit.event_id): hit for hit in hits}
        known = positions.known_hits(connection, watch, places)
        fresh = {place: hit for place, hit in places.items() if place not in known}
        positions.remember_hits(connection, watch, fresh)
        return list(fresh.values())

    # --- which story -------------------------------------------------------------------------

    def _tell_days(
        self, tx: Transaction, subject: str, heading: Heading, host: str, hits: list[WireHit]
    ) -> None:
        """A rule on a host: each run of events without a gap of a day is one story."""
        hits.sort(key=lambda hit: hit.time)
        runs: list[list[WireHit]] = []
        for hit in hits:
            if runs and from_micros(hit.time) - from_micros(runs[-1][-1].time) <= DAY:
                runs[-1].append(hit)
            else:
                runs.append([hit])
        for run in runs:
            named = {"entity": host}
            near = _near(alert_records.open_stories(tx.connection, SIGMA, subject, **named), run)
            self._tell(tx, SIGMA, subject, heading, near, run, named)

    # --- correlations ------------------------------------------------------------------------

    def _fold_matches(self, tx: Transaction, matches: Iterable[WireMatch]) -> None:
        for match in matches:
            # As with hits: what makes trouble must not cost the others their alerts.
            try:
                with tx.savepoint():
                    self._fold_match(tx, match)
            except (IstmoError, DataError, IntegrityError, ValueError) as error:
                if isinstance(error, IstmoError) and error.status >= 500:
                    raise
                log.exception("match_not_stored", subject=match.subject)

    def _fold_match(self, tx: Transaction, match: WireMatch) -> None:
        """A correlation has one story for each group, as long as no more than a day lies between matches."""
        hits = sorted({hit.event_id: hit for hit in match.events}.values(), key=lambda hit: hit.time)
        if not hits:
            raise ValueError("a match without events")
        named = {"grouped": _group_digest(match.group)}
        near = _near(alert_records.open_stories(tx.connection, SIGMA, match.subject, **named), hits)
        before = near.correlation.matches if near is not None and near.correlation is not None else 0
        seen = Correlated(
            match.type,
            match.timespan,
            match.condition,
            match.value,
            [_text(one, 200) for one in match.fields],
            {_text(name, 200): _text(value, 1000) for name, value in match.group.items()},
            match.number,
            before + 1,
        )
        heading = self._rule_heading(tx.connection, match.subject)
        self._tell(tx, SIGMA, match.subject, heading, near, hits, named, seen)

    def _tell(
        self,
        tx: Transaction,
        detector: str,
        subject: str,
        heading: Heading,
        alert: Alert | None,
        hits: list[WireHit],
        named: dict[str, str],
        correlated: Correlated | None = None,
    ) -> None:
        """``named``: what tells this story from others about the same subject."""
        more: dict[str, Any] = {} if correlated is None else {"correlation": asdict(correlated)}
        if heading.weighed is not None:
            more["weighed"] = asdict(with_those_before(heading.weighed, alert))
        now = self._clock.now()
        times = [from_micros(hit.time) for hit in hits]
        stored = sum(hit.stored for hit in hits)
        if alert is None:
            entity = _text(min(hits, key=lambda hit: hit.time).host, 255)
            former = alert_records.last_closed(tx.connection, detector, subject, **named)
            id = new_id(ALERT_TYPE)
            row = alert_records.add_alert(
                tx.connection,
                {
                    "id": id,
                    "detector": detector,
                    "subject": subject,
                    "title": heading.title,
                    "level": heading.level,
                    "tlp": int(heading.tlp),
                    "origin": heading.origin,
                    "audience": None if heading.audience is None else sorted(heading.audience),
                    "owner": heading.owner,
                    "entity": entity,
                    "first_seen": min(times),
                    "last_seen": max(times),
                    "count": len(hits),
                    "stored_count": stored,
                    "created": now,
                    "updated": now,
                    "status": Status.OPEN,
                    "note": "",
                    "worked_by": "",
                    "former": former,
                    "version": 1,
                    "search": _search_text(heading.title, subject, entity, hits),
                    "grouped": named.get("grouped", ""),
                    **more,
                },
            )
        else:
            id, row = alert.id, alert.row
            audience = _narrower(alert.audience, heading.audience)
            alert_records.change_alert(
                tx.connection,
                row,
                {
                    # What was said under a stricter marking stays under it.
                    "tlp": int(strictest(alert.tlp, heading.tlp)),
                    "audience": None if audience is None else sorted(audience),
                    "title": heading.title,
                    # One hit that asks for more raises a story; those that ask for less lower none.
                    "level": highest(alert.level, heading.level),
                    "first_seen": min(alert.first_seen, *times),
                    "last_seen": max(alert.last_seen, *times),
                    "count": alert.count + len(hits),
                    "stored_count": alert.stored_count + stored,
                    "updated": max(now, alert.updated),
                    **more,
                },
            )
            self._wake(tx, alert, highest(alert.level, heading.level), now)
        self._keep_evidence(tx.connection, row, hits, is_new=alert is None)
        tx.notify("alert", id, action="new" if alert is None else "more", detector=detector, about=subject)

    def _wake(self, tx: Transaction, alert: Alert, level: Level, now: datetime) -> None:
        """What was put off as less grave than it is comes back at once."""
        until = alert.snoozed_until
        if until is not None and until > now and LEVELS.index(level) > LEVELS.index(alert.level):
            come_back(tx.connection, alert, now)

    # --- what is kept ------------------------------------------------------------------------

    def _keep_evidence(self, connection: Connection, row: int, hits: list[WireHit], *, is_new: bool) -> None:
        """The first and the last events by their own time; of those between, only the counts."""
        new = {hit.event_id: hit for hit in hits}
        kept = [] if is_new else evidence.evidence_places(connection, row)
        places = sorted({*kept, *((from_micros(hit.time), hit.event_id) for hit in hits)})
        ends = {event for _, event in (*places[:KEPT_AT_EACH_END], *places[-KEPT_AT_EACH_END:])}
        had = {event for _, event in kept}
        evidence.replace_evidence(
            connection,
            row,
            sorted(had - ends),
            [_evidence(new[event]) for event in sorted(ends - had)],
        )
        hours: dict[int, int] = {}
        hosts: dict[str, int] = {}
        for hit in hits:
            hour = int(from_micros(hit.time).timestamp()) // 3600
            hours[hour] = hours.get(hour, 0) + 1
            host = _text(hit.host, 255)
            hosts[host] = hosts.get(host, 0) + 1
        evidence.add_hours(connection, row, hours, MOST_HOURS, is_new=is_new)
        evidence.add_hosts(connection, row, hosts, MOST_HOSTS, is_new=is_new)

    def _indicator_heading(self, found: Watched, hits: list[WireHit]) -> Heading:
        values = ", ".join(term.value for term in list(found.terms)[:3])
        level, weighed = weigh(found, hits, self._warnings())
        return Heading(
            title=_text(found.name or values, 300),
            level=level,
            tlp=found.tlp,
            origin=found.origin,
            audience=frozenset(found.audience),
            owner=found.owner,
            weighed=weighed,
        )

    def _rule_heading(self, connection: Connection, subject: str) -> Heading:
        rule = rules.find_rules(connection, [subject]).get(subject)
        title = rule.title if rule else subject
        level = Level(rule.level) if rule and rule.level in list(Level) else Level.MEDIUM
        return Heading(_text(title, 300), level, RULE_TLP, self._member, None)


def event_position(event_id: str) -> Position:
    """Where an event stands in the log: its id is ``segment-line``. Anything else is after everything."""
    segment, dash, line = event_id.partition("-")
    if dash and segment.isascii() and segment.isdigit() and line.isascii() and line.isdigit():
        return Position(int(segment), int(line))
    return Position(1 << 62, 0)


def _near(found: Iterable[Alert], hits: list[WireHit]) -> Alert | None:
    """The story that these hits, in the order of time, belong to."""
    first, last = from_micros(hits[0].time) - DAY, from_micros(hits[-1].time) + DAY
    return next((one for one in found if one.first_seen <= last and first <= one.last_seen), None)


def _group_digest(group: Mapping[str, str]) -> str:
    """A group by name, whatever the case of its values."""
    text = "\0".join(f"{name}\0{value.casefold()}" for name, value in sorted(group.items()))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _evidence(hit: WireHit) -> Evidence:
    fields = {
        _text(name, 200): _text(value, _LONGEST_FIELD)
        for name, value in list(hit.fields.items())[:_MOST_FIELDS]
    }
    return Evidence(
        event=_text(hit.event_id, 48),
        time=from_micros(hit.time),
        received=from_micros(hit.received),
        host=_text(hit.host, 255),
        source=_text(hit.source, 64),
        fields=fields,
        raw=hit.raw[:_LONGEST_RAW],
        is_stored=hit.stored,
    )


def _search_text(title: str, subject: str, entity: str, hits: Iterable[WireHit]) -> str:
    values = dict.fromkeys(value[:200] for hit in list(hits)[:5] for value in hit.fields.values())
    return _text("\n".join((title, subject, entity, *values)).lower(), 4000)


def _narrower(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return one if other is None else other
    return one & other


def _text(text: str, longest: int) -> str:
    """Text that every database can hold: events carry what they like."""
    cut = text[:longest]
    if cut.isascii() and "\x00" not in cut:
        return cut
    return cut.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def to_micros(instant: datetime) -> int:
    """µs since 1970, as instants go over the wire."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    """An instant from the wire. Events may claim any time at all: an absurd one becomes a far one."""
    try:
        return min(_EPOCH + timedelta(microseconds=micros), _FAR)
    except OverflowError:
        return _FAR if micros > 0 else _EPOCH
