"""The federation's tables and every statement about them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    CompoundSelect,
    Connection,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    union_all,
    update,
)

from istmo.federation.objects import Acknowledged, Cursor, Invitation, Member, Problem, Refusal
from istmo.ledger import records as ledger_records
from istmo.store.columns import BigId, Instant, Json
from istmo.store.engine import metadata

OURS, THEIRS = "ours", "theirs"
"""Who refused: this node what a peer sent, or a peer what this node sent."""

charters = Table(
    "charters",
    metadata,
    Column("version", BigId, primary_key=True, autoincrement=False),
    Column("document", LargeBinary, nullable=False),
    Column("applied", Instant, nullable=False),
)

invitations = Table(
    "invitations",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("name", String(200), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("created", Instant, nullable=False),
    Column("expires", Instant, nullable=False),
    Column("state", String(12), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("member", Json, nullable=True),
)

joinings = Table(
    "joinings",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("url", String(512), nullable=False),
    Column("inviter", Json, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("created", Instant, nullable=False),
    Column("state", String(12), nullable=False),
    Column("problem", Json, nullable=True),
)

peer_cursors = Table(
    "peer_cursors",
    metadata,
    Column("member", String(64), primary_key=True),
    Column("number", BigId, nullable=False),
    Column("sequence", BigId, nullable=False),
    Column("head", LargeBinary, nullable=False),
)

acknowledgements = Table(
    "acknowledgements",
    metadata,
    Column("recipient", String(64), primary_key=True),
    Column("number", BigId, primary_key=True, autoincrement=False),
    Column("head", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
)

refusals = Table(
    "peer_refusals",
    metadata,
    Column("side", String(8), primary_key=True),
    Column("member", String(64), primary_key=True),
    Column("sequence", BigId, primary_key=True, autoincrement=False),
    Column("code", String(64), nullable=False),
    Column("at", Instant, nullable=False),
    Index("ix_peer_refusals_member", "member"),
)

peer_links = Table(
    "peer_links",
    metadata,
    Column("member", String(64), primary_key=True),
    Column("contact", Instant, nullable=True),
    Column("skew", Integer, nullable=True),
    Column("problem", Json, nullable=True),
    Column("problem_at", Instant, nullable=True),
)


# --- charter ---------------------------------------------------------------------------------


def last_charter(connection: Connection) -> tuple[int, bytes] | None:
    """Version and signed bytes of the charter in force."""
    row = connection.execute(select(charters).order_by(charters.c.version.desc()).limit(1)).first()
    return (row.version, bytes(row.document)) if row else None


def charter_documents(connection: Connection, after: int, limit: int) -> list[bytes]:
    """Signed charters past a version, oldest first."""
    rows = connection.execute(
        select(charters.c.document)
        .where(charters.c.version > after)
        .order_by(charters.c.version)
        .limit(limit)
    )
    return [bytes(row.document) for row in rows]


def last_charter_version(connection: Connection) -> int:
    return connection.execute(select(func.max(charters.c.version))).scalar() or 0


def insert_charter(connection: Connection, version: int, document: bytes, now: datetime) -> None:
    connection.execute(insert(charters).values(version=version, document=document, applied=now))


# --- invitations -----------------------------------------------------------------------------


def insert_invitation(connection: Connection, invitation: Invitation) -> None:
    connection.execute(
        insert(invitations).values(
            id=invitation.id,
            public_key=invitation.public_key,
            name=invitation.name,
            fingerprint=invitation.fingerprint,
            created=invitation.created,
            expires=invitation.expires,
            state=invitation.state,
            attempts=0,
            member=None,
        )
    )


def find_invitation(connection: Connection, id: str) -> Invitation | None:
    row = connection.execute(select(invitations).where(invitations.c.id == id)).first()
    return _invitation(row) if row else None


def all_invitations(connection: Connection) -> list[Invitation]:
    """Every invitation, the newest first."""
    rows = connection.execute(select(invitations).order_by(invitations.c.created.desc(), invitations.c.id))
    return [_invitation(row) for row in rows]


def set_invitation(connection: Connection, id: str, state: str, member: Member | None) -> None:
    connection.execute(
        update(invitations)
        .where(invitations.c.id == id)
        .values(state=state, member=member.to_json() if member else None)
    )


def count_attempt(connection: Connection, id: str) -> int:
    """One more failed try with this code; how many there were."""
    connection.execute(
        update(invitations).where(invitations.c.id == id).values(attempts=invitations.c.attempts + 1)
    )
    found = connection.execute(select(invitations.c.attempts).where(invitations.c.id == id)).scalar()
    return found or 0


def _invitation(row: Any) -> Invitation:
    return Invitation(
        id=row.id,
        public_key=bytes(row.public_key),
        name=row.name,
        fingerprint=row.fingerprint,
        created=row.created,
        expires=row.expires,
        state=row.state,
        member=Member.from_json(row.member) if row.member else None,
    )


# --- joining ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Joining:
    """This node's own request to join a region, kept until it is answered."""

    url: str
    inviter: Mapping[str, Any]
    """``signing_key``, ``tls_certificate``, ``member`` of the inviting node, verified."""
    request: bytes
    """The body that is sent, and sent again, until there is an answer."""
    created: datetime
    state: str
    problem: Problem | None


