"""What can be done with alerts, rules, intake sources and stored events, each after asking policy."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from istmo.clock import Clock
from istmo.detect import rule_import, wire
from istmo.detect.link import WorkerLink
from istmo.detect.objects import (
    Alert,
    AlertFilter,
    AlertPage,
    CloseReason,
    IndicatorSource,
    Level,
    Rule,
    RuleImport,
    RulePage,
    Source,
    Status,
    Story,
    WorkerState,
)
from istmo.detect.records import alerts as alert_records
from istmo.detect.records import positions
from istmo.detect.records import rules as rule_records
from istmo.detect.records import sources as source_records
from istmo.detect.stories import INDICATOR, from_micros, to_micros
from istmo.detect.wire import WireRow
from istmo.errors import Conflict, InvalidInput, NotAllowed, NotFound, TooLarge
from istmo.identity import audit
from istmo.model import instants
from istmo.model.ids import is_id, new_id
from istmo.model.markings import Tlp
from istmo.policy import Action, Context, Principal, Resource, decide, owner_names, reading_limit, told
from istmo.settings import Settings
from istmo.store.engine import Store, Transaction

LONGEST_PAGE: Final = 500
SECRET_PREFIX: Final = "istmo_src_"  # noqa: S105 - how a secret begins, so that it is known where it is found
MOST_SOURCES: Final = 1_000
LONGEST_NOTE: Final = 2_000
QUOTED: Final = 10
"""Pieces of evidence that a case quotes of an alert."""
EVERY_ALERT: Final = AlertFilter()
_HOSTS_SHOWN: Final = 50


@dataclass(frozen=True)
class AlertQuote:
    """An alert at this moment, for whoever quotes it.

    ``audience`` None: made of this node's own knowledge alone.
    """

    id: str
    title: str
    level: str
    evidence: tuple[str, ...]
    indicator: str | None
    tlp: Tlp
    origin: str
    audience: frozenset[str] | None
    first: datetime
    last: datetime
    count: int


class Detect:
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
    ) -> None:
        """``members``: the region's present members. ``link`` is started and stopped by the node."""
        self._store, self._settings, self._clock = store, settings, clock
        self._member, self._members = member, members
        self._link, self._indicators = link, indicators
        self._measured: tuple[float, int] | None = None

    # --- alerts --------------------------------------------------------------------------------

    def list_alerts(
        self,
        principal: Principal,
        wanted: AlertFilter = EVERY_ALERT,
        *,
        cursor: str | None = None,
        limit: int = 50,
    ) -> AlertPage:
        """Alerts that the asker may read, last changed first; ``cursor`` is the ``next`` of the page before.

        Raises NotAllowed, InvalidInput("detect.bad_cursor").
        """
        reads = self._reading(principal)
        limit = max(1, min(limit, LONGEST_PAGE))
        with self._store.read() as connection:
            found, total = alert_records.list_alerts(
                connection,
                wanted,
                reads=reads,
                owners=owner_names(principal),
                before=_read_cursor(cursor),
                limit=limit,
            )
        following = _write_cursor(found[-1]) if len(found) == limit else None
        visible = tuple(one for one in found if self._can_read(principal, one))
        return AlertPage(visible, following, total)

    def alerts_about(self, principal: Principal, subject: str, limit: int = 50) -> tuple[Alert, ...]:
        """The alerts about one indicator or rule that the asker may read, last changed first: NotAllowed."""
        reads = self._reading(principal)
        with self._store.read() as connection:
            found = alert_records.alerts_about(
                connection, subject, reads=reads, owners=owner_names(principal), limit=limit
            )
        return tuple(one for one in found if self._can_read(principal, one))

    def count_alerts(self, principal: Principal) -> dict[tuple[Status, Level], int]:
        """How many alerts the asker may read, by status and level."""
        reads = self._reading(principal)
        with self._store.read() as connection:
            return alert_records.count_alerts(connection, reads=reads, owners=owner_names(principal))

    def read_alert(self, principal: Principal, alert: str) -> Story:
        """One alert with its evidence and timeline. Raises NotFound where there is none for this asker."""
        with self._store.read() as connection:
            found = self._readable(connection, principal, alert)
            return Story(
                found,
                alert_records.evidence(connection, found.row),
                alert_records.hours(connection, found.row),
                alert_records.hosts(connection, found.row, _HOSTS_SHOWN),
            )

    def may_know(self, principal: Principal, alert: str) -> bool:
        """Whether the asker may be told that this alert changed."""
        with self._store.read() as connection:
            found = alert_records.find_alert(connection, alert)
        return found is not None and self._can_read(principal, found)

    def alert_quote(self, principal: Principal, alert: str) -> AlertQuote:
        """An alert as a case quotes it. Raises NotFound as ``read_alert`` does."""
        story = self.read_alert(principal, alert)
        found = story.alert
        evidence = tuple(
            f"{instants.format(one.time)} {one.host} "
            + " ".join(f"{name}={value[:300]}" for name, value in sorted(one.fields.items()))
            for one in story.evidence[:QUOTED]
        )
        return AlertQuote(
            id=found.id,
            title=found.title,
            level=str(found.level),
            evidence=evidence,
            indicator=found.subject if found.detector == INDICATOR else None,
            tlp=found.tlp,
            origin=found.origin,
            audience=found.audience,
            first=found.first_seen,
            last=found.last_seen,
            count=found.count,
        )

    def set_status(
        self,
        principal: Principal,
        alert: str,
        status: Status,
        *,
        reason: CloseReason | None = None,
        note: str = "",
        version: int | None = None,
    ) -> Alert:
        """Acknowledge, close (with a reason) or open an alert again.

        ``version``: the one that the asker saw. Raises NotFound, NotAllowed,
        InvalidInput (``detect.close_needs_reason``, ``detect.note_too_long``), Conflict:
        ``detect.alert_changed`` where somebody else was faster, ``detect.told_on`` where a newer
        alert goes on with the story.
        """
        if status is Status.CLOSED and reason is None:
            raise InvalidInput("detect.close_needs_reason")
        if len(note) > LONGEST_NOTE:
            raise InvalidInput("detect.note_too_long", limit=LONGEST_NOTE)
        with self._store.read() as connection:
            readable = self._readable(connection, principal, alert)
        self._require(principal, Action.ALERT_WORK, self._resource(readable), alert)
        with self._store.write() as tx:
            found = self._readable(tx.connection, principal, alert)
            self._check_reopen(tx.connection, found, status)
            values = {
                "status": status,
                "reason": reason if status is Status.CLOSED else None,
                "note": note,
                "worked_by": told(principal),
                "updated": max(self._clock.now(), found.updated),
            }
            seen = found.version if version is None else version
            if not alert_records.change_status(tx.connection, found.row, seen, values):
                raise Conflict("detect.alert_changed")
            self._record(tx, principal, Action.ALERT_WORK, f"{alert} {status}")
            tx.notify("alert", alert, action="status", detector=found.detector, about=found.subject)
            after = alert_records.find_alert(tx.connection, alert)
        return after or found

    def _check_reopen(self, connection: Connection, alert: Alert, status: Status) -> None:
        """An indicator's story has one open alert: where a newer one tells it on, that is the one."""
        if alert.status is not Status.CLOSED or status is Status.CLOSED or alert.detector != INDICATOR:
            return
        newer = alert_records.open_stories(connection, alert.detector, alert.subject, None)
        if newer:
            raise Conflict("detect.told_on", alert=newer[0].id)

    # --- rules ---------------------------------------------------------------------------------

    def import_rules(self, principal: Principal, data: bytes) -> RuleImport:
        """Keep the rules of a zip or a YAML file; each that cannot be used is named by file and line.

        A rule that is there already is replaced where its text differs; whether it is switched on stays
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
                if known.get(one.id) == one.digest:
                    continue
                (changed if one.id in known else added).append(one)
            rows = [_rule_values(one, now, told(principal)) for one in added]
            if rows:
                rule_records.add_rules(tx.connection, rows)
            for one in changed:
                rule_records.change_rule(tx.connection, one.id, _rule_values(one, now, told(principal)))
            ids = [one.id for one in (*added, *changed)]
            if ids:
                tx.notify("rule", ids[0], ids=ids)
                self._record(tx, principal, Action.RULE_WRITE, f"import +{len(added)} ~{len(changed)}")
        return RuleImport(
            len(added),
            len(changed),
            len(found.rules) - len(ids),
            tuple(problem.told() for problem in found.problems),
        )

    def list_rules(
        self,
        principal: Principal,
        *,
        query: str = "",
        level: str = "",
        is_enabled: bool | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> RulePage:
        """Rules by title. Every word of ``query`` must occur in title, log source or id."""
        self._require(principal, Action.RULE_READ, self._own("rule"))
        limit = max(1, min(limit, LONGEST_PAGE))
        with self._store.read() as connection:
            after = None
            if cursor:
                before = rule_records.find_rules(connection, [cursor]).get(cursor)
                if before is None:
                    raise InvalidInput("detect.bad_cursor")
                after = (before.title, before.row)
            found, total = rule_records.list_rules(
                connection,
                words=_words(query),
                level=level,
                is_enabled=is_enabled,
                after=after,
                limit=limit,
            )
        return RulePage(tuple(found), found[-1].id if len(found) == limit else None, total)

    def read_rule(self, principal: Principal, rule: str) -> Rule:
        """One rule with its text. Raises NotFound("detect.no_rule")."""
        self._require(principal, Action.RULE_READ, self._own("rule"))
        with self._store.read() as connection:
            found = rule_records.find_rules(connection, [rule]).get(rule)
        if found is None:
            raise NotFound("detect.no_rule", rule=rule[:128])
        return found

    def enable_rule(self, principal: Principal, rule: str, is_enabled: bool) -> Rule:
        """Switch a rule on or off; it counts from the next event on. Raises NotFound, NotAllowed."""
        self._require(principal, Action.RULE_WRITE, self._own("rule"))
        with self._store.write() as tx:
            if rule not in rule_records.find_rules(tx.connection, [rule]):
                raise NotFound("detect.no_rule", rule=rule[:128])
            rule_records.set_enabled(tx.connection, rule, is_enabled, told(principal), self._clock.now())
            tx.notify("rule", rule)
            self._record(tx, principal, Action.RULE_WRITE, f"{rule} {'on' if is_enabled else 'off'}")
            return rule_records.find_rules(tx.connection, [rule])[rule]

    def count_rules(self, principal: Principal) -> tuple[int, int]:
        """How many rules there are, and how many are switched on."""
        self._require(principal, Action.RULE_READ, self._own("rule"))
        with self._store.read() as connection:
            return rule_records.count_rules(connection)

    # --- intake sources ------------------------------------------------------------------------

    def create_source(
        self, principal: Principal, name: str, *, expires: datetime | None = None
    ) -> tuple[Source, str]:
        """A new source and its secret, which is told this once.

        Raises NotAllowed, InvalidInput ``detect.source_name`` or ``detect.source_expired``,
        Conflict ``detect.source_exists`` or ``detect.too_many_sources``.
        """
        self._require(principal, Action.SOURCE_MANAGE, self._own("source"))
        name = " ".join(name.split())
        if not 1 <= len(name) <= 100 or not name.isprintable():
            raise InvalidInput("detect.source_name", longest=100)
        now = self._clock.now()
        if expires is not None and expires <= now:
            raise InvalidInput("detect.source_expired")
        secret = SECRET_PREFIX + secrets.token_urlsafe(32)
        source = Source(new_id("x-istmo-source"), name, now, told(principal), expires, None, 0, 0, None)
        with self._store.write() as tx:
            if source_records.has_valid_name(tx.connection, name):
                raise Conflict("detect.source_exists", name=name)
            if len(source_records.valid_digests(tx.connection, now)) >= MOST_SOURCES:
                raise Conflict("detect.too_many_sources", limit=MOST_SOURCES)
            source_records.add_source(tx.connection, source, digest_of(secret))
            tx.notify("source", source.id)
            self._record(tx, principal, Action.SOURCE_MANAGE, f"{source.id} create")
        return source, secret

    def revoke_source(self, principal: Principal, source: str) -> None:
        """What a source sends is refused from now on. Raises NotFound("detect.no_source"), NotAllowed."""
        self._require(principal, Action.SOURCE_MANAGE, self._own("source"))
        with self._store.write() as tx:
            if not source_records.revoke_source(tx.connection, source, self._clock.now()):
                raise NotFound("detect.no_source", source=source[:80])
            tx.notify("source", source)
            self._record(tx, principal, Action.SOURCE_MANAGE, f"{source} revoke")

    def sources(self, principal: Principal) -> list[Source]:
        """Every source with what it has sent, the newest first."""
        self._require(principal, Action.SOURCE_READ, self._own("source"))
        with self._store.read() as connection:
            return source_records.all_sources(connection)

    # --- stored events and the worker ----------------------------------------------------------

    def search(
        self,
        principal: Principal,
        query: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 100,
    ) -> Generator[WireRow | wire.Problem]:
        """Stored events, newest first, as they are found; a Problem where the answer is cut short.

        Raises NotAllowed, InvalidInput for a query that cannot be read, Unavailable without a worker.
        """
        self._require(principal, Action.EVENT_SEARCH, self._own("event"))
        limit = max(1, min(limit, self._settings.limits.search_rows))
        return self._link.search(
            query,
            None if start is None else to_micros(start),
            None if end is None else to_micros(end),
            limit,
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
        stats = self._link.stats() if ready is not None else None
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
            rate=self._rate(stats.events),
            indicators=stats.indicators if counts_all else None,
            rules=stats.rules,
            indicator_lag=stats.behind.get(wire.INDICATORS, 0),
            sigma_lag=stats.behind.get(wire.SIGMA, 0),
            hunting=self._link.hunting if counts_all else None,
            notices=self._link.notices,
        )

    def _rate(self, events: int) -> float:
        now = self._clock.monotonic()
        before, self._measured = self._measured, (now, events)
        if before is None or now - before[0] < 0.1 or events < before[1]:
            return 0.0
        return (events - before[1]) / (now - before[0])

    # --- detection of one indicator ------------------------------------------------------------

    def detection(self, indicator: str) -> str:
        """What detection makes of an indicator; for whoever may read it, which the caller has asked.

        ``live`` (the worker has acknowledged it), ``waiting`` (it has not yet), ``stopping`` (it is
        no longer to be watched for, and the worker has not yet said so), ``off``.
        """
        if not is_id(indicator, "indicator"):
            return "off"
        with self._store.read() as connection:
            is_wanted = bool(self._indicators.detectable(connection, [indicator]))
        if is_wanted:
            return "live" if self._link.has_acknowledged(indicator) else "waiting"
        return "off" if self._link.has_dropped(indicator) else "stopping"

    def hunt_problem(self, indicator: str) -> str | None:
        """The code of why a hunt did not see every stored event; None where it did."""
        with self._store.read() as connection:
            return positions.hunt_problem(connection, indicator)

    # --- what all of the above stands on -------------------------------------------------------

    def _context(self) -> Context:
        members = frozenset(self._members()) | {self._member}
        return Context(self._member, members, self._settings.space, self._clock.now())

    def _own(self, kind: str) -> Resource:
        return Resource(kind, self._member, frozenset({self._member}), Tlp.CLEAR, self._settings.space)

    def _resource(self, alert: Alert) -> Resource:
        # The alert is this node's; how far it may be read is said by what it derives from.
        return Resource(
            "alert",
            self._member,
            frozenset({self._member}),
            alert.tlp,
            self._settings.space,
            alert.owner,
        )

    def _reading(self, principal: Principal) -> Tlp:
        self._require(principal, Action.ALERT_READ, self._own("alert"))
        reads = reading_limit(principal, Action.ALERT_READ)
        if reads is None:
            raise NotAllowed("detect.not_allowed", action=str(Action.ALERT_READ), why=[])
        return reads

    def _can_read(self, principal: Principal, alert: Alert) -> bool:
        return decide(principal, Action.ALERT_READ, self._resource(alert), self._context()).allowed

    def _readable(self, connection: Connection, principal: Principal, alert: str) -> Alert:
        found = alert_records.find_alert(connection, alert)
        if found is None or not self._can_read(principal, found):
            raise NotFound("detect.no_alert", alert=alert[:80])
        return found

    def _require(self, principal: Principal, action: Action, resource: Resource, subject: str = "") -> None:
        """Raise NotAllowed, with the denial on record. Never within a write: it is one of its own."""
        decision = decide(principal, action, resource, self._context())
        if not decision:
            about, now = subject or resource.kind, self._clock.now()
            audit.record_denial(self._store, principal, action, about, decision.reasons, now)
            why = [reason.code for reason in decision.reasons]
            raise NotAllowed("detect.not_allowed", action=str(action), why=why)

    def _record(self, tx: Transaction, principal: Principal, action: Action, subject: str) -> None:
        audit.record(tx, principal, action, subject, audit.DONE, (), self._clock.now())


def digest_of(secret: str) -> bytes:
    """What is kept of an intake secret. It has 256 random bits: a fast hash leaves nothing to guess."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def alert_filter(
    *,
    status: str = "",
    level: str = "",
    detector: str = "",
    subject: str = "",
    host: str = "",
    query: str = "",
) -> AlertFilter:
    """A filter from text as it stands in an address. Raises InvalidInput("detect.unknown_filter")."""
    if status and status not in list(Status):
        raise InvalidInput("detect.unknown_filter", field="status", value=status[:40])
    if level and level not in list(Level):
        raise InvalidInput("detect.unknown_filter", field="level", value=level[:40])
    return AlertFilter(
        status=Status(status) if status else None,
        level=Level(level) if level else None,
        detector=detector,
        subject=subject,
        host=host,
        words=_words(query),
    )


def _words(query: str) -> tuple[str, ...]:
    return tuple(query.replace("\x00", " ").lower().split()[:8])


def _rule_values(found: rule_import.FoundRule, now: datetime, by: str) -> dict[str, object]:
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
        "imported": now,
        "updated": now,
        "changed_by": by,
    }


def _write_cursor(alert: Alert) -> str:
    return f"{to_micros(alert.updated)}.{alert.row}"


def _read_cursor(cursor: str | None) -> tuple[datetime, int] | None:
    if not cursor:
        return None
    micros, _, row = cursor.partition(".")
    if not (micros.isascii() and micros.isdigit() and row.isascii() and row.isdigit()) or len(cursor) > 40:
        raise InvalidInput("detect.bad_cursor")
    return from_micros(int(micros)), int(row)
