"""The ledger's tables and every statement about them.

SQL is the truth; the files of ``ledger.tiles`` are derived from it and can be rebuilt at any time.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    CompoundSelect,
    Connection,
    Index,
    LargeBinary,
    Row,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    union_all,
    update,
)

from istmo.store.columns import BigId, Instant, Json
from istmo.store.engine import metadata

ACCEPTED, REFUSED, ERASED = "accepted", "refused", "erased"

ZERO_HEAD = bytes(32)
"""The head of a delivery chain before the first delivery."""

log_entries = Table(
    "log_entries",
    metadata,
    Column("origin", String(64), primary_key=True),
    Column("sequence", BigId, primary_key=True, autoincrement=False),
    Column("position", BigId, nullable=False, unique=True),
    Column("type", String(32), nullable=False),
    Column("lane", String(8), nullable=False),
    Column("header", LargeBinary, nullable=False),
    Column("keyid", String(64), nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("signer", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=True),
    Column("commitment", LargeBinary, nullable=False),
    Column("created", Instant, nullable=False),
    Column("expires", Instant, nullable=True),
    Column("received", Instant, nullable=False),
    Column("state", String(8), nullable=False),
    Column("refusal", String(64), nullable=True),
    Column("refusal_params", Json, nullable=True),
    Index("ix_log_entries_type_position", "type", "position"),
    Index("ix_log_entries_state_position", "state", "position"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("origin", String(64), primary_key=True),
    Column("recipient", String(64), primary_key=True),
    Column("number", BigId, primary_key=True, autoincrement=False),
    Column("sequence", BigId, nullable=False),
    Column("head", LargeBinary, nullable=False),
    UniqueConstraint("origin", "recipient", "sequence"),
    Index("ix_deliveries_origin_sequence", "origin", "sequence"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("origin", String(64), primary_key=True),
    Column("size", BigId, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", LargeBinary, nullable=False),
    Column("peaks", LargeBinary, nullable=True),
    Column("seen", Instant, nullable=False),
)

evidence = Table(
    "ledger_evidence",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("origin", String(64), nullable=False),
    Column("sequence", BigId, nullable=False),
    Column("known", LargeBinary, nullable=False),
    Column("other", LargeBinary, nullable=False),
    Column("found", Instant, nullable=False),
)


@dataclass(frozen=True)
class Chain:
    """A delivery chain: how many deliveries, and a head that stands for exactly these, in this order."""

    count: int = 0
    head: bytes = ZERO_HEAD

    def add(self, commitment: bytes) -> Chain:
        """The chain with one more delivery."""
        return Chain(self.count + 1, hashlib.sha256(self.head + commitment).digest())


@dataclass(frozen=True)
class Evidence:
    """Two signed statements of one origin that cannot both be true (``kind``: entry or checkpoint)."""

    id: int
    kind: str
    origin: str
    sequence: int
    known: bytes
    other: bytes
    found: datetime


# --- entries ---------------------------------------------------------------------------------


# Statements of the hot path are built once: building one costs more than SQLite takes to run it.
_LAST_SEQUENCE = select(func.max(log_entries.c.sequence)).where(log_entries.c.origin == bindparam("origin"))
_INSERT_ENTRY = (
    insert(log_entries)
    .values(position=select(func.coalesce(func.max(log_entries.c.position), 0) + 1).scalar_subquery())
    .returning(log_entries.c.position)
)
_FIND_ENTRY = select(log_entries).where(
    log_entries.c.origin == bindparam("origin"), log_entries.c.sequence == bindparam("sequence")
)
_INSERT_DELIVERY = insert(deliveries)
_CHAIN_AT = (
    select(deliveries.c.number, deliveries.c.head)
    .where(
        deliveries.c.origin == bindparam("origin"),
        deliveries.c.recipient == bindparam("recipient"),
        deliveries.c.sequence <= bindparam("sequence"),
    )
    .order_by(deliveries.c.sequence.desc())
    .limit(1)
)
_DUE = (
    select(log_entries, deliveries.c.number, deliveries.c.head)
    .join(
        deliveries,
        (deliveries.c.origin == log_entries.c.origin) & (deliveries.c.sequence == log_entries.c.sequence),
    )
    .where(
        deliveries.c.origin == bindparam("origin"),
        deliveries.c.recipient == bindparam("recipient"),
        deliveries.c.sequence > bindparam("after"),
    )
    .order_by(deliveries.c.sequence)
    .limit(bindparam("most"))
)
_DUE_IN_LANE = _DUE.where(log_entries.c.lane == bindparam("lane"))


def last_sequence(connection: Connection, origin: str) -> int:
    """The highest sequence stored of ``origin``; 0 when there is none."""
    return connection.execute(_LAST_SEQUENCE, {"origin": origin}).scalar() or 0


def insert_entry(connection: Connection, values: dict[str, Any]) -> int:
    """Store an entry; its position in the order of arrival."""
    return int(connection.execute(_INSERT_ENTRY, values).scalar_one())


def find_entry(connection: Connection, origin: str, sequence: int) -> Row[Any] | None:
    """The row of one entry; None too for a number that no log has (people write any number)."""
    if not 0 < sequence < 1 << 53:
        return None
    return connection.execute(_FIND_ENTRY, {"origin": origin, "sequence": sequence}).first()


def find_entries(connection: Connection, named: Iterable[tuple[str, int]]) -> list[Row[Any]]:
    """The rows of those of these entries (origin, sequence) that there are, in no particular order."""
    by_origin: dict[str, list[int]] = {}
    for origin, sequence in named:
        by_origin.setdefault(origin, []).append(sequence)
    return [
        row
        for origin, sequences in by_origin.items()
        for row in connection.execute(
            select(log_entries).where(log_entries.c.origin == origin, log_entries.c.sequence.in_(sequences))
        )
    ]


def set_state(
    connection: Connection,
    origin: str,
    sequence: int,
    state: str,
    refusal: str | None = None,
    params: dict[str, Any] | None = None,
) -> None:
    connection.execute(
        update(log_entries)
        .where(log_entries.c.origin == origin, log_entries.c.sequence == sequence)
        .values(state=state, refusal=refusal, refusal_params=params)
    )


def erase_body(connection: Connection, origin: str, sequence: int) -> None:
    """Forget a body and the salt in it. On SQLite the freed pages are overwritten with zeros."""
    if connection.dialect.name == "sqlite":
        connection.execute(text("PRAGMA secure_delete=ON"))
    connection.execute(
        update(log_entries)
        .where(log_entries.c.origin == origin, log_entries.c.sequence == sequence)
        .values(body=None, state=ERASED)
    )


def entries_of(
    connection: Connection, origin: str, after: int, limit: int, state: str | None = None
) -> list[Row[Any]]:
    """Entries of one origin past a sequence, in the order of its log."""
    wanted = select(log_entries).where(log_entries.c.origin == origin, log_entries.c.sequence > after)
    if state is not None:
        wanted = wanted.where(log_entries.c.state == state)
    return list(connection.execute(wanted.order_by(log_entries.c.sequence).limit(limit)))


def entries_by_arrival(
    connection: Connection, after: int, limit: int, types: tuple[str, ...] = (), state: str | None = None
) -> list[Row[Any]]:
    """Entries of every origin past a position, in the order in which this node got them."""
    wanted = select(log_entries).where(log_entries.c.position > after)
    if types:
        wanted = wanted.where(log_entries.c.type.in_(types))
    if state is not None:
        wanted = wanted.where(log_entries.c.state == state)
    return list(connection.execute(wanted.order_by(log_entries.c.position).limit(limit)))


def commitments(connection: Connection, origin: str, start: int, end: int) -> list[bytes]:
    """Log entries ``start`` up to ``end`` (leaf indices from 0) of an origin's log."""
    rows = connection.execute(
        select(log_entries.c.commitment)
        .where(log_entries.c.origin == origin, log_entries.c.sequence > start, log_entries.c.sequence <= end)
        .order_by(log_entries.c.sequence)
    )
    return [bytes(row.commitment) for row in rows]


