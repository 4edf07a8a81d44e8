"""What this node writes into a case: what stands against it, and its way into the log."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection

from istmo.errors import Conflict, NotAllowed, NotFound
from istmo.identity import audit
from istmo.model.markings import Tlp, strictest
from istmo.policy.actions import Action
from istmo.policy.principals import Person, Principal, TokenHolder, told
from istmo.respond import entries, records
from istmo.respond.fold import Folded, admitted_by
from istmo.respond.objects import (
    Alert,
    Author,
    Body,
    Case,
    CaseEntry,
    Object,
    TaskDone,
    TitleChange,
    quoted_id,
)
from istmo.respond.reading import Reading, reasons_told
from istmo.respond.sharing import may_see
from istmo.store.engine import Transaction

MOST_NAMED: Final = 12
"""People of this node who are named where a case would be lost to them; of more, only how many they are."""


class Writing(Reading):
    """The writing of entries, for those who may: what a service of cases stands on."""

    def _add_to(
        self,
        principal: Principal,
        case_id: str,
        body: Body,
        only_to: Iterable[str] | None = None,
        raise_to: Tlp | None = None,
    ) -> CaseEntry:
        return self._add_all(principal, case_id, [body], only_to, raise_to)[0]

    def _add_all(
        self,
        principal: Principal,
        case_id: str,
        bodies: Sequence[Body],
        only_to: Iterable[str] | None = None,
        raise_to: Tlp | None = None,
    ) -> tuple[CaseEntry, ...]:
        with self._denials(principal), self._store.write() as tx:
            folded, case = self._readable(tx.connection, principal, case_id)
            self._may(principal, Action.CASE_WORK, self._resource_of(tx.connection, case))
            if case.is_invitation:
                raise Conflict("respond.not_open_here")
            audience = self._audience(folded)
            if only_to is not None:
                audience &= frozenset(only_to) | {self._me}
            known = self._as_seen(principal, folded, case)
            new = [body for body in bodies if not _is_there(known, body, self._me, audience)]
            if not new:
                raise Conflict(_ALREADY.get(type(bodies[0]), "respond.already_there"))
            for body in new:
                self._check_quoted(body, audience)
            self._check_marking(tx.connection, case, new, raise_to)
            added = tuple(
                self._add(tx, principal, self._folded(tx.connection, case_id), body, audience) for body in new
            )
            self._record(tx, principal, Action.CASE_WORK, case_id)
        return added

    def _check_marking(
        self, connection: Connection, case: Case, bodies: Iterable[Body], raise_to: Tlp | None
    ) -> None:
        """Whoever makes a case stricter is told first who will not see it any more: it is never loosened."""
        tlp = strictest(case.tlp, *(entries.level_of(body) for body in bodies))
        if tlp <= strictest(case.tlp, raise_to or case.tlp):
            return
        losing = self._losing(connection, case, tlp)
        raise Conflict(
            "respond.raises_marking" if losing else "respond.raises_marking_alone",
            was=case.tlp.label,
            tlp=tlp.label,
            n=len(losing),
            people=losing[:MOST_NAMED] + ["…"] * (len(losing) > MOST_NAMED),
        )

    def _check_quoted(self, body: Body, audience: frozenset[str]) -> None:
        if not isinstance(body, (Alert, Object)):
            return
        context = self._context()
        refused = {
            member: decision.reasons
            for member in sorted(audience - {self._me})
            if (decision := may_see(body.marking, member, context)) is not None and not decision
        }
        if refused:
            raise NotAllowed(
                "respond.not_theirs_to_see",
                members=list(refused),
                refused=[{"member": one, "reasons": reasons_told(why)} for one, why in refused.items()],
            )

    def _add(
        self, tx: Transaction, principal: Principal, folded: Folded, body: Body, audience: frozenset[str]
    ) -> CaseEntry:
        tlp = strictest(folded.case().tlp, entries.level_of(body))
        raw = entries.encode_body(body)
        for copy in entries.compose(folded, body, self._me, audience):
            self._append(tx, copy, tlp)
        return self._written(tx, principal, folded.id, raw)

    def _written(self, tx: Transaction, principal: Principal, case_id: str, raw: bytes) -> CaseEntry:
        """The entry as it stands in the tables now; who of this node wrote it is remembered there."""
        found = records.entry(tx.connection, case_id, entries.entry_id(case_id, raw))
        if found is None:
            raise NotFound("respond.no_case", case=case_id)
        records.put_author(tx.connection, found, told(principal))
        return replace(found, by=told(principal))

    def _append(self, tx: Transaction, copy: entries.Copy, tlp: Tlp) -> None:
        self._ledger.append(
            tx, entries.TYPE, copy.payload, audience=copy.audience, markings=(tlp.marking_id,)
        )

    def _audience(self, folded: Folded) -> frozenset[str]:
        """Whom this node lets read, as far as they are still members of the region."""
        return (admitted_by(folded, self._me) & self._context().members) | {self._me}

    def _body(self, kind: Callable[..., Body], principal: Principal, **values: Any) -> Any:
        name = principal.name if isinstance(principal, (Person, TokenHolder)) else ""
        body = kind(
            author=Author(self._me, name[:128]),
            created=self._clock.now(),
            nonce=secrets.token_hex(16),
            **values,
        )
        # What we would refuse from others, we do not write ourselves.
        return entries.decode_body(entries.encode_body(body))

    def _record(self, tx: Transaction, principal: Principal, action: Action, subject: str) -> None:
        audit.record(tx, principal, action, subject, audit.DONE, (), self._clock.now())


_ALREADY: Final[Mapping[type, str]] = {TaskDone: "respond.already_done", TitleChange: "respond.same_title"}


def _is_there(case: Case, body: Body, me: str, audience: frozenset[str]) -> bool:
    """Whether a case, as the asker sees it, says already what is to be added, to all who would get it."""
    match body:
        case TaskDone(task=task):
            return any(one.is_done for one in case.tasks if one.entry.id == task)
        case TitleChange(title=title):
            return title == case.title
        case Alert() | Object():
            mine = (one for one in case.timeline if one.author.node == me and audience <= one.readers)
            return any(quoted_id(one.body) == quoted_id(body) for one in mine)
        case _:
            return False
