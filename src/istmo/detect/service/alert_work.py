"""Work on alerts: taken, given to somebody, put off, closed; one or many at a time; and taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from istmo.detect.objects import Alert, AlertFilter, CloseReason, Status
from istmo.detect.objects_triage import (
    LONGEST_SNOOZE,
    MOST_AT_ONCE,
    AlertState,
    Deed,
    Done,
    Past,
    Picked,
)
from istmo.detect.records import alert_history, alert_queue
from istmo.detect.records import alerts as alert_records
from istmo.detect.service.alerts import EVERY_ALERT, Alerts
from istmo.detect.stories import INDICATOR
from istmo.errors import Conflict, InvalidInput, NotFound
from istmo.identity.people import people, person_behind
from istmo.policy import Action, Principal, decide, told
from istmo.store.engine import Transaction

LONGEST_NOTE: Final = 2_000
ME: Final = "me"
"""In place of an account's name: who asks."""
_MOST_DETECTORS: Final = 16
"""Of one pick; there are not half as many."""
_TOLD_SINGLY: Final = 50
"""Alerts of one change that are told of each by itself; of more, one for each subject."""
_STATUS: Final = {Deed.ACKNOWLEDGE: Status.ACKNOWLEDGED, Deed.CLOSE: Status.CLOSED, Deed.OPEN: Status.OPEN}
DEED_OF: Final = {status: deed for deed, status in _STATUS.items()}


@dataclass(frozen=True)
class Work:
    """What is to be done. ``assignee`` is an account's name, :data:`ME`, or empty for nobody.

    An empty ``note`` says nothing: whatever somebody wrote there before stays.
    """

    deed: Deed
    reason: CloseReason | None = None
    note: str = ""
    assignee: str = ""
    until: datetime | None = None
    """Until when it is put off; None: not any longer."""


