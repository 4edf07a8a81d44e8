"""Objects and their retractions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    Select,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from istmo.intel.objects import Detectable, Marks, Retraction, RetractionReason, State, StoredObject
from istmo.model.markings import Pap, Tlp
from istmo.model.patterns import Term
from istmo.store.columns import BigId, Instant, Json
from istmo.store.engine import metadata

_FOUND_BY = ("received", "row", "tlp", "owner", "origin", "seen", "retracted", "revoked", "valid_until")
"""What filters ask about: with it in an index, what does not match costs no look at the object itself."""

objects = Table(
    "intel_objects",
    metadata,
    Column("row", BigId, primary_key=True, autoincrement=True),
    Column("object", String(300), nullable=False),
    Column("type", String(250), nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Instant, nullable=False),
    Column("created", Instant, nullable=True),
    Column("modified", Instant, nullable=True),
    Column("origin", String(64), nullable=False),
    Column("sequence", BigId, nullable=False),
    Column("tlp", SmallInteger, nullable=False),
    Column("pap", SmallInteger, nullable=True),
    Column("audience", Json, nullable=False),
    Column("owner", String(100), nullable=False),
    Column("received", Instant, nullable=False),
    Column("valid_until", Instant, nullable=True),
    Column("revoked", Boolean, nullable=False),
    Column("current", Boolean, nullable=False),
    Column("retracted", Boolean, nullable=False),
    Column("detectable", Boolean, nullable=False),
    Column("terms", Json, nullable=False),
    Column("plan", Text, nullable=True),
    Column("not_detected", String(64), nullable=True),
    Column("confidence", SmallInteger, nullable=True),
    Column("types", Json, nullable=True),
    Column("definition", Json, nullable=True),
    Column("sorting", String(80), nullable=False),
    Column("seen", Boolean, nullable=False),
    Column("size", Integer, nullable=False),
    Column("content", String(64), nullable=False),
    UniqueConstraint("origin", "sequence"),
    Index("ix_intel_objects_object_origin", "object", "origin"),
    Index("ix_intel_objects_detectable_current", "detectable", "current"),
    Index("ix_intel_objects_received", "received"),
    Index("ix_intel_objects_found", "current", *_FOUND_BY, "type"),
    Index("ix_intel_objects_type_found", "type", "current", *_FOUND_BY),
    Index("ix_intel_objects_origin_received", "origin", "current", "received", "row", "tlp", "owner", "type"),
    Index("ix_intel_objects_seen_received", "seen", "current", "received", "row"),
    Index("ix_intel_objects_retracted_received", "retracted", "received", "row"),
    Index("ix_intel_objects_current_sorting", "current", "sorting", "row"),
)

texts = Table(
    "intel_texts",
    metadata,
    Column("row", BigId, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
)
"""What words are looked for in, by the row of the object: apart, since all of it is read for a rare word."""

retractions = Table(
    "intel_retractions",
    metadata,
    Column("origin", String(64), primary_key=True),
    Column("sequence", BigId, primary_key=True, autoincrement=False),
    Column("object", String(300), nullable=False),
    Column("reason", String(20), nullable=False),
    Column("note", Text, nullable=False),
    Column("by_sequence", BigId, nullable=False),
    Column("received", Instant, nullable=False),
    Index("ix_intel_retractions_object", "object"),
)

_CHUNK = 500


def joined() -> Any:
    """Objects, each with its retraction where there is one."""
    return objects.outerjoin(
        retractions,
        and_(retractions.c.origin == objects.c.origin, retractions.c.sequence == objects.c.sequence),
    )


COLUMNS = (
    *(column for column in objects.c if column.name not in ("definition", "sorting", "seen")),
    retractions.c.object.label("retracted_object"),
    retractions.c.reason,
    retractions.c.note,
    retractions.c.by_sequence,
    retractions.c.received.label("retraction_received"),
)


_TO_WATCH = (
    objects.c.object,
    objects.c.terms,
    objects.c.plan,
    objects.c.valid_until,
    objects.c.tlp,
    objects.c.origin,
    objects.c.sequence,
    objects.c.name,
    objects.c.audience,
    objects.c.owner,
    objects.c.confidence,
    objects.c.types,
)


def stored(row: Any) -> StoredObject:
    """The object of a row of ``COLUMNS``."""
    retraction = None
    if row.retracted and row.reason is not None:
        retraction = Retraction(
            row.origin,
            row.sequence,
            row.object,
            RetractionReason(row.reason),
            row.note,
            row.by_sequence,
            row.retraction_received,
        )
    return StoredObject(
        row=row.row,
        id=row.object,
        type=row.type,
        name=row.name,
        version=row.version,
        created=row.created,
        modified=row.modified,
        origin=row.origin,
        sequence=row.sequence,
        tlp=Tlp(row.tlp),
        pap=None if row.pap is None else Pap(row.pap),
        audience=tuple(row.audience),
        owner=row.owner,
        received=row.received,
        valid_until=row.valid_until,
        is_revoked=row.revoked,
        is_current=row.current,
        terms=tuple(Term(kind, value) for kind, value in row.terms),
        plan=row.plan,
        not_detected=row.not_detected,
        size=row.size,
        content=row.content,
        retraction=retraction,
    )


_SAME = select(objects.c.version, objects.c.sequence).where(
    objects.c.object == bindparam("object"), objects.c.origin == bindparam("origin")
)
_SUPERSEDE = (
    update(objects)
    .where(
        objects.c.object == bindparam("of_object"),
        objects.c.origin == bindparam("of_origin"),
        objects.c.current,
    )
    .values(current=False)
)
_INSERT = insert(objects)
_INSERT_TEXT = insert(texts)
_SEEN = update(objects).where(objects.c.object == bindparam("of_object")).values(seen=True)
_SET_OWNER = update(objects).where(
    objects.c.origin == bindparam("of_origin"), objects.c.sequence == bindparam("of_sequence")
)


def insert_object(connection: Connection, values: Mapping[str, Any], text: str) -> bool:
    """Add one version of an object and settle which is current; False when the entry is known already.

    ``text`` is what words are looked for in.
    """
    known = [
        (row.version, row.sequence)
        for row in connection.execute(_SAME, {"object": values["object"], "origin": values["origin"]})
    ]
    if any(sequence == values["sequence"] for _, sequence in known):
        return False
    is_current = all(one < (values["version"], values["sequence"]) for one in known)
    if is_current and known:
        connection.execute(_SUPERSEDE, {"of_object": values["object"], "of_origin": values["origin"]})
    made = connection.execute(_INSERT, {**values, "current": is_current})
    [row] = made.inserted_primary_key or [None]
    connection.execute(_INSERT_TEXT, {"row": row, "text": text})
    return True


def set_seen(connection: Connection, object: str) -> None:
    """This node's own detection saw an object, whichever version of it."""
    connection.execute(_SEEN, {"of_object": object})