def origins(connection: Connection) -> list[str]:
    """Every origin of which something is stored."""
    return list(
        connection.execute(select(log_entries.c.origin).distinct().order_by(log_entries.c.origin)).scalars()
    )


# --- deliveries ------------------------------------------------------------------------------


def chain_of(connection: Connection, origin: str, recipient: str) -> Chain:
    """The chain of everything recorded as delivered by ``origin`` to ``recipient``."""
    return chains_of(connection, origin, (recipient,))[recipient]


def chains_of(connection: Connection, origin: str, recipients: Iterable[str]) -> dict[str, Chain]:
    """The same for several: one statement for all of them, each named once."""
    wanted = tuple(recipients)
    last = _last_deliveries(connection, origin, wanted) if wanted else {}
    return {one: last.get(one, (Chain(), 0))[0] for one in wanted}


def chain_at(connection: Connection, origin: str, recipient: str, sequence: int) -> Chain:
    """The chain as it stood once ``sequence`` (or the last before it) was delivered."""
    place = {"origin": origin, "recipient": recipient, "sequence": sequence}
    row = connection.execute(_CHAIN_AT, place).first()
    return Chain(row.number, bytes(row.head)) if row else Chain()


def record_deliveries(
    connection: Connection, origin: str, recipients: Iterable[str], sequence: int, commitment: bytes
) -> None:
    """Add an entry to the chain of each recipient, where its sequence belongs.

    Nearly always that is the end. One that arrives late is put into its place and the heads after it
    are computed again, so a chain depends on what was delivered and never on the order of arrival.
    """
    wanted = tuple(recipients)
    if not wanted:
        return
    last = _last_deliveries(connection, origin, wanted)
    rows = []
    for recipient in wanted:
        chain, latest = last.get(recipient, (Chain(), 0))
        if latest > sequence:
            rows += _reopen_chain(connection, origin, recipient, sequence, commitment)
        else:
            rows.append(_delivery(origin, recipient, sequence, chain.add(commitment)))
    connection.execute(_INSERT_DELIVERY, rows)


