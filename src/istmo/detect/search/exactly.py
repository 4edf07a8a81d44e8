"""Which queries a segment's columns answer by themselves, without reading an event.

Narrowing lets in too much rather than too little; here nothing may be wrong in either direction, so most
kinds of question are left to the events themselves.
"""

from __future__ import annotations

from istmo.detect.eventstore.columns import column_name
from istmo.detect.eventstore.frames import Index
from istmo.detect.search.query import NUMBER, And, FieldIs, FieldRange, Node, Not, Or, Query, Text, network_of

Exact = tuple[str, list[object]]
"""SQL over a segment's columns, and its values."""


def exact_condition(query: Query, index: Index) -> Exact | None:
    """SQL that holds for exactly the events that the query means; None where columns cannot say so."""
    if index.odd:
        return None
    values: list[object] = []
    condition = _exact(query.node, index, values)
    if condition is None:
        return None
    if query.start is not None:
        condition = f"({condition}) AND time >= ?"
        values.append(query.start)
    if query.end is not None:
        condition = f"({condition}) AND time < ?"
        values.append(query.end)
    return condition, values


def column_of(name: str, index: Index) -> str | None:
    """The column of a field, ``NULL`` where no event has it; None where columns do not have all of it."""
    name = name.lower()
    if name in ("host", "source"):
        return name
    if index.odd or name == "id" or any(other.lower() == name for other in index.others):
        return None
    columns = [field for field in index.columns if field.lower() == name]
    if not columns:
        return "NULL"
    if len(columns) > 1 or columns[0] in index.lists:
        return None
    return column_name(columns[0])


def _exact(node: Node, index: Index, values: list[object]) -> str | None:
    match node:
        case And(of=of) | Or(of=of):
            parts = []
            for one in of:
                part = _exact(one, index, values)
                if part is None:
                    return None
                parts.append(f"({part})")
            if isinstance(node, And):
                return " AND ".join(parts) or "true"
            return " OR ".join(parts) or "false"
        case Not(of=inner):
            part = _exact(inner, index, values)
            return None if part is None else f"NOT ({part})"
        case Text():
            return None
        case FieldIs() | FieldRange():
            column = column_of(node.name, index)
            if column is None:
                return None
            if column == "NULL":
                return "false"
            test = _is(column, node, values) if isinstance(node, FieldIs) else _within(column, node, values)
            return None if test is None else f"coalesce({test}, false)"


def _is(column: str, node: FieldIs, values: list[object]) -> str | None:
    if network_of(node) is not None or not node.value.isascii():
        return None
    # Python writes the dotted capital I in two characters, DuckDB in one.
    text = f"lower(replace({column}, '\u0130', 'i\u0307'))"
    value = node.value.lower()
    inner = value.strip("*")
    if not node.has_wildcards or not {"*", "?"} & set(value):
        values.append(value)
        return f"{text} = ?"
    if {"*", "?"} & set(inner):
        return None
    if not inner:
        return f"{column} IS NOT NULL"
    values.append(inner)
    if value[0] == value[-1] == "*":
        return f"contains({text}, ?)"
    return f"ends_with({text}, ?)" if value[0] == "*" else f"starts_with({text}, ?)"


def _within(column: str, node: FieldRange, values: list[object]) -> str | None:
    if node.is_time:
        return None
    tests = [f"regexp_full_match({column}, '{NUMBER}')"]
    for sign, bound, is_in in ((">", node.low, node.with_low), ("<", node.high, node.with_high)):
        if bound is not None:
            tests.append(f"try_cast({column} AS DOUBLE) {sign}{'=' if is_in else ''} ?")
            values.append(bound)
    return " AND ".join(tests)
