"""Sigma rules as they were imported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    FromClause,
    Index,
    String,
    Table,
    Text,
    cast,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from istmo.detect.objects import CORRELATION, FILTER, RULE, SLOW_NANOS, Rule, RuleCost
from istmo.detect.objects_rule import RuleFilter, RuleOrder
from istmo.detect.records.alerts import alerts
from istmo.detect.records.rule_hits import counted
from istmo.detect.wire import SIGMA, WireRule
from istmo.detect.wire import RuleCost as WireCost
from istmo.model.markings import Tlp
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
    Column("kind", String(16), nullable=False, server_default=RULE),
    Column("name", Text, nullable=False, server_default=""),
    Column("refers", Json, nullable=False, server_default="[]"),
    Column("lists", Json, nullable=False, server_default="[]"),
    Column("cost_nanos", BigId, nullable=True),
    Column("cost_asked", BigId, nullable=True),
    Column("cost_share", BigId, nullable=True),
    Column("cost_measured", Instant, nullable=True),
    Index("ix_rules_title_row", "title", "row"),
)

_MANY = 500
_SHORTEST_ID = 8
"""Characters of a word that may be meant as part of an id; nearly every digit occurs in every id."""


def digests(connection: Connection) -> dict[str, tuple[str, str]]:
    """The digest of each rule's text, and the name that it is referred to by, by rule id."""
    rows = connection.execute(select(rules.c.id, rules.c.digest, rules.c.name))
    return {row.id: (row.digest, row.name) for row in rows}


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
        .values(problem=None, problem_params=None, cost_nanos=None)
    )


def set_enabled(connection: Connection, id: str, is_enabled: bool, by: str, now: datetime) -> None:
    """Switch a rule on or off."""
    connection.execute(
        update(rules).where(rules.c.id == id).values(enabled=is_enabled, changed_by=by, updated=now)
    )


def set_problems(connection: Connection, found: Mapping[str, tuple[str, Mapping[str, Any]]]) -> None:
    """What the worker cannot use now; what it could not use before and is not among them, it can."""
    rows = connection.execute(
        select(rules.c.id, rules.c.problem, rules.c.problem_params).where(rules.c.problem.is_not(None))
    )
    known = {row.id: (row.problem, row.problem_params) for row in rows}
    told: dict[str, tuple[str | None, dict[str, Any] | None]] = dict.fromkeys(known, (None, None))
    told |= {id: (code[:64], dict(params)) for id, (code, params) in found.items()}
    for id, (code, params) in told.items():
        if known.get(id, (None, None)) != (code, params):
            values = {"problem": code, "problem_params": params}
            connection.execute(update(rules).where(rules.c.id == id).values(**values))


def set_costs(connection: Connection, costs: Iterable[WireCost], now: datetime) -> None:
    """What rules cost as of now; those that are not among them cost next to nothing."""
    none = {"cost_nanos": None, "cost_asked": None, "cost_share": None, "cost_measured": None}
    connection.execute(update(rules).where(rules.c.cost_nanos.is_not(None)).values(**none))
    for one in costs:
        values = {
            "cost_nanos": one.nanos,
            "cost_asked": one.asked,
            "cost_share": one.share,
            "cost_measured": now,
        }
        connection.execute(update(rules).where(rules.c.id == one.subject).values(**values))


_IN_FORCE = select(rules.c.id, rules.c.text, rules.c.enabled).where(
    rules.c.enabled.is_(True) | (rules.c.kind == CORRELATION)
)
"""A correlation that is switched off is told all the same: its parts stay silent."""


def rules_in_force(connection: Connection) -> Iterator[WireRule]:
    """Every rule, correlation and filter that the worker is to know."""
    for row in connection.execute(_IN_FORCE.order_by(rules.c.row)):
        yield WireRule(row.id, row.text, row.enabled)


def rules_in_force_among(connection: Connection, ids: Iterable[str]) -> list[WireRule]:
    """Those of ``ids`` that the worker is to know."""
    wanted, found = list(ids), []
    for start in range(0, len(wanted), _MANY):
        rows = connection.execute(_IN_FORCE.where(rules.c.id.in_(wanted[start : start + _MANY])))
        found += [WireRule(row.id, row.text, row.enabled) for row in rows]
    return found


