"""What this node knows of its cases: lists, one case, and who may see which."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from istmo.clock import Clock
from istmo.errors import InvalidInput, NotAllowed, NotFound
from istmo.identity import audit
from istmo.ledger.log import Ledger
from istmo.model import instants
from istmo.model.ids import is_id
from istmo.model.markings import Tlp
from istmo.policy.actions import Action
from istmo.policy.decisions import Context, Reason, Resource, decide
from istmo.policy.principals import Person, Principal, TokenHolder
from istmo.respond import records
from istmo.respond.fold import Folded
from istmo.respond.objects import Case, CaseSummary
from istmo.respond.records import Filter
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
        """One case with its timeline. Raises NotFound where there is none that the asker may see."""
        with self._denials(principal), self._store.read() as connection:
            return self._readable(connection, principal, case_id)[1]

    def cases_for(
        self, people: Iterable[Principal], ids: Iterable[str]
    ) -> list[tuple[CaseSummary, list[Principal]]]:
        """Of these cases each that there is, and who of ``people`` may read it: for the part that tells
        people of changes."""
        people, context = list(people), self._context()
        with self._store.read() as connection:
            found = records.summaries_of(connection, ids)
        return [
            (case, [one for one in people if decide(one, Action.CASE_READ, self._resource(case), context)])
            for case in found
        ]

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
        kept: list[CaseSummary] = []
        with self._store.read() as connection:
            while len(kept) <= limit:
                found = records.summaries(connection, wanted or Filter(), after, limit + 1)
                # What may not be seen is not counted either: the page is filled past it.
                kept += [
                    one for one in found if decide(principal, Action.CASE_READ, self._resource(one), context)
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
        audience = case.members | {self._me}
        owner = found.by if found else ""
        return Resource("case", case.opener or self._me, audience, case.tlp, self._space, owner)

    def _resource(self, one: CaseSummary) -> Resource:
        audience = one.members | {self._me}
        return Resource("case", one.opener or self._me, audience, one.tlp, self._space, one.by)

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
