"""Alerts: listed, read, worked on, quoted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from istmo.detect.objects import (
    Alert,
    AlertFilter,
    AlertPage,
    CloseReason,
    Level,
    Status,
    Story,
)
from istmo.detect.records import alerts as alert_records
from istmo.detect.service.asking import LONGEST_PAGE, Asking, words_of
from istmo.detect.stories import INDICATOR, from_micros, to_micros
from istmo.errors import Conflict, InvalidInput, NotAllowed, NotFound
from istmo.model import instants
from istmo.model.markings import Tlp
from istmo.policy import Action, Principal, Resource, decide, owner_names, reading_limit, told

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


class Alerts(Asking):
    """What can be done with alerts."""

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

    def alert_for(self, people: Iterable[Principal], alert: str) -> tuple[Alert | None, list[Principal]]:
        """An alert, and who of ``people`` may read it: for the part that tells people of new ones."""
        with self._store.read() as connection:
            found = alert_records.find_alert(connection, alert)
        return found, [one for one in people if found is not None and self._can_read(one, found)]

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
        newer = alert_records.open_stories(connection, alert.detector, alert.subject)
        if newer:
            raise Conflict("detect.told_on", alert=newer[0].id)

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
        words=words_of(query),
    )


def _write_cursor(alert: Alert) -> str:
    return f"{to_micros(alert.updated)}.{alert.row}"


def _read_cursor(cursor: str | None) -> tuple[datetime, int] | None:
    if not cursor:
        return None
    micros, _, row = cursor.partition(".")
    if not (micros.isascii() and micros.isdigit() and row.isascii() and row.isdigit()) or len(cursor) > 40:
        raise InvalidInput("detect.bad_cursor")
    return from_micros(int(micros)), int(row)