def referred(connection: Connection) -> dict[str, bool]:
    """Every id and name that a correlation or a filter can refer to, and whether it is switched on."""
    rows = connection.execute(select(rules.c.id, rules.c.name, rules.c.enabled).where(rules.c.kind != FILTER))
    found: dict[str, bool] = {}
    for row in rows:
        for called in (row.id, row.name):
            if called:
                found[called] = found.get(called, False) or row.enabled
    return found


def correlations_of(connection: Connection, id: str) -> list[tuple[str, str]]:
    """Id and title of each correlation that refers to a rule, by its id or its name."""
    name = connection.execute(select(rules.c.name).where(rules.c.id == id)).scalar()
    called = {id, id.lower(), name} - {None, ""}
    rows = connection.execute(
        select(rules.c.id, rules.c.title, rules.c.refers)
        .where(rules.c.kind == CORRELATION)
        .order_by(rules.c.title, rules.c.row)
    )
    return [(row.id, row.title) for row in rows if any({one, one.lower()} & called for one in row.refers)]


def find_rules(connection: Connection, ids: Iterable[str]) -> dict[str, Rule]:
    """Rules by id."""
    wanted, found = list(ids), {}
    for start in range(0, len(wanted), _MANY):
        rows = connection.execute(select(rules).where(rules.c.id.in_(wanted[start : start + _MANY])))
        found.update({row.id: _rule(row) for row in rows})
    return found


def list_rules(
    connection: Connection,
    wanted: RuleFilter,
    *,
    order: RuleOrder = RuleOrder.TITLE,
    since: datetime | None = None,
    reads: Tlp | None = None,
    after: str | None = None,
    limit: int,
) -> tuple[list[Rule], int]:
    """Rules in an order after one of them (its id), and how many there are in all.

    ``since``: from when on hits count, where they order. ``reads``: how far the asker reads alerts; for who
    reads none, no rule has hits.
    """
    where = _conditions(wanted, reads)
    total = connection.execute(select(func.count()).select_from(rules).where(*where)).scalar_one()
    room, key = _ordered(order, since, reads)
    is_upwards = order is RuleOrder.TITLE
    if after is not None:
        place = select(key.label("key"), rules.c.row).select_from(room).where(rules.c.id == after)
        before = connection.execute(place).one()
        further = key > before.key if is_upwards else key < before.key
        where.append(or_(further, (key == before.key) & (rules.c.row > before.row)))
    asked = select(rules).select_from(room).where(*where)
    found = connection.execute(asked.order_by(key if is_upwards else key.desc(), rules.c.row).limit(limit))
    return [_rule(one) for one in found], total


def _ordered(
    order: RuleOrder, since: datetime | None, reads: Tlp | None
) -> tuple[FromClause, ColumnElement[Any]]:
    """What rules are looked up in, and by what they are ordered."""
    if order is RuleOrder.HITS and since is not None:
        counts = counted(since, reads=reads).subquery()
        room = rules.outerjoin(counts, counts.c.subject == rules.c.id)
        return room, func.coalesce(counts.c.number, 0)
    if order is RuleOrder.COST:
        return rules, func.coalesce(rules.c.cost_nanos, 0)
    return rules, rules.c.updated if order is RuleOrder.UPDATED else rules.c.title


def _conditions(wanted: RuleFilter, reads: Tlp | None) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    for word in wanted.words:
        like = f"%{_escaped(word)}%"
        found_in: list[ColumnElement[str]] = [
            func.lower(rules.c.title),
            func.lower(rules.c.name),
            func.lower(rules.c.logsource),
        ]
        if len(word) >= _SHORTEST_ID:
            found_in.append(rules.c.id)
        where.append(or_(*(column.like(like, escape="\\") for column in found_in)))
    if wanted.level:
        where.append(rules.c.level == wanted.level)
    if wanted.kind:
        where.append(rules.c.kind == wanted.kind)
    if wanted.is_enabled is not None:
        where.append(rules.c.enabled.is_(wanted.is_enabled))
    if wanted.is_slow:
        where += [rules.c.cost_nanos >= SLOW_NANOS, rules.c.enabled.is_(True)]
    if wanted.part:
        whole = literal(", ") + func.lower(rules.c.logsource) + literal(", ")
        where.append(whole.like(f"%, {_escaped(wanted.part)}, %", escape="\\"))
    if wanted.tag:
        # Kept as JSON: a tag stands between quotes, so that ``attack.t1059`` is not ``attack.t1059.001``.
        tags = func.lower(cast(rules.c.tags, Text))
        where.append(tags.like(f'%"{_escaped(wanted.tag)}"%', escape="\\"))
    if wanted.author:
        like = f"%{_escaped(wanted.author)}%"
        where.append(func.lower(rules.c.author).like(like, escape="\\"))
    if wanted.has_hits is not None and wanted.since is not None:
        seen = exists().where(
            alerts.c.detector == SIGMA,
            alerts.c.subject == rules.c.id,
            alerts.c.last_seen >= wanted.since,
            alerts.c.tlp <= (-1 if reads is None else int(reads)),
        )
        where.append(seen if wanted.has_hits else ~seen)
    return where


