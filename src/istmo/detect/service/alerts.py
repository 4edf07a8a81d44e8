"""Alerts: listed, read, worked on, quoted."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from istmo.detect.objects import (
    LEVELS,
    Alert,
    AlertFilter,
    AlertPage,
    Level,
    Snoozed,
    Status,
    Story,
)
from istmo.detect.objects_triage import AlertState, Grouping, GroupPage, Past
from istmo.detect.records import alert_history, alert_queue, evidence
from istmo.detect.records import alerts as alert_records
from istmo.detect.service.asking import LONGEST_PAGE, Asking, words_of
from istmo.detect.stories import DAY, INDICATOR, from_micros, to_micros
from istmo.errors import InvalidInput, NotAllowed, NotFound
from istmo.identity.people import people, person_behind
from istmo.model import instants
from istmo.model.markings import Tlp
from istmo.policy import Action, Principal, Resource, decide, owner_names, reading_limit, told

QUOTED: Final = 10
"""Pieces of evidence that a case quotes of an alert."""
EVERY_ALERT: Final = AlertFilter()
_HOSTS_SHOWN: Final = 50
_RELATED: Final = 10
MINE, NOBODY = "mine", "nobody"
"""In a filter, in place of an account's name."""
_NO_ONE: Final = "?"
_PAST_SHOWN: Final = 200


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
        is_queue: bool = False,
    ) -> AlertPage:
        """Alerts that the asker may read, last changed first; ``cursor`` is the ``next`` of the page before.

        ``is_queue``: the gravest first, and in each level what was seen last.

        Raises NotAllowed, InvalidInput("detect.bad_cursor").
        """
        reads = self._bounds(principal)
        limit = max(1, min(limit, LONGEST_PAGE))
        with self._store.read() as connection:
            found, total = alert_queue.list_alerts(
                connection,
                wanted,
                reads=reads,
                now=self._clock.now(),
                before=_read_cursor(cursor, is_queue),
                limit=limit,
                is_queue=is_queue,
            )
        following = _write_cursor(found[-1], is_queue) if len(found) == limit else None
        visible = tuple(one for one in found if self._can_read(principal, one))
        return AlertPage(visible, following, total)

    def list_groups(
        self,
        principal: Principal,
        wanted: AlertFilter = EVERY_ALERT,
        grouping: Grouping = Grouping.SUBJECT,
        *,
        cursor: str | None = None,
        limit: int = 50,
    ) -> GroupPage:
        """The queue: a line for each rule, indicator, hunt or source, or for each host.

        Counts are of alerts that the asker may read. Raises as ``list_alerts``.
        """
        reads = self._bounds(principal)
        limit = max(1, min(limit, LONGEST_PAGE))
        before = _read_line_cursor(cursor, grouping)
        now = self._clock.now()
        with self._store.read() as connection:
            if grouping is Grouping.HOST:
                hosts, ended = alert_queue.list_hosts(
                    connection, wanted, reads=reads, now=now, before=before, limit=limit
                )
                return GroupPage(tuple(hosts), None if ended is None else _line_cursor(*ended), None)
            found, total = alert_queue.list_subjects(
                connection, wanted, reads=reads, now=now, before=before, limit=limit
            )
        following = None
        if len(found) == limit:
            last = found[-1]
            following = _line_cursor(LEVELS.index(last.level), last.last_seen, last.detector, last.subject)
        return GroupPage(tuple(found), following, total)

    def related(self, principal: Principal, alert: Alert) -> tuple[list[Alert], list[Alert]]:
        """Other alerts on its host about the same time, and other ones of its subject: the last ten each."""
        reads = self._bounds(principal)
        with self._store.read() as connection:
            near, same = alert_queue.related(connection, alert, reads=reads, around=DAY, limit=_RELATED)
        return [one for one in near if self._can_read(principal, one)], [
            one for one in same if self._can_read(principal, one)
        ]

    def history(self, principal: Principal, alert: str) -> tuple[Past, ...]:
        """What was done to an alert, the last first. Raises NotFound as ``read_alert``."""
        with self._store.read() as connection:
            found = self._readable(connection, principal, alert)
            return alert_history.history_of(connection, found.row, _PAST_SHOWN)

    def assignee_of(self, principal: Principal, text: str) -> str | None:
        """Whom a filter means, as ``AlertFilter.assignee``: :data:`MINE`, :data:`NOBODY` or an account.

        A name that no account has is nobody's work: it finds nothing.
        """
        if not text:
            return None
        if text == NOBODY:
            return ""
        with self._store.read() as connection:
            if text == MINE:
                return person_behind(connection, principal) or _NO_ONE
            known = {one.name.casefold(): told(one.person) for one in people(connection)}
        return known.get(text.casefold(), _NO_ONE)

    def people(self, principal: Principal) -> dict[str, str]:
        """Names of those to whom alerts can be given, by ``policy.told``: for who may read alerts."""
        self._reading(principal)
        with self._store.read() as connection:
            return {told(one.person): one.name for one in people(connection)}

    def alerts_about(self, principal: Principal, subject: str, limit: int = 50) -> tuple[Alert, ...]:
        """The alerts about one indicator or rule that the asker may read, last changed first: NotAllowed."""
        reads = self._reading(principal)
        with self._store.read() as connection:
            found = alert_records.alerts_about(
                connection, subject, reads=reads, owners=owner_names(principal), limit=limit
            )
        return tuple(one for one in found if self._can_read(principal, one))

    def count_alerts(self, principal: Principal) -> dict[tuple[Status, Level, bool], int]:
        """How many alerts the asker may read, by status, level, and whether they are put off."""
        reads, owners = self._reading(principal), owner_names(principal)
        with self._store.read() as connection:
            return alert_records.count_alerts(connection, self._clock.now(), reads=reads, owners=owners)

    def read_alert(self, principal: Principal, alert: str) -> Story:
        """One alert with its evidence and timeline. Raises NotFound where there is none for this asker."""
        with self._store.read() as connection:
            found = self._readable(connection, principal, alert)
            return Story(
                found,
                evidence.evidence(connection, found.row),
                evidence.hours(connection, found.row),
                evidence.hosts(connection, found.row, _HOSTS_SHOWN),
            )

    def may_know(self, principal: Principal, alert: str) -> bool:
        """Whether the asker may be told that this alert changed."""
        with self._store.read() as connection:
            found = alert_records.find_alert(connection, alert)
        return found is not None and self._can_read(principal, found)

    def alerts_for(
        self, people: Iterable[Principal], alerts: Iterable[str]
    ) -> list[tuple[Alert, list[Principal]]]:
        """Of these alerts each that there is, and who of ``people`` may read it: for the part that tells
        people of new ones."""
        people = list(people)
        with self._store.read() as connection:
            found = alert_records.find_alerts(connection, alerts)
        return [(alert, [one for one in people if self._can_read(one, alert)]) for alert in found]

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

    def _resource(self, alert: Alert | AlertState) -> Resource:
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

    def _bounds(self, principal: Principal) -> alert_queue.Readable:
        return self._reading(principal), owner_names(principal)

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
    assignee: str | None = None,
    snoozed: str = "",
) -> AlertFilter:
    """A filter from text as it stands in an address. Raises InvalidInput("detect.unknown_filter").

    ``assignee`` is ``policy.told`` of somebody, empty for nobody, None where it is not asked.
    """
    if status and status not in list(Status):
        raise InvalidInput("detect.unknown_filter", field="status", value=status[:40])
    if level and level not in list(Level):
        raise InvalidInput("detect.unknown_filter", field="level", value=level[:40])
    if snoozed and snoozed not in list(Snoozed):
        raise InvalidInput("detect.unknown_filter", field="snoozed", value=snoozed[:40])
    return AlertFilter(
        status=Status(status) if status else None,
        level=Level(level) if level else None,
        detector=detector,
        subject=subject,
        host=host,
        words=words_of(query),
        assignee=assignee,
        snoozed=Snoozed(snoozed) if snoozed else Snoozed.ANY,
    )