def joining(connection: Connection) -> Joining | None:
    row = connection.execute(select(joinings).where(joinings.c.id == 1)).first()
    if row is None:
        return None
    problem = Problem(row.problem["code"], row.problem["params"]) if row.problem else None
    return Joining(row.url, row.inviter, bytes(row.request), row.created, row.state, problem)


def put_joining(connection: Connection, joining: Joining) -> None:
    connection.execute(delete(joinings))
    connection.execute(
        insert(joinings).values(
            id=1,
            url=joining.url,
            inviter=dict(joining.inviter),
            request=joining.request,
            created=joining.created,
            state=joining.state,
            problem=joining.problem.to_json() if joining.problem else None,
        )
    )


# --- cursors ---------------------------------------------------------------------------------


# Built once: every frame of every peer passes by these.
_CURSOR = select(peer_cursors).where(peer_cursors.c.member == bindparam("member"))
_MOVE_CURSOR = update(peer_cursors).where(peer_cursors.c.member == bindparam("of_member"))
_LAST_ACKNOWLEDGED = (
    select(acknowledgements)
    .where(acknowledgements.c.recipient == bindparam("recipient"))
    .order_by(acknowledgements.c.number.desc())
    .limit(1)
)


def cursor(connection: Connection, member: str) -> Cursor:
    """How far the chain of ``member`` to us has been taken in."""
    row = connection.execute(_CURSOR, {"member": member}).first()
    return Cursor(row.number, row.sequence, bytes(row.head)) if row else Cursor()


def cursors(connection: Connection) -> dict[str, Cursor]:
    """The same of every member that has one."""
    rows = connection.execute(select(peer_cursors))
    return {row.member: Cursor(row.number, row.sequence, bytes(row.head)) for row in rows}


def put_cursor(connection: Connection, member: str, cursor: Cursor) -> None:
    values = {"number": cursor.count, "sequence": cursor.sequence, "head": cursor.head}
    done = connection.execute(_MOVE_CURSOR, {"of_member": member, **values})
    if not done.rowcount:
        connection.execute(insert(peer_cursors), {"member": member, **values})


# --- acknowledgements ------------------------------------------------------------------------


def put_acknowledgement(
    connection: Connection, recipient: str, count: int, head: bytes, now: datetime
) -> bool:
    """Record that ``recipient`` holds our chain up to ``count``; False when that was known."""
    known = last_acknowledged(connection, recipient)
    if known is not None and count <= known.count:
        return False
    values = {"recipient": recipient, "number": count, "head": head, "at": now}
    connection.execute(insert(acknowledgements), values)
    return True


def last_acknowledged(connection: Connection, recipient: str) -> Acknowledged | None:
    row = connection.execute(_LAST_ACKNOWLEDGED, {"recipient": recipient}).first()
    return Acknowledged(row.number, bytes(row.head), row.at) if row else None


def last_acknowledged_of(connection: Connection, recipients: Sequence[str]) -> dict[str, Acknowledged]:
    """The same of several, where they have acknowledged anything: one statement for all of them."""
    if not recipients:
        return {}
    names = {f"r{at}": one for at, one in enumerate(recipients)}
    rows = connection.execute(_last_of_each(len(recipients)), names)
    return {row.recipient: Acknowledged(row.number, bytes(row.head), row.at) for row in rows}


@functools.lru_cache(maxsize=64)
def _last_of_each(count: int) -> CompoundSelect[Any]:
    each = [
        select(acknowledgements)
        .where(acknowledgements.c.recipient == bindparam(f"r{at}"))
        .order_by(acknowledgements.c.number.desc())
        .limit(1)
        .subquery()
        for at in range(count)
    ]
    return union_all(*(select(one) for one in each))