def logsource_parts(connection: Connection) -> list[str]:
    """Every product, category and service that a rule names, by name."""
    rows = connection.execute(select(rules.c.logsource).distinct()).scalars()
    return sorted({part.lower() for text in rows for part in text.split(", ") if part})


def lists_asked(connection: Connection) -> dict[str, int]:
    """Each value list that rules in force ask for, and how many do."""
    rows = connection.execute(
        select(rules.c.lists).where(cast(rules.c.lists, Text) != "[]", rules.c.enabled.is_(True))
    ).scalars()
    return dict(Counter(name for names in rows for name in names))


def switch_rules(
    connection: Connection, wanted: RuleFilter, is_enabled: bool, by: str, now: datetime, reads: Tlp | None
) -> list[str]:
    """Switch on or off all that a filter finds and that are not so already; their ids."""
    where = [*_conditions(wanted, reads), rules.c.enabled.is_(not is_enabled)]
    return _switch(connection, where, is_enabled, by, now)


def switch_back(connection: Connection, at: datetime, was: bool, by: str, now: datetime) -> list[str]:
    """Take back what one change switched at a moment; what was changed since then stays. The ids."""
    where = [rules.c.updated == at, rules.c.changed_by == by, rules.c.enabled.is_(was)]
    return _switch(connection, where, not was, by, now)


def count_switched(connection: Connection, wanted: RuleFilter, is_enabled: bool, reads: Tlp | None) -> int:
    """How many ``switch_rules`` would switch."""
    where = [*_conditions(wanted, reads), rules.c.enabled.is_(not is_enabled)]
    return connection.execute(select(func.count()).select_from(rules).where(*where)).scalar_one()


def _switch(
    connection: Connection, where: list[ColumnElement[bool]], is_enabled: bool, by: str, now: datetime
) -> list[str]:
    ids = list(connection.execute(select(rules.c.id).where(*where).order_by(rules.c.row)).scalars())
    for start in range(0, len(ids), _MANY):
        connection.execute(
            update(rules)
            .where(rules.c.id.in_(ids[start : start + _MANY]))
            .values(enabled=is_enabled, changed_by=by, updated=now)
        )
    return ids


def filters_of(connection: Connection, rule: Rule) -> list[Rule]:
    """The filters that name a rule, by its id or its name, in the order in which they came."""
    name = connection.execute(select(rules.c.name).where(rules.c.id == rule.id)).scalar()
    called = {rule.id, rule.id.lower(), name} - {None, ""}
    rows = connection.execute(select(rules).where(rules.c.kind == FILTER).order_by(rules.c.row))
    return [_rule(row) for row in rows if any({one, one.lower()} & called for one in row.refers)]


def find_called(connection: Connection, names: Iterable[str]) -> list[str]:
    """Ids of the rules that are called so, by id or by name."""
    wanted = {form for one in names for form in (one, one.lower())}
    rows = connection.execute(
        select(rules.c.id).where(or_(rules.c.id.in_(wanted), rules.c.name.in_(wanted))).order_by(rules.c.row)
    )
    return list(rows.scalars())


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
        kind=row.kind,
        refers=tuple(row.refers),
        lists=tuple(row.lists),
        cost=None
        if row.cost_nanos is None
        else RuleCost(row.cost_nanos, row.cost_asked, row.cost_share, row.cost_measured),
    )
