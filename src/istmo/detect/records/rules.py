"""Sigma rules as they were imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Index,
    String,
    Table,
    Text,
    func,
    insert,
    or_,
    select,
    update,
)

from istmo.detect.objects import Rule
from istmo.store.columns import BigId, Instant, Json
from istmo.store.engine import metadata

rules = Table(
    "rules",
    metadata,
    Column("row", BigId, primary_key=True, autoincrement=True),
    Column("id", String(128), nullable=False, unique=True),
    Column("title", Text, nullable=False),
    Column("level", String(16), nullable=False),
    Column("status", String(32), nullable=False),
    Column("description", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("logsource", Text, nullable=False),
    Column("tags", Json, nullable=False),
    Column("text", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("problem", String(64), nullable=True),
    Column("problem_params", Json, nullable=True),
    Column("file", Text, nullable=False),
    Column("imported", Instant, nullable=False),
    Column("updated", Instant, nullable=False),
    Column("changed_by", String(96), nullable=False),
    Index("ix_rules_title_row", "title", "row"),
)

_MANY = 500
_SHORTEST_ID = 8
"""Characters of a word that may be meant as part of an id; nearly every digit occurs in every id."""


def digests(connection: Connection) -> dict[str, str]:
    """The digest of each rule's text, by rule id."""
    return {row.id: row.digest for row in connection.execute(select(rules.c.id, rules.c.digest))}


def add_rules(connection: Connection, found: Sequence[Mapping[str, Any]]) -> None:
    """Keep new rules, enabled."""
    for start in range(0, len(found), _MANY):
        some = [{**one, "enabled": True} for one in found[start : start + _MANY]]
        connection.execute(insert(rules), some)


def change_rule(connection: Connection, id: str, values: Mapping[str, Any]) -> None:
    """A rule's new text; whether it is enabled stays as it was, what was wrong with it is forgotten."""
    connection.execute(
        update(rules)
        .where(rules.c.id == id)
        .values(**{name: value for name, value in values.items() if name not in ("id", "imported")})
        .values(problem=None, problem_params=None)
    )


def set_enabled(connection: Connection, id: str, is_enabled: bool, by: str, now: datetime) -> None:
    """Switch a rule on or off."""
    connection.execute(
        update(rules).where(rules.c.id == id).values(enabled=is_enabled, changed_by=by, updated=now)
    )


def set_problems(connection: Connection, found: Mapping[str, tuple[str, Mapping[str, Any]]]) -> None:
    """What the worker could not use."""
    for id, (code, params) in found.items():
        connection.execute(
            update(rules).where(rules.c.id == id).values(problem=code[:64], problem_params=dict(params))
        )


def enabled_rules(connection: Connection) -> Iterator[tuple[str, str]]:
    """Id and text of every rule that is switched on."""
    rows = connection.execute(
        select(rules.c.id, rules.c.text).where(rules.c.enabled.is_(True)).order_by(rules.c.row)
    )
    for row in rows:
        yield row.id, row.text


def enabled_among(connection: Connection, ids: Iterable[str]) -> list[tuple[str, str]]:
    """Id and text of those of ``ids`` that are switched on."""
    wanted, found = list(ids), []
    for start in range(0, len(wanted), _MANY):
        rows = connection.execute(
            select(rules.c.id, rules.c.text).where(
                rules.c.id.in_(wanted[start : start + _MANY]), rules.c.enabled.is_(True)
            )
        )
        found += [(row.id, row.text) for row in rows]
    return found


def find_rules(connection: Connection, ids: Iterable[str]) -> dict[str, Rule]:
    """Rules by id."""
    wanted, found = list(ids), {}
    for start in range(0, len(wanted), _MANY):
        rows = connection.execute(select(rules).where(rules.c.id.in_(wanted[start : start + _MANY])))
        found.update({row.id: _rule(row) for row in rows})
    return found


def list_rules(
    connection: Connection,
    *,
    words: Iterable[str],
    level: str,
    is_enabled: bool | None,
    after: tuple[str, int] | None,
    limit: int,
) -> tuple[list[Rule], int]:
    """Rules by title after a place in that order, and how many there are in all."""
    where: list[ColumnElement[bool]] = []
    for word in words:
        like = f"%{_escaped(word)}%"
        found_in: list[ColumnElement[str]] = [func.lower(rules.c.title), func.lower(rules.c.logsource)]
        if len(word) >= _SHORTEST_ID:
            found_in.append(rules.c.id)
        where.append(or_(*(column.like(like, escape="\\") for column in found_in)))
    if level:
        where.append(rules.c.level == level)
    if is_enabled is not None:
        where.append(rules.c.enabled.is_(is_enabled))
    total = connection.execute(select(func.count()).select_from(rules).where(*where)).scalar_one()
    if after is not None:
        title, row = after
        where.append(or_(rules.c.title > title, (rules.c.title == title) & (rules.c.row > row)))
    found = connection.execute(select(rules).where(*where).order_by(rules.c.title, rules.c.row).limit(limit))
    return [_rule(one) for one in found], total


def count_rules(connection: Connection) -> tuple[int, int]:
    """How many there are, and how many of them are switched on."""
    all_of_them = connection.execute(select(func.count()).select_from(rules)).scalar_one()
    enabled = connection.execute(
        select(func.count()).select_from(rules).where(rules.c.enabled.is_(True))
    ).scalar_one()
    return all_of_them, enabled


def _escaped(word: str) -> str:
    return word.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _rule(row: Any) -> Rule:
    return Rule(
        row=row.row,
        id=row.id,
        title=row.title,
        level=row.level,
        status=row.status,
        description=row.description,
        author=row.author,
        logsource=row.logsource,
        tags=tuple(row.tags),
        text=row.text,
        digest=row.digest,
        is_enabled=row.enabled,
        problem=None if row.problem is None else (row.problem, row.problem_params or {}),
        file=row.file,
        imported=row.imported,
        updated=row.updated,
        changed_by=row.changed_by,
    )