def _last_deliveries(
    connection: Connection, origin: str, recipients: tuple[str, ...]
) -> dict[str, tuple[Chain, int]]:
    """By recipient: the chain and the sequence it ends in; one statement for all of them."""
    names = {f"r{at}": one for at, one in enumerate(recipients)}
    rows = connection.execute(_last_of_each(len(recipients)), {"origin": origin, **names})
    return {row.recipient: (Chain(row.number, bytes(row.head)), row.sequence) for row in rows}


@functools.lru_cache(maxsize=64)
def _last_of_each(count: int) -> CompoundSelect[Any]:
    each = [
        select(deliveries.c.recipient, deliveries.c.number, deliveries.c.head, deliveries.c.sequence)
        .where(deliveries.c.origin == bindparam("origin"), deliveries.c.recipient == bindparam(f"r{at}"))
        .order_by(deliveries.c.number.desc())
        .limit(1)
        .subquery()
        for at in range(count)
    ]
    return union_all(*(select(one) for one in each))


def _reopen_chain(
    connection: Connection, origin: str, recipient: str, sequence: int, commitment: bytes
) -> list[dict[str, Any]]:
    """Take the deliveries after ``sequence`` out of a chain; the rows from ``sequence`` on, anew."""
    after = (*_of(origin, recipient), deliveries.c.sequence > sequence)
    same_entry = (deliveries.c.origin == log_entries.c.origin) & (
        deliveries.c.sequence == log_entries.c.sequence
    )
    later = connection.execute(
        select(deliveries.c.sequence, log_entries.c.commitment)
        .join(log_entries, same_entry)
        .where(*after)
        .order_by(deliveries.c.sequence)
    ).all()
    chain, rows = chain_at(connection, origin, recipient, sequence), []
    connection.execute(delete(deliveries).where(*after))
    for at, entry in [(sequence, commitment), *((row.sequence, bytes(row.commitment)) for row in later)]:
        chain = chain.add(entry)
        rows.append(_delivery(origin, recipient, at, chain))
    return rows