class AlertWork(Alerts):
    """What can be done with alerts beside reading them."""

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
        """Acknowledge, close (with a reason) or open an alert again; errors as of :meth:`work`."""
        work = Work(DEED_OF[status], reason=reason, note=note)
        return self.work(principal, alert, work, version=version)[0]

    def work(
        self, principal: Principal, alert: str, work: Work, *, version: int | None = None
    ) -> tuple[Alert, Done]:
        """Do one thing to one alert. ``version``: the one that the asker saw.

        Who acknowledges an alert that is nobody's takes it; whoever works on one ends its being put off.
        Raises NotFound, NotAllowed, InvalidInput (``detect.close_needs_reason``, ``detect.note_too_long``,
        ``detect.snooze_until``, ``detect.no_such_person``), Conflict: ``detect.alert_changed`` where somebody
        else was faster, ``detect.told_on`` where a newer alert goes on with the story,
        ``detect.alert_closed`` where only one that is not closed can be put off.
        """
        self._check(work)
        with self._store.read() as connection:
            readable = self._readable(connection, principal, alert)
        self._require(principal, Action.ALERT_WORK, self._resource(readable), alert)
        with self._store.write() as tx:
            found = self._readable(tx.connection, principal, alert)
            if version is not None and version != found.version:
                raise Conflict("detect.alert_changed")
            state = AlertState.of(found)
            if against := self._against(tx.connection, principal, state, work):
                raise against
            values = self._valuer(tx.connection, principal, work)
            done = self._apply(tx, principal, work.deed, [(state, values(state))])
            what = _STATUS.get(work.deed, work.deed)
            self._record(tx, principal, Action.ALERT_WORK, f"{alert} {what}")
            after = alert_records.find_alert(tx.connection, alert)
        return after or found, done

    def work_on(
        self, principal: Principal, picked: Picked, work: Work, wanted: AlertFilter = EVERY_ALERT
    ) -> Done:
        """Do one thing to many alerts, in one transaction; ``wanted`` narrows the lines among them.

        Alerts that somebody changed since they were seen, or that it is not for, are left and counted.
        Raises NotAllowed, InvalidInput (as ``work``; ``detect.nothing_picked``, ``detect.too_many_alerts``).
        """
        self._check(work)
        if not (picked.alerts or picked.subjects or picked.hosts):
            raise InvalidInput("detect.nothing_picked")
        self._require(principal, Action.ALERT_WORK, self._own("alert"))
        with self._store.write() as tx:
            found, left = self._picked(tx.connection, principal, picked, wanted)
            values = self._valuer(tx.connection, principal, work)
            changes = [
                (state, new)
                for state in found
                if self._against(tx.connection, principal, state, work) is None
                and (new := _news(state, values(state)))
            ]
            done = self._apply(tx, principal, work.deed, changes)
            if changes:
                self._record(tx, principal, Action.ALERT_WORK, f"{done.change} {work.deed} {done.number}")
        return replace(done, left=left + len(found) - len(changes))

    def pick_out(
        self, principal: Principal, picked: Picked, wanted: AlertFilter, most: int
    ) -> tuple[Picked, int]:
        """The alerts behind a pick that are not closed, each with its version; and how many have moved on.

        Raises InvalidInput("detect.too_many_alerts").
        """
        if not (picked.alerts or picked.subjects or picked.hosts):
            raise InvalidInput("detect.nothing_picked")
        with self._store.read() as connection:
            found, left = self._picked(connection, principal, picked, wanted)
        versions = {one.id: one.version for one in found if one.status is not Status.CLOSED}
        if len(versions) > most:
            raise InvalidInput("detect.too_many_alerts", most=most)
        return Picked(versions), left

    def undo(self, principal: Principal, change: str = "") -> Done:
        """Take back one's own last change, or the one named, wherever nobody changed anything since.

        Raises NotFound("detect.nothing_to_undo"), Conflict("detect.undo_too_late"), NotAllowed.
        """
        self._require(principal, Action.ALERT_WORK, self._own("alert"))
        me = told(principal)
        with self._store.write() as tx:
            change = change or alert_history.last_change(tx.connection, me) or ""
            lines = alert_history.lines_of(tx.connection, change)
            if not lines or any(one.by != me or one.is_undone or one.deed is Deed.UNDO for one in lines):
                raise NotFound("detect.nothing_to_undo")
            by_row = {one.row: one for one in lines}
            found = alert_queue.states_of(tx.connection, "row", list(by_row), reads=self._bounds(principal))
            changes = [
                (state, alert_history.columns_of(by_row[state.row].before))
                for state in self._workable(principal, found)
                if self._is_as_left(tx.connection, state, by_row[state.row])
            ]
            if not changes:
                raise Conflict("detect.undo_too_late")
            done = self._apply(tx, principal, Deed.UNDO, changes)
            alert_history.mark_undone(tx.connection, change)
            self._record(tx, principal, Action.ALERT_WORK, f"{change} undo {done.number}")
        return replace(done, left=len(lines) - len(changes), was=lines[0].deed)

    def _is_as_left(self, connection: Connection, state: AlertState, line: Past) -> bool:
        """Whether nobody has touched an alert since, and its story goes on nowhere else."""
        if state.version != line.version:
            return False
        before = line.before.get("status", state.status)
        return not self._is_told_on(connection, state, Status(before))

    # --- what stands against it -------------------------------------------------------------------

    def _check(self, work: Work) -> None:
        if work.deed is Deed.CLOSE and work.reason is None:
            raise InvalidInput("detect.close_needs_reason")
        if len(work.note) > LONGEST_NOTE:
            raise InvalidInput("detect.note_too_long", limit=LONGEST_NOTE)
        if work.deed is Deed.SNOOZE and work.until is not None:
            now = self._clock.now()
            if not now < work.until <= now + LONGEST_SNOOZE:
                raise InvalidInput("detect.snooze_until", days=LONGEST_SNOOZE.days)

    def _against(
        self, connection: Connection, principal: Principal, state: AlertState, work: Work
    ) -> Conflict | None:
        if work.deed is Deed.SNOOZE and state.status is Status.CLOSED:
            return Conflict("detect.alert_closed")
        status = _STATUS.get(work.deed)
        if status is not None and self._is_told_on(connection, state, status):
            newer = alert_records.open_stories(connection, state.detector, state.subject)
            # Its marking may have risen since: an id is told to whoever may read the alert, to nobody else.
            may_read = self._can_read(principal, newer[0])
            return Conflict("detect.told_on", alert=newer[0].id if may_read else "…")
        return None

    def _is_told_on(self, connection: Connection, state: AlertState, status: Status) -> bool:
        """An indicator's story has one open alert: where a newer one tells it on, that is the one."""
        if state.status is not Status.CLOSED or status is Status.CLOSED or state.detector != INDICATOR:
            return False
        return bool(alert_records.open_stories(connection, state.detector, state.subject))

    def _can_work(self, principal: Principal, state: AlertState) -> bool:
        return decide(principal, Action.ALERT_WORK, self._resource(state), self._context()).allowed

    def _picked(
        self, connection: Connection, principal: Principal, picked: Picked, wanted: AlertFilter
    ) -> tuple[list[AlertState], int]:
        """The alerts that may be worked on, and how many were changed since they were seen."""
        reads, now = self._bounds(principal), self._clock.now()
        named = alert_queue.states_of(connection, "id", list(picked.alerts), reads=reads)
        found = [one for one in named if picked.alerts[one.id] in (None, one.version)]
        left = len(named) - len(found)
        if len(picked.subjects) + len(picked.hosts) > MOST_AT_ONCE:
            raise InvalidInput("detect.too_many_alerts", most=MOST_AT_ONCE)
        detectors = {detector for detector, _ in picked.subjects}
        if len(detectors) > _MOST_DETECTORS:
            raise InvalidInput("detect.unknown_filter", field="detector", value=min(detectors)[:40])
        if picked.subjects or picked.hosts:
            lines = alert_queue.of_lines(wanted, now, picked.subjects, picked.hosts, picked.seen)
            found += alert_queue.states(connection, lines, reads=reads, limit=MOST_AT_ONCE + 1)
        by_row = {one.row: one for one in found}
        if len(by_row) > MOST_AT_ONCE:
            raise InvalidInput("detect.too_many_alerts", most=MOST_AT_ONCE)
        return self._workable(principal, by_row.values()), left

    def _workable(self, principal: Principal, states: Iterable[AlertState]) -> list[AlertState]:
        """Those that the asker may work on. Ten thousand alerts differ in few of the things that decide."""
        may: dict[tuple[Any, str], bool] = {}
        found = []
        for one in states:
            kind = (one.tlp, one.owner)
            if kind not in may:
                may[kind] = self._can_work(principal, one)
            if may[kind]:
                found.append(one)
        return found

    # --- doing it ---------------------------------------------------------------------------------

    def _valuer(
        self, connection: Connection, principal: Principal, work: Work
    ) -> Callable[[AlertState], dict[str, Any]]:
        """What ``work`` makes of an alert."""
        me = person_behind(connection, principal)
        match work.deed:
            case Deed.ASSIGN:
                assignee = _assignee(connection, work.assignee, me)
                return lambda _: {"assignee": assignee}
            case Deed.SNOOZE:
                return lambda _: {"snoozed_until": work.until}
            case _:
                status = _STATUS[work.deed]
                reason = work.reason if status is Status.CLOSED else None
                common: dict[str, Any] = {"status": status, "reason": reason, "snoozed_until": None}
                if work.note:
                    common["note"] = work.note
                takes = {"assignee": me} if work.deed is Deed.ACKNOWLEDGE and me else {}
                return lambda state: common if state.assignee else common | takes

    def _apply(
        self,
        tx: Transaction,
        principal: Principal,
        deed: Deed,
        changes: Sequence[tuple[AlertState, Mapping[str, Any]]],
    ) -> Done:
        if not changes:
            return Done(deed, "", 0)
        first = changes[0][0]
        change = alert_history.change_id(first.id, first.version)
        alert_history.change_alerts(
            tx.connection, changes, change=change, by=told(principal), deed=deed, now=self._clock.now()
        )
        _tell(tx, [state for state, _ in changes])
        if deed is Deed.ASSIGN:
            _tell_assigned(tx, changes, person_behind(tx.connection, principal))
        return Done(deed, change, len(changes))