def acknowledged_entry(connection: Connection, origin: str, sequence: int) -> dict[str, datetime | None]:
    """For each recipient of an entry: when it first said that it holds it, or None."""
    sent = ledger_records.deliveries
    first = (
        select(acknowledgements.c.at)
        .where(acknowledgements.c.recipient == sent.c.recipient, acknowledgements.c.number >= sent.c.number)
        .order_by(acknowledgements.c.number)
        .limit(1)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(sent.c.recipient, first.label("at"))
        .where(sent.c.origin == origin, sent.c.sequence == sequence)
        .order_by(sent.c.recipient)
    )
    return {row.recipient: row.at for row in rows}


# --- refusals --------------------------------------------------------------------------------


def put_refusals(
    connection: Connection, side: str, member: str, found: Iterable[tuple[int, str]], now: datetime
) -> int:
    """Keep refusals that are not kept yet; how many were new."""
    new = 0
    for sequence, code in found:
        same = (refusals.c.side == side, refusals.c.member == member, refusals.c.sequence == sequence)
        if connection.execute(select(refusals.c.code).where(*same)).first():
            continue
        connection.execute(
            insert(refusals).values(side=side, member=member, sequence=sequence, code=code, at=now)
        )
        new += 1
    return new


def refusals_of(connection: Connection, side: str, member: str, limit: int, after: int = 0) -> list[Refusal]:
    """Refusals past a sequence, in order."""
    rows = connection.execute(
        select(refusals)
        .where(refusals.c.side == side, refusals.c.member == member, refusals.c.sequence > after)
        .order_by(refusals.c.sequence)
        .limit(limit)
    )
    return [Refusal(row.sequence, row.code, row.at) for row in rows]


def count_refusals(connection: Connection) -> dict[tuple[str, str], int]:
    """How many there are, by side and member; what has none is left out."""
    rows = connection.execute(
        select(refusals.c.side, refusals.c.member, func.count()).group_by(refusals.c.side, refusals.c.member)
    )
    return {(side, member): number for side, member, number in rows}


# --- links -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class LinkNote:
    """What is remembered of a link over a restart."""

    contact: datetime | None
    skew: int | None
    problem: Problem | None


def link_note(connection: Connection, member: str) -> LinkNote:
    row = connection.execute(select(peer_links).where(peer_links.c.member == member)).first()
    if row is None:
        return LinkNote(None, None, None)
    problem = None
    if row.problem:
        problem = Problem(row.problem["code"], row.problem["params"], row.problem_at)
    return LinkNote(row.contact, row.skew, problem)


def put_link_note(connection: Connection, member: str, note: LinkNote) -> None:
    values = {
        "contact": note.contact,
        "skew": note.skew,
        "problem": note.problem.to_json() if note.problem else None,
        "problem_at": note.problem.at if note.problem else None,
    }
    done = connection.execute(update(peer_links).where(peer_links.c.member == member).values(**values))
    if not done.rowcount:
        connection.execute(insert(peer_links).values(member=member, **values))


def is_known_checkpoint(connection: Connection, origin: str, note: bytes) -> bool:
    """Whether this very checkpoint of ``origin`` is kept already."""
    row = ledger_records.last_checkpoint(connection, origin)
    return row is not None and bytes(row.note) == note


def delivery_head(connection: Connection, origin: str, recipient: str, number: int) -> bytes | None:
    """The head of a delivery chain after its delivery ``number``; None where it has not so many."""
    table = ledger_records.deliveries
    found = connection.execute(
        select(table.c.head).where(
            table.c.origin == origin, table.c.recipient == recipient, table.c.number == number
        )
    ).scalar()
    return None if found is None else bytes(found)


def delivery_sequence(connection: Connection, origin: str, recipient: str, number: int) -> int:
    """The sequence of the entry that is delivery ``number`` of a chain; 0 where there is none."""
    table = ledger_records.deliveries
    found = connection.execute(
        select(table.c.sequence).where(
            table.c.origin == origin, table.c.recipient == recipient, table.c.number == number
        )
    ).scalar()
    return found or 0


def delivered(connection: Connection, origin: str, recipient: str, sequences: list[int]) -> set[int]:
    """Those of ``sequences`` that were meant for ``recipient``. At most a few hundred at a time."""
    table = ledger_records.deliveries
    found: set[int] = set()
    for start in range(0, len(sequences), 500):
        rows = connection.execute(
            select(table.c.sequence).where(
                table.c.origin == origin,
                table.c.recipient == recipient,
                table.c.sequence.in_(sequences[start : start + 500]),
            )
        )
        found |= set(rows.scalars())
    return found
