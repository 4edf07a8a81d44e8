"""The tables of cases and every statement about them. Both are folded out of the log and can be rebuilt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    LargeBinary,
    Row,
    String,
    Table,
    Text,
    and_,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from istmo.model.markings import Tlp
from istmo.respond.entries import decode_body
from istmo.respond.objects import Author, Case, CaseEntry, CaseSummary
from istmo.store.columns import BigId, Instant, Json
from istmo.store.engine import metadata

cases = Table(
    "cases",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("title", String(200), nullable=False),
    Column("status", String(16), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("owner", String(256), nullable=False),
    Column("opener", String(64), nullable=False),
    Column("tlp", Integer, nullable=False),
    Column("members", Json, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("pending", Integer, nullable=False),
    Column("is_disputed", Boolean, nullable=False),
    Column("created", Instant, nullable=False),
    Column("updated", Instant, nullable=False),
    Column("opened_by", String(96), nullable=False),
    Index("ix_cases_updated_id", "updated", "id"),
    Index("ix_cases_status_updated", "status", "updated", "id"),
)

case_entries = Table(
    "case_entries",
    metadata,
    Column("case", String(64), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("node", String(64), nullable=False),
    Column("name", String(128), nullable=False),
    Column("created", Instant, nullable=False),
    Column("raw", LargeBinary, nullable=True),
    Column("text", Text, nullable=False),
    Column("follows", Json, nullable=False),
    Column("readers", Json, nullable=False),
    Column("tlp", Integer, nullable=False),
    Column("received", Instant, nullable=False),
    Column("written_by", String(96), nullable=False),
)

case_envelopes = Table(
    "case_envelopes",
    metadata,
    Column("origin", String(64), primary_key=True),
    Column("sequence", BigId, primary_key=True, autoincrement=False),
    Column("case", String(64), nullable=False),
    Column("entry", String(64), nullable=False),
    Index("ix_case_envelopes_case_entry", "case", "entry"),
)


@dataclass(frozen=True)
class Filter:
    """What a list of cases is narrowed to; empty fields do not narrow."""

    q: str = ""
    status: str = ""
    severity: str = ""
    opener: str = ""
    is_disputed: bool | None = None
    owner: str = ""
    """A member, or ``member/name``: a person there."""
    member: str = ""
    """Somebody with whom the case is shared."""
    since: datetime | None = None
    """Touched since then."""


def entries(connection: Connection, case: str) -> list[CaseEntry]:
    """Every entry of a case that is here, in no particular order."""
    rows = connection.execute(select(case_entries).where(case_entries.c.case == case))
    return [_entry(row) for row in rows]


def entry(connection: Connection, case: str, id: str) -> CaseEntry | None:
    row = connection.execute(
        select(case_entries).where(case_entries.c.case == case, case_entries.c.id == id)
    ).first()
    return _entry(row) if row else None


def count_entries(connection: Connection, case: str, node: str | None = None) -> int:
    asked = select(func.count()).select_from(case_entries).where(case_entries.c.case == case)
    if node is not None:
        asked = asked.where(case_entries.c.node == node)
    return connection.execute(asked).scalar_one()


def count_ahead(connection: Connection, node: str) -> int:
    """Entries of a member for cases that have no opening here."""
    return connection.execute(
        select(func.count())
        .select_from(case_entries.join(cases, cases.c.id == case_entries.c.case))
        .where(case_entries.c.node == node, cases.c.opener == "")
    ).scalar_one()


def written(connection: Connection, case: str, node: str) -> list[str]:
    """The entries of a case that a member wrote, in the order in which it wrote them."""
    mine = and_(case_envelopes.c.case == case, case_envelopes.c.origin == node)
    first = func.min(case_envelopes.c.sequence)
    asked = select(case_envelopes.c.entry).where(mine).group_by(case_envelopes.c.entry).order_by(first)
    return list(connection.execute(asked).scalars())


def put_author(connection: Connection, entry: CaseEntry, by: str) -> None:
    """Remember who of this node wrote an entry (``policy.told``)."""
    mine = and_(case_entries.c.case == entry.case, case_entries.c.id == entry.id)
    connection.execute(update(case_entries).where(mine).values(written_by=by))


def put_entry(connection: Connection, entry: CaseEntry, text: str, received: datetime) -> None:
    """Add an entry, or widen the one that is here by what this copy says."""
    mine = and_(case_entries.c.case == entry.case, case_entries.c.id == entry.id)
    values: dict[str, Any] = {
        "follows": sorted(entry.follows),
        "readers": sorted(entry.readers),
        "tlp": int(entry.tlp),
    }
    if connection.execute(update(case_entries).where(mine).values(**values)).rowcount:
        return
    connection.execute(
        insert(case_entries).values(
            case=entry.case,
            id=entry.id,
            kind=entry.kind,
            node=entry.author.node,
            name=entry.author.name,
            created=entry.created,
            raw=entry.raw,
            text=text,
            received=received,
            written_by="",
            **values,
        )
    )


def put_envelope(connection: Connection, origin: str, sequence: int, entry: CaseEntry) -> None:
    """Remember which envelope carried an entry; the same one again changes nothing."""
    mine = and_(case_envelopes.c.origin == origin, case_envelopes.c.sequence == sequence)
    if connection.execute(select(case_envelopes.c.entry).where(mine)).first() is None:
        connection.execute(
            insert(case_envelopes).values(origin=origin, sequence=sequence, case=entry.case, entry=entry.id)
        )


def forget_envelope(connection: Connection, origin: str, sequence: int) -> str | None:
    """An envelope was erased: forget the entry's words with the last one that carried it. The case's id."""
    mine = and_(case_envelopes.c.origin == origin, case_envelopes.c.sequence == sequence)
    row = connection.execute(select(case_envelopes).where(mine)).first()
    if row is None:
        return None
    connection.execute(delete(case_envelopes).where(mine))
    others = select(case_envelopes.c.sequence).where(
        case_envelopes.c.case == row.case, case_envelopes.c.entry == row.entry
    )
    if connection.execute(others).first() is None:
        connection.execute(
            update(case_entries)
            .where(case_entries.c.case == row.case, case_entries.c.id == row.entry)
            .values(raw=None, text="", name="", kind="erased")
        )
    found: str = row.case
    return found


def put_case(connection: Connection, case: Case, now: datetime, opened_by: str) -> None:
    """Write what a case has come to."""
    values = {
        "title": case.title,
        "status": case.status.value,
        "severity": case.severity.value,
        "owner": case.owner.value,
        "opener": case.opener,
        "tlp": int(case.tlp),
        "members": sorted(case.members),
        "entries": len(case.timeline),
        "pending": len(case.pending) + len(case.strangers),
        "is_disputed": case.is_disputed,
        "updated": now,
    }
    if opened_by:
        values["opened_by"] = opened_by
    if not connection.execute(update(cases).where(cases.c.id == case.id).values(**values)).rowcount:
        connection.execute(insert(cases).values(id=case.id, created=now, **{"opened_by": "", **values}))


def summary(connection: Connection, id: str) -> CaseSummary | None:
    row = connection.execute(select(cases).where(cases.c.id == id)).first()
    return _summary(row) if row else None


def summaries_of(connection: Connection, ids: Iterable[str]) -> list[CaseSummary]:
    """Those of these ids that there are, in no particular order."""
    return [_summary(row) for row in connection.execute(select(cases).where(cases.c.id.in_(list(ids))))]


@dataclass(frozen=True)
class Reads:
    """What somebody may read of entries: up to a marking (None: of nobody's), and what is their own."""

    limit: Tlp | None
    names: tuple[str, ...]


def summaries(
    connection: Connection, wanted: Filter, after: tuple[datetime, str] | None, limit: int, reads: Reads
) -> list[CaseSummary]:
    """Last touched first, past ``after``. Words are looked for in what the asker may read, nowhere else."""
    asked = select(cases).order_by(cases.c.updated.desc(), cases.c.id.desc()).limit(limit)
    if after:
        asked = asked.where(
            or_(cases.c.updated < after[0], and_(cases.c.updated == after[0], cases.c.id < after[1]))
        )
    return [_summary(row) for row in connection.execute(asked.where(*_conditions(wanted, reads)))]


def _conditions(wanted: Filter, reads: Reads) -> Iterable[ColumnElement[bool]]:
    for name in ("status", "severity", "opener"):
        if value := getattr(wanted, name):
            yield cases.c[name] == value
    if wanted.is_disputed is not None:
        yield cases.c.is_disputed.is_(wanted.is_disputed)
    if wanted.owner:
        yield or_(
            cases.c.owner == wanted.owner, cases.c.owner.startswith(f"{wanted.owner}/", autoescape=True)
        )
    if wanted.member:
        # Kept as JSON: an id stands between quotes.
        yield cast(cases.c.members, Text).contains(f'"{wanted.member}"', autoescape=True)
    if wanted.since is not None:
        yield cases.c.updated >= wanted.since
    readable: ColumnElement[bool] = case_entries.c.written_by.in_(reads.names)
    if reads.limit is not None:
        readable = or_(readable, case_entries.c.tlp <= int(reads.limit))
    for word in wanted.q.casefold().split()[:8]:
        with_word = select(case_entries.c.case).where(
            case_entries.c.text.contains(word, autoescape=True), readable
        )
        yield or_(cases.c.id == word, cases.c.id.in_(with_word))


def _entry(row: Row[Any]) -> CaseEntry:
    raw = b"" if row.raw is None else bytes(row.raw)
    return CaseEntry(
        id=row.id,
        case=row.case,
        body=decode_body(raw) if raw else None,
        raw=raw,
        author=Author(row.node, row.name),
        created=row.created,
        follows=frozenset(row.follows),
        readers=frozenset(row.readers),
        tlp=Tlp(row.tlp),
        by=row.written_by,
    )


def _summary(row: Row[Any]) -> CaseSummary:
    return CaseSummary(
        id=row.id,
        title=row.title,
        status=row.status,
        severity=row.severity,
        owner=row.owner,
        opener=row.opener,
        tlp=Tlp(row.tlp),
        members=frozenset(row.members),
        entries=row.entries,
        pending=row.pending,
        is_disputed=row.is_disputed,
        created=row.created,
        updated=row.updated,
        by=row.opened_by,
    )