def _tell(tx: Transaction, states: list[AlertState]) -> None:
    for one in _singly(states):
        tx.notify("alert", one.id, action="status", detector=one.detector, about=one.subject)


def _tell_assigned(tx: Transaction, changes: Sequence[tuple[AlertState, Mapping[str, Any]]], me: str) -> None:
    """Whoever was given an alert by somebody else is to know."""
    given = {state.id: str(values.get("assignee") or "") for state, values in changes}
    for one in _singly([state for state, _ in changes]):
        if given[one.id] not in ("", me, one.assignee):
            tx.notify("alert", one.id, action="assigned", assignee=given[one.id])


def _singly(states: list[AlertState]) -> Iterable[AlertState]:
    """Each; of very many, one of each rule or indicator."""
    if len(states) <= _TOLD_SINGLY:
        return states
    return {(one.detector, one.subject): one for one in states}.values()


def _assignee(connection: Connection, name: str, me: str) -> str:
    """``policy.told`` of whom a name means."""
    if not name:
        return ""
    if name == ME and me:
        return me
    for one in people(connection):
        if one.name.casefold() == name.casefold() and not one.is_disabled:
            return told(one.person)
    raise InvalidInput("detect.no_such_person", name=name[:80])


def _news(state: AlertState, values: Mapping[str, Any]) -> dict[str, Any]:
    """What differs: of many alerts, those of which nothing would be new are left as they are."""
    return {name: value for name, value in values.items() if state.value(name) != value}
