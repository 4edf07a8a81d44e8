"""What this node writes into a case: what stands against it, and its way into the log."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import Any

from istmo.errors import Conflict, NotAllowed, NotFound
from istmo.identity import audit
from istmo.model.markings import Tlp, strictest
from istmo.policy.actions import Action
from istmo.policy.principals import Person, Principal, TokenHolder
from istmo.respond import entries, records
from istmo.respond.fold import Folded, admitted_by
from istmo.respond.objects import (
    Alert,
    Author,
    Body,
    CaseEntry,
    Object,
)
from istmo.respond.reading import Reading, reasons_told
from istmo.respond.sharing import may_see
from istmo.store.engine import Transaction


class Writing(Reading):
    """The writing of entries, for those who may: what a service of cases stands on."""

    def _add_to(
        self, principal: Principal, case_id: str, body: Body, only_to: Iterable[str] | None = None
    ) -> CaseEntry:
        with self._denials(principal), self._store.write() as tx:
            folded, case = self._readable(tx.connection, principal, case_id)
            self._may(principal, Action.CASE_WORK, self._resource_of(tx.connection, case))
            if case.is_invitation:
                raise Conflict("respond.not_open_here")
            audience = self._audience(folded)
            if only_to is not None:
                audience &= frozenset(only_to) | {self._me}
            self._check_quoted(body, audience)
            added = self._add(tx, folded, body, audience)
            self._record(tx, principal, Action.CASE_WORK, case_id)
        return added

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

    def _add(self, tx: Transaction, folded: Folded, body: Body, audience: frozenset[str]) -> CaseEntry:
        tlp = folded.case().tlp
        if isinstance(body, (Alert, Object)):
            tlp = strictest(tlp, body.marking.level)
        raw = entries.encode_body(body)
        for copy in entries.compose(folded, body, self._me, audience):
            self._append(tx, copy, tlp)
        found = records.entry(tx.connection, folded.id, entries.entry_id(folded.id, raw))
        if found is None:
            raise NotFound("respond.no_case", case=folded.id)
        return found

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
