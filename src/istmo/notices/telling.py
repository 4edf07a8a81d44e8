"""From what happened to who is told: a job that hands out causes, each exactly once.

A cause is written in the transaction of what happened (``Store.within``), so a crash loses none. Handing
it out removes it in the transaction that writes notices and letters, so none is handed out twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from istmo.clock import Clock
from istmo.identity.objects import Account
from istmo.identity.service import Identity
from istmo.notices import records
from istmo.notices.objects import CONSOLE, LEVELS, Cause, Heading, Kind, Plan, Subjects, Way
from istmo.notices.sending import SEND, Sending
from istmo.store.changes import Change
from istmo.store.engine import Store, Transaction
from istmo.store.jobs import enqueue

TELL: Final = "notices.tell"
CHANGED: Final = "notice"
"""The topic of a change in what somebody has not read; its subject is their account."""
OWN_REQUEST: Final = "joining"
"""The subject of a change in this node's own request to join a region."""
PORTION: Final = 50
MOST_WAITING: Final = 1_000
"""Letters that wait for one way: of more, the oldest go. The console's list has them all."""

USUAL: Final = Plan(frozenset(Kind) - {Kind.TEST}, "high")
"""What the console tells somebody who has said nothing: all that their role may know of."""


class Telling:
    """One node's handing out."""

    def __init__(
        self, store: Store, clock: Clock, identity: Identity, subjects: Subjects, sending: Sending
    ) -> None:
        self._store, self._clock = store, clock
        self._identity, self._subjects, self._sending = identity, subjects, sending
        store.within(self.follows, "alert", "case", "job_dead", "peer")

    def follows(self, change: Change) -> Callable[[Transaction], None] | None:
        """What is to be kept of a change, in its own transaction."""
        found = _cause_of(change)
        if found is None:
            return None
        kind, person = found
        return lambda tx: self.keep(tx, kind, change.subject, person)

    def keep(self, tx: Transaction, kind: Kind, subject: str, person: str = "") -> None:
        """Something happened that somebody may have to be told of."""
        now = self._clock.now()
        records.add_cause(tx.connection, kind, subject[:128], person, now)
        enqueue(tx, TELL, {}, now, key=TELL)

    def tell(self, payload: Mapping[str, Any]) -> None:
        """The job: hand out all that waits."""
        while True:
            with self._store.read() as connection:
                found = records.first_causes(connection, PORTION)
                plans = _plans_by_account(records.all_ways(connection)) if found else {}
            if not found:
                return
            people = self._identity.known_people()
            told: list[dict[str, Any]] = []
            letters: list[dict[str, Any]] = []
            for cause in found:
                self._hand_out(cause, people, plans, told, letters)
            self._write(found, told, letters)

    def _hand_out(
        self,
        cause: Cause,
        people: list[Account],
        plans: Mapping[str, list[Way]],
        told: list[dict[str, Any]],
        letters: list[dict[str, Any]],
    ) -> None:
        wanting = [
            one
            for one in people
            if cause.person in ("", one.id)
            and any(cause.kind in plan.kinds for plan in self._plans(plans.get(one.id, [])))
        ]
        headings = self._subjects.headings(wanting, cause.kind, [cause.subject]).get(cause.subject, {})
        for account in wanting:
            heading = headings.get(account.id)
            if heading is None:
                continue
            ways = plans.get(account.id, [])
            console = next((way for way in ways if way.plan.notifier == CONSOLE), None)
            if (console is None or console.is_on) and wants(
                console.plan if console else USUAL, cause, heading
            ):
                family = heading.family.key[:256] if heading.family else ""
                told.append(
                    {
                        "account": account.id,
                        "kind": cause.kind,
                        "subject": cause.subject,
                        "family": family,
                        "at": cause.at,
                    }
                )
            letters += [
                {
                    "way": way.id,
                    "kind": cause.kind,
                    "subject": cause.subject,
                    "level": heading.level,
                    "at": cause.at,
                }
                for way in ways
                if way.is_on and way.plan.notifier != CONSOLE and wants(way.plan, cause, heading)
            ]

    @staticmethod
    def _plans(ways: list[Way]) -> list[Plan]:
        found = [way.plan for way in ways if way.is_on]
        return found if any(way.plan.notifier == CONSOLE for way in ways) else [*found, USUAL]

    def _write(self, found: list[Cause], told: list[dict[str, Any]], letters: list[dict[str, Any]]) -> None:
        now = self._clock.now()
        with self._store.write() as tx:
            records.add_notices(tx.connection, told)
            records.add_letters(tx.connection, letters)
            for account in sorted({one["account"] for one in told}):
                tx.notify(CHANGED, account)
            records.drop_causes(tx.connection, [cause.id for cause in found])
            for way in sorted({letter["way"] for letter in letters}):
                records.drop_letters_past(tx.connection, way, MOST_WAITING)
                self._sending.arrange(tx, way, now)

    def forget_old(self, now: datetime, days: int = 90) -> None:
        """Notices that are older go, read or not."""
        with self._store.write() as tx:
            records.drop_old_notices(tx.connection, now - timedelta(days=days))


def wants(plan: Plan, cause: Cause, heading: Heading) -> bool:
    """Whether a plan asks to be told of this."""
    if cause.kind not in plan.kinds:
        return False
    if cause.kind is not Kind.ALERT or heading.level not in LEVELS or plan.level not in LEVELS:
        return True
    return LEVELS.index(heading.level) >= LEVELS.index(plan.level)


def _plans_by_account(found: list[Way]) -> dict[str, list[Way]]:
    plans: dict[str, list[Way]] = {}
    for way in found:
        plans.setdefault(way.account, []).append(way)
    return plans


def _cause_of(change: Change) -> tuple[Kind, str] | None:
    """The kind of a change that people may be told of, and the account that it concerns alone."""
    action = change.data.get("action")
    match change.topic:
        case "alert" if action == "new":
            return (Kind.SOURCE if change.data.get("detector") == "source" else Kind.ALERT), ""
        case "alert" if action == "assigned":
            # ``policy.told`` of a person, as the alert keeps it.
            person = str(change.data.get("assignee") or "").removeprefix("person:")
            return (Kind.ASSIGNED, person) if person else None
        case "case":
            return Kind.CASE, ""
        case "peer" if _is_entry(change.subject, str(change.data.get("state") or "")):
            return Kind.ENTRY, ""
        case "job_dead" if change.data.get("kind") not in (TELL, SEND):
            return Kind.JOB, ""  # its own would be told for ever
    return None


def _is_entry(subject: str, state: str) -> bool:
    """Whether somebody stands at the region's door or has entered, or this node was answered at another's."""
    if subject == OWN_REQUEST:
        return state in ("joined", "refused")
    return state in ("pending", "joined")
