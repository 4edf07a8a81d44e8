"""The audit trail: every write and every denied access, added and never changed.

Each line carries SHA-256(digest of the line before ‖ this line), so that a line taken out or altered
in the database is found by ``first_broken``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from istmo.identity import records
from istmo.identity.objects import AuditLine
from istmo.policy.decisions import Reason
from istmo.policy.principals import Peer, Person, Principal, TokenHolder, told
from istmo.store.engine import Store, Transaction

DONE, DENIED, FAILED = "done", "denied", "failed"


def record(
    tx: Transaction,
    principal: Principal,
    action: str,
    subject: str,
    outcome: str,
    reasons: Iterable[Reason],
    now: datetime,
    *,
    address: str = "",
) -> None:
    """Add a line in the transaction of what it tells. Never pass a secret in ``subject`` or ``reasons``."""
    line = AuditLine(
        id=0,
        at=now,
        principal=told(principal)[:96],
        name=_name(principal)[:64],
        action=str(action)[:64],
        subject=subject[:256],
        outcome=outcome,
        reasons=tuple({"code": one.code, "params": dict(one.params)} for one in reasons),
        address=address[:64],
    )
    digest = _digest(records.last_digest(tx.connection), line)
    records.add_audit_line(tx.connection, line, digest)


def record_denial(
    store: Store,
    principal: Principal,
    action: str,
    subject: str,
    reasons: Iterable[Reason],
    now: datetime,
    *,
    address: str = "",
) -> None:
    """Add a line about a denial in a transaction of its own: what was denied wrote nothing."""
    with store.write() as tx:
        record(tx, principal, action, subject, DENIED, reasons, now, address=address)


def lines(
    connection: Connection, *, before: int | None = None, limit: int = 100, **filters: Any
) -> list[AuditLine]:
    """Newest first, at most ``limit`` (up to 1,000), older than line ``before``."""
    return list(
        records.audit_lines(connection, before=before, limit=max(1, min(limit, 1000)), filters=filters)
    )


def first_broken(connection: Connection) -> int | None:
    """The id of the first line that does not follow from the one before it; None when all do."""
    head = bytes(32)
    for line, digest in records.whole_audit(connection):
        if _digest(head, line) != digest:
            return line.id
        head = digest
    return None


def _name(principal: Principal) -> str:
    match principal:
        case Person(name=name) | TokenHolder(name=name):
            return name
        case Peer(member=member):
            return member
        case _:
            return ""


def _digest(before: bytes, line: AuditLine) -> bytes:
    told_: list[Any] = [
        line.at.isoformat(),
        line.principal,
        line.name,
        line.action,
        line.subject,
        line.outcome,
        [_sorted(one) for one in line.reasons],
        line.address,
    ]
    return hashlib.sha256(before + json.dumps(told_, sort_keys=True, ensure_ascii=True).encode()).digest()


def _sorted(reason: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name): reason[name] for name in sorted(reason)}
