"""What this node knows of its cases: lists, one case, and who may see which."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from istmo.clock import Clock
from istmo.errors import InvalidInput, NotAllowed, NotFound
from istmo.identity import audit
from istmo.identity.people import people
from istmo.ledger.log import Ledger
from istmo.model import instants
from istmo.model.ids import is_id
from istmo.model.markings import Tlp
from istmo.policy.actions import Action
from istmo.policy.decisions import Context, Reason, Resource, decide, owner_names, reading_limit
from istmo.policy.principals import Person, Principal, TokenHolder
from istmo.respond import records
from istmo.respond.fold import Folded
from istmo.respond.objects import Case, CaseEntry, CaseSummary
from istmo.respond.records import Filter, Reads
from istmo.store.engine import Store


@dataclass(frozen=True)
class Page:
    """Some cases, last touched first, and where to go on."""

    items: tuple[CaseSummary, ...]
    next: str | None


class _Hidden(NotFound):
    """A case that is there and that the asker may not know of: told like one that is not."""

    def __init__(self, case: str, reasons: tuple[Reason, ...]) -> None:
        super().__init__("respond.no_case", case=case)
        self.reasons = reasons


class Reading:
    """The cases of one node, as far as an asker may know of them.

    ``region``: the members of the region at this moment, this node's own among them.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        clock: Clock,
        region: Callable[[], frozenset[str]],
        space: str = "real",
    ) -> None:
        self._store, self._ledger, self._clock = store, ledger, clock
        self._region, self._space = region, space
        self._me = ledger.member_id

    def read(self, principal: Principal, case_id: str) -> Case:
        """One case with its timeline, without the words of entries that are not for the asker to read.

        Raises NotFound where there is none that the asker may see.
        """
        with self._denials(principal), self._store.read() as connection:
            folded, case = self._readable(connection, principal, case_id)
        return self._as_seen(principal, folded, case)

    def cases_for(
        self, principals: Iterable[Principal], ids: Iterable[str]
    ) -> list[tuple[CaseSummary, list[Principal]]]:
        """Of these cases each that there is, with those who may read it: for the part that tells people of
        changes. A case stands there once for all who see all of it, and once for each who does not."""
        asked, context, told = list(principals), self._context(), []
        with self._store.read() as connection:
            for case in records.summaries_of(connection, ids):
                resource = self._resource(case)
                readers = [one for one in asked if decide(one, Action.CASE_READ, resource, context)]
                whole = [one for one in readers if self._sees_all(one, resource)]
                told.append((case, whole))
                told += [
                    (self._as_listed(connection, one, case), [one]) for one in readers if one not in whole
                ]
        return told

    def may_know(self, principal: Principal, case_id: str) -> bool:
        """Whether the asker may be told that a case changed: exactly whether they could read it.

        Nothing is written down where not: nobody has asked for it.
        """
        return any(readers for _, readers in self.cases_for([principal], [case_id]))

    def list_cases(
        self, principal: Principal, wanted: Filter | None = None, *, cursor: str = "", limit: int = 50
    ) -> Page:
        """Cases that the asker may see, last touched first; ``cursor`` is the ``next`` of the page before.

        Searching looks through titles, notes, tasks, alerts and objects; every word must occur.
        """
        limit, after, context = max(1, min(limit, 200)), _read_cursor(cursor), self._context()
        self._may(principal, Action.CASE_READ, self._any_case())
        reads = Reads(reading_limit(principal, Action.CASE_READ), owner_names(principal))
        kept: list[CaseSummary] = []
        with self._store.read() as connection:
            while len(kept) <= limit:
                found = records.summaries(connection, wanted or Filter(), after, limit + 1, reads)
                # What may not be seen is not counted either: the page is filled past it.
                kept += [
                    self._as_listed(connection, principal, one)
                    for one in found
                    if decide(principal, Action.CASE_READ, self._resource(one), context)
                ]
                if len(found) <= limit:
                    break
                after = found[-1].updated, found[-1].id
        following = _write_cursor(kept[limit - 1]) if len(kept) > limit else None
        return Page(tuple(kept[:limit]), following)

    def owner_name(self, principal: Principal) -> str:
        """How a case names the asker as its owner."""
        name = principal.name if isinstance(principal, (Person, TokenHolder)) else ""
        return f"{self._me}/{name[:128]}"

    # What reading and changing stand on

    def _folded(self, connection: Connection, case_id: str) -> Folded:
        return Folded(case_id, records.entries(connection, case_id))

    def _readable(self, connection: Connection, principal: Principal, case_id: str) -> tuple[Folded, Case]:
        folded = self._folded(connection, case_id) if is_id(case_id, "x-istmo-case") else None
        if folded is None or not folded.all:
            raise NotFound("respond.no_case", case=case_id[:80])
        case = folded.case()
        resource = self._resource_of(connection, case)
        decision = decide(principal, Action.CASE_READ, resource, self._context())
        if not decision:
            raise _Hidden(case_id, decision.reasons)
        return folded, case

    def _is_seen(self, principal: Principal, entry: CaseEntry) -> bool:
        """Whether somebody of this node who may read the case may read this entry of it.

        Who opened a case goes on knowing of it when what others put in it has made it stricter than
        they read: that opens their own entries to them, not those of others.
        """
        of_the_node = frozenset({self._me})
        resource = Resource("case", self._me, of_the_node, entry.tlp, self._space, entry.by)
        return decide(principal, Action.CASE_READ, resource, self._context()).allowed

    def _sees_all(self, principal: Principal, resource: Resource) -> bool:
        """Whether somebody reads a case for what it is, not because it was they who opened it."""
        return decide(principal, Action.CASE_READ, replace(resource, owner=""), self._context()).allowed

    def _as_seen(self, principal: Principal, folded: Folded, case: Case) -> Case:
        """The case with the entries that are not the asker's to read emptied (house invariant 1).

        Where the case stands and who is on it is told to whoever may know of it at all: who could not see
        that would write over it. What it is called, and what is to be done, are words of an entry.
        """
        if self._sees_all(principal, self._resource_of_case(case)):
            return case

        def seen(entry: CaseEntry) -> CaseEntry:
            return entry if self._is_seen(principal, entry) else entry.withheld()

        timeline = tuple(seen(one) for one in case.timeline)
        known = {one.id: one for one in timeline}
        tasks = tuple(
            replace(one, done_by=tuple(known[done.id] for done in one.done_by))
            for one in case.tasks
            if not known[one.entry.id].is_withheld
        )
        return replace(
            case,
            title=folded.title(lambda one: one.id in known and not known[one.id].is_withheld),
            timeline=timeline,
            tasks=tasks,
            pending=tuple(seen(one) for one in case.pending),
            strangers=tuple(seen(one) for one in case.strangers),
        )

    def _as_listed(self, connection: Connection, principal: Principal, one: CaseSummary) -> CaseSummary:
        """A line of the list, with the title that the asker may read."""
        if self._sees_all(principal, self._resource(one)):
            return one
        title = self._folded(connection, one.id).title(lambda entry: self._is_seen(principal, entry))
        return replace(one, title=title)

    @contextmanager
    def _denials(self, principal: Principal) -> Iterator[None]:
        """Write down a denial that is told as "no such case": nobody else hears of it."""
        try:
            yield
        except _Hidden as hidden:
            now, subject = self._clock.now(), str(hidden.params["case"])
            audit.record_denial(self._store, principal, Action.CASE_READ, subject, hidden.reasons, now)
            raise

    def _resource_of(self, connection: Connection, case: Case) -> Resource:
        found = records.summary(connection, case.id)
        return replace(self._resource_of_case(case), owner=found.by if found else "")

    def _resource_of_case(self, case: Case) -> Resource:
        audience = case.members | {self._me}
        return Resource("case", case.opener or self._me, audience, case.tlp, self._space)

    def _resource(self, one: CaseSummary) -> Resource:
        audience = one.members | {self._me}
        return Resource("case", one.opener or self._me, audience, one.tlp, self._space, one.by)

    def _losing(self, connection: Connection, case: Case, tlp: Tlp) -> list[str]:
        """The names of those of this node who see a case and would not, were it marked ``tlp``."""
        now, context = self._resource_of(connection, case), self._context()
        then = replace(now, tlp=tlp)
        return sorted(
            one.name
            for one in people(connection)
            if not one.is_disabled
            and decide(one.person, Action.CASE_READ, now, context)
            and not decide(one.person, Action.CASE_READ, then, context)
        )

    def _any_case(self) -> Resource:
        return Resource("case", self._me, frozenset({self._me}), Tlp.CLEAR, self._space)

    def _context(self) -> Context:
        return Context(self._me, self._region() | {self._me}, self._space, self._clock.now())

    def _may(self, principal: Principal, action: Action, resource: Resource) -> None:
        decision = decide(principal, action, resource, self._context())
        if not decision:
            raise NotAllowed("respond.not_allowed", action=str(action), denied=reasons_told(decision.reasons))


def reasons_told(reasons: Iterable[Reason]) -> list[dict[str, Any]]:
    return [{"code": one.code, "params": dict(one.params)} for one in reasons]


def _write_cursor(one: CaseSummary) -> str:
    return base64.urlsafe_b64encode(f"{instants.format(one.updated)} {one.id}".encode()).decode()


def _read_cursor(cursor: str) -> tuple[datetime, str] | None:
    if not cursor:
        return None
    try:
        when, _, id = base64.urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        return instants.parse(when), id
    except (ValueError, InvalidInput):
        raise InvalidInput("respond.bad_cursor") from None