def _of(origin: str, recipient: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return deliveries.c.origin == origin, deliveries.c.recipient == recipient


def _delivery(origin: str, recipient: str, sequence: int, chain: Chain) -> dict[str, Any]:
    return {
        "origin": origin,
        "recipient": recipient,
        "number": chain.count,
        "sequence": sequence,
        "head": chain.head,
    }


def recipients_of(connection: Connection, origin: str, sequence: int) -> list[str]:
    """To whom an entry was, or is to be, delivered."""
    return list(
        connection.execute(
            select(deliveries.c.recipient)
            .where(deliveries.c.origin == origin, deliveries.c.sequence == sequence)
            .order_by(deliveries.c.recipient)
        ).scalars()
    )


def delivery_rows(connection: Connection, origin: str) -> Iterator[Row[Any]]:
    """Every delivery of ``origin``, recipient by recipient, in the order of its chain."""
    wanted = select(deliveries).where(deliveries.c.origin == origin)
    return iter(connection.execute(wanted.order_by(deliveries.c.recipient, deliveries.c.number)))


def due_rows(
    connection: Connection, origin: str, recipient: str, after: int, limit: int, lane: str | None
) -> Iterator[Row[Any]]:
    """Entries for ``recipient`` past a sequence, each with its place in the delivery chain."""
    place = {"origin": origin, "recipient": recipient, "after": after, "most": limit}
    if lane is None:
        return iter(connection.execute(_DUE, place))
    return iter(connection.execute(_DUE_IN_LANE, place | {"lane": lane}))


# --- checkpoints and evidence ----------------------------------------------------------------


def last_checkpoint(connection: Connection, origin: str) -> Row[Any] | None:
    return connection.execute(
        select(checkpoints).where(checkpoints.c.origin == origin).order_by(checkpoints.c.size.desc()).limit(1)
    ).first()


def find_checkpoint(connection: Connection, origin: str, size: int) -> Row[Any] | None:
    return connection.execute(
        select(checkpoints).where(checkpoints.c.origin == origin, checkpoints.c.size == size)
    ).first()


def checkpoints_of(connection: Connection, origin: str) -> list[Row[Any]]:
    """Every checkpoint kept of one log, shortest first."""
    wanted = select(checkpoints).where(checkpoints.c.origin == origin).order_by(checkpoints.c.size)
    return list(connection.execute(wanted))


def insert_checkpoint(
    connection: Connection,
    origin: str,
    size: int,
    root: bytes,
    note: bytes,
    peaks: bytes | None,
    seen: datetime,
) -> None:
    connection.execute(
        insert(checkpoints).values(origin=origin, size=size, root=root, note=note, peaks=peaks, seen=seen)
    )


def insert_evidence(
    connection: Connection,
    kind: str,
    origin: str,
    sequence: int,
    known: bytes,
    other: bytes,
    found: datetime,
) -> bool:
    """Keep a contradiction once; False when this very one is kept already."""
    same = (
        evidence.c.kind == kind,
        evidence.c.origin == origin,
        evidence.c.sequence == sequence,
        evidence.c.other == other,
    )
    if connection.execute(select(evidence.c.id).where(*same)).first():
        return False
    connection.execute(
        insert(evidence).values(
            kind=kind, origin=origin, sequence=sequence, known=known, other=other, found=found
        )
    )
    return True


def all_evidence(connection: Connection) -> list[Evidence]:
    """Every contradiction found, oldest first."""
    rows = connection.execute(select(evidence).order_by(evidence.c.id))
    return [
        Evidence(row.id, row.kind, row.origin, row.sequence, bytes(row.known), bytes(row.other), row.found)
        for row in rows
    ]