def _write_cursor(alert: Alert, is_queue: bool) -> str:
    if is_queue:
        return f"{LEVELS.index(alert.level)}.{to_micros(alert.last_seen)}.{alert.row}"
    return f"{to_micros(alert.updated)}.{alert.row}"


def _read_cursor(cursor: str | None, is_queue: bool) -> tuple[Any, ...] | None:
    if not cursor:
        return None
    parts = cursor.split(".")
    if len(parts) != 2 + is_queue or len(cursor) > 42 or not all(map(_is_number, parts)):
        raise InvalidInput("detect.bad_cursor")
    *rank, micros, row = map(int, parts)
    return (*rank, from_micros(micros), row)


def _line_cursor(rank: int, last: datetime, *place: int | str) -> str:
    text = json.dumps([rank, to_micros(last), *place])
    return base64.urlsafe_b64encode(text.encode()).decode()


def _read_line_cursor(cursor: str | None, grouping: Grouping) -> tuple[Any, ...] | None:
    """Rank, instant, and what comes after: detector and subject, or a row and a host."""
    if not cursor:
        return None
    try:
        rank, micros, *place = json.loads(base64.urlsafe_b64decode(cursor[:1000].encode("ascii")))
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidInput("detect.bad_cursor") from error
    kinds = (int, str) if grouping is Grouping.HOST else (str, str)
    is_whole = type(rank) is int and type(micros) is int and abs(micros) < 1 << 62
    if not is_whole or tuple(map(type, place)) != kinds:
        raise InvalidInput("detect.bad_cursor")
    return (rank, from_micros(micros), *place)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