def set_owner(connection: Connection, origin: str, sequence: int, owner: str) -> None:
    """Remember who in this node wrote an entry."""
    connection.execute(_SET_OWNER, {"of_origin": origin, "of_sequence": sequence, "owner": owner})


def delete_object(connection: Connection, origin: str, sequence: int) -> str | None:
    """Forget what was folded out of an erased entry; the object's id, if there was any."""
    where = and_(objects.c.origin == origin, objects.c.sequence == sequence)
    row = connection.execute(select(objects.c.row, objects.c.object, objects.c.current).where(where)).first()
    if row is None:
        return None
    connection.execute(delete(texts).where(texts.c.row == row.row))
    connection.execute(delete(objects).where(where))
    if row.current:
        same = and_(objects.c.object == row.object, objects.c.origin == origin)
        last = connection.execute(
            select(objects.c.row)
            .where(same)
            .order_by(objects.c.version.desc(), objects.c.sequence.desc())
            .limit(1)
        ).scalar()
        connection.execute(update(objects).where(objects.c.row == last).values(current=True))
    return str(row.object)


_VERSIONS = (
    select(*COLUMNS)
    .select_from(joined())
    .where(objects.c.object.in_(bindparam("ids", expanding=True)))
    .order_by(objects.c.row)
)


def versions(connection: Connection, ids: Iterable[str]) -> dict[str, list[StoredObject]]:
    """Every version from every origin of these ids, in the order of arrival."""
    found: dict[str, list[StoredObject]] = {}
    for some in chunks(ids):
        for row in connection.execute(_VERSIONS, {"ids": some}):
            found.setdefault(row.object, []).append(stored(row))
    return found


_MARKS = select(objects.c.origin, objects.c.audience, objects.c.tlp, objects.c.owner).where(
    objects.c.object == bindparam("object")
)


def marks(connection: Connection, object: str) -> list[Marks]:
    """Of every version from every origin: who may read it."""
    rows = connection.execute(_MARKS, {"object": object})
    return [Marks(row.origin, tuple(row.audience), Tlp(row.tlp), row.owner) for row in rows]


def entry_object(connection: Connection, origin: str, sequence: int) -> StoredObject | None:
    """The object that an entry holds."""
    row = connection.execute(
        select(*COLUMNS)
        .select_from(joined())
        .where(objects.c.origin == origin, objects.c.sequence == sequence)
    ).first()
    return stored(row) if row else None


def definitions(connection: Connection, ids: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Marking definitions by id, as parsed JSON. Where two origins differ, none is believed."""
    found: dict[str, Mapping[str, Any]] = {}
    doubtful: set[str] = set()
    for some in chunks(ids):
        rows = connection.execute(
            select(objects.c.object, objects.c.definition).where(
                objects.c.object.in_(some), objects.c.current, objects.c.definition.is_not(None)
            )
        )
        for row in rows:
            if found.setdefault(row.object, row.definition) != row.definition:
                doubtful.add(row.object)
    return {id: one for id, one in found.items() if id not in doubtful}


def detectable(
    connection: Connection, now: datetime, ids: Sequence[str] | None = None
) -> Iterator[tuple[Detectable, int]]:
    """Live indicators with terms, each with the row at which its origin first sent that id."""
    for some in [None] if ids is None else chunks(ids):
        query, values = (_DETECTABLE, {}) if some is None else (_DETECTABLE_AMONG, {"ids": some})
        for row in connection.execute(query, {"now": now, **values}):
            yield _to_watch(row), row.first


def _to_watch(row: Any) -> Detectable:
    return Detectable(
        id=row.object,
        terms=tuple(Term(kind, value) for kind, value in row.terms),
        plan=row.plan,
        valid_until=row.valid_until,
        tlp=Tlp(row.tlp),
        origin=row.origin,
        sequence=row.sequence,
        name=row.name,
        audience=tuple(row.audience),
        owner=row.owner,
        confidence=row.confidence,
        types=tuple(row.types or ()),
    )


def plainly(column: Column[Any]) -> ColumnElement[Any]:
    """A column as no index knows it: without statistics SQLite takes any index for a narrow one, even one
    that says of nearly every object what is asked (that it is not retracted, say).
    """
    return func.coalesce(column, column)


def _detectable(*narrowed: ColumnElement[bool]) -> Select[Any]:
    first = (
        select(objects.c.object, objects.c.origin, func.min(objects.c.row).label("first"))
        .where(plainly(objects.c.type) == "indicator", plainly(objects.c.retracted).is_(False), *narrowed)
        .group_by(objects.c.object, objects.c.origin)
        .subquery()
    )
    same = and_(first.c.object == objects.c.object, first.c.origin == objects.c.origin)
    return (
        select(*_TO_WATCH, first.c.first)
        .select_from(objects.join(first, same))
        .where(
            plainly(objects.c.detectable) if narrowed else objects.c.detectable,
            plainly(objects.c.current) if narrowed else objects.c.current,
            plainly(objects.c.retracted).is_(False),
            plainly(objects.c.revoked).is_(False),
            or_(objects.c.valid_until.is_(None), objects.c.valid_until > bindparam("now", type_=Instant)),
            *narrowed,
        )
        .order_by(objects.c.row)
    )


# Built once: this statement stands on the path of every indicator, and building it costs more than it.
_DETECTABLE = _detectable()
_DETECTABLE_AMONG = _detectable(objects.c.object.in_(bindparam("ids", expanding=True)))


def state_filter(state: State, now: datetime) -> ColumnElement[bool]:
    """The condition of one state: mirrors ``StoredObject.state``."""
    kept = plainly(objects.c.retracted).is_(False)
    if state is State.RETRACTED:
        return objects.c.retracted
    if state is State.SUPERSEDED:
        return and_(kept, objects.c.current.is_(False))
    if state is State.REVOKED:
        return and_(kept, objects.c.current, plainly(objects.c.revoked))
    over = and_(objects.c.valid_until.is_not(None), objects.c.valid_until <= now)
    alive = and_(kept, objects.c.current, plainly(objects.c.revoked).is_(False))
    return and_(alive, over) if state is State.EXPIRED else and_(alive, ~over)


def insert_retraction(connection: Connection, retraction: Retraction) -> bool:
    """Keep a retraction, and mark the object if it is here; False when the entry was retracted before."""
    where = and_(retractions.c.origin == retraction.origin, retractions.c.sequence == retraction.sequence)
    if connection.execute(select(retractions.c.object).where(where)).first():
        return False
    connection.execute(
        insert(retractions).values(
            origin=retraction.origin,
            sequence=retraction.sequence,
            object=retraction.object,
            reason=str(retraction.reason),
            note=retraction.note,
            by_sequence=retraction.by_sequence,
            received=retraction.received,
        )
    )
    connection.execute(
        update(objects)
        .where(
            objects.c.origin == retraction.origin,
            objects.c.sequence == retraction.sequence,
            objects.c.object == retraction.object,
        )
        .values(retracted=True)
    )
    return True


def forget_note(connection: Connection, origin: str, by_sequence: int) -> None:
    """Empty the note of a retraction whose own entry was erased; nothing when there is none."""
    where = and_(retractions.c.origin == origin, retractions.c.by_sequence == by_sequence)
    connection.execute(update(retractions).where(where).values(note=""))


def find_retraction(connection: Connection, origin: str, sequence: int) -> str | None:
    """The object that a retraction of this entry names, if there is one."""
    return connection.execute(
        select(retractions.c.object).where(retractions.c.origin == origin, retractions.c.sequence == sequence)
    ).scalar()


def counts(connection: Connection, reads: Tlp, owners: Sequence[str], now: datetime) -> dict[str, int]:
    """How many current objects there are of each type, among those that one may read."""
    rows = connection.execute(
        select(objects.c.type, func.count())
        .where(state_filter(State.LIVE, now), or_(objects.c.tlp <= int(reads), objects.c.owner.in_(owners)))
        .group_by(objects.c.type)
    )
    return {row[0]: row[1] for row in rows}


def received_since(
    connection: Connection,
    instant: datetime,
    reads: Tlp,
    owners: Sequence[str],
    without: Iterable[str],
    most: int,
) -> int:
    """How many that one may read arrived since then, but for some types, counted up to ``most``."""
    some = (
        select(objects.c.row)
        .where(
            objects.c.received > instant,
            objects.c.current,
            or_(objects.c.tlp <= int(reads), objects.c.owner.in_(owners)),
            objects.c.type.not_in(sorted(without)),
        )
        .limit(most)
        .subquery()
    )
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    waiting = list(dict.fromkeys(ids))
    for start in range(0, len(waiting), _CHUNK):
        yield waiting[start : start + _CHUNK]


def digest(raw: bytes) -> str:
    """SHA-256, hexadecimal: how two versions are compared to the letter."""
    return hashlib.sha256(raw).hexdigest()
