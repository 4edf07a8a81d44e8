"""One statement, read and judged before it runs: a SELECT over ``events``, of nothing that is not listed.

DuckDB's own parser reads it, so nothing is understood in one way here and in another there; and what runs is
what the parser writes out of the tree that was judged, not what came. Whatever a later release adds to the
language is refused until it is listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from istmo.detect.search.sql.functions import FUNCTIONS, TABLE_FUNCTIONS
from istmo.detect.search.sql.telling import told_of
from istmo.errors import InvalidInput, TooLarge

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LONGEST: Final = 16 << 10
"""Bytes of a statement."""
TABLE: Final = "events"

_EXPRESSIONS: Final = frozenset(
    (
        "BETWEEN",
        "CASE",
        "CAST",
        "COLLATE",
        "COLUMN_REF",
        "COMPARISON",
        "CONJUNCTION",
        "CONSTANT",
        "FUNCTION",
        "LAMBDA",
        "LAMBDA_REF",
        "OPERATOR",
        "POSITIONAL_REFERENCE",
        "STAR",
        "SUBQUERY",
        "TYPE",
        "WINDOW",
    )
)
_NODES: Final = frozenset(["SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"])
_TABLES: Final = frozenset(
    (
        "BASE_TABLE",
        "EMPTY",
        "EMPTY_FROM",
        "EXPRESSION_LIST",
        "JOIN",
        "SHOW_REF",
        "SUBQUERY",
        "TABLE_FUNCTION",
    )
)
_MODIFIERS: Final = frozenset(
    (
        "ORDER_MODIFIER",
        "LIMIT_MODIFIER",
        "LIMIT_PERCENT_MODIFIER",
        "DISTINCT_MODIFIER",
        "ORDER_DEFAULT",
        "ASCENDING",
        "DESCENDING",
    )
)
_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_OWN_NAME: Final = re.compile(r"(duckdb|pragma|sqlite|pg|information)_.*", re.IGNORECASE)
"""How what DuckDB tells of itself is called."""


@dataclass(frozen=True)
class Statement:
    """A statement that may run."""

    text: str
    """As the parser writes it."""
    names: frozenset[str]
    """What it calls columns, its own among them, in lower case."""
    is_all: bool
    """It asks for all columns that there are."""
    is_description: bool = False
    """It asks which columns there are, and for no event."""


def read_statement(connection: DuckDBPyConnection, text: str) -> Statement:
    """Judge a statement with the parser of ``connection``.

    Raises TooLarge("detect.sql_too_long"), InvalidInput: ``detect.sql_syntax``, ``detect.sql_not_one``,
    ``detect.sql_not_select``, ``detect.sql_too_deep``, ``detect.sql_table``, ``detect.sql_function``,
    ``detect.sql_construct``.
    """
    if len(text.encode("utf-8", "surrogatepass")) > LONGEST:
        raise TooLarge("detect.sql_too_long", limit=LONGEST)
    if "\x00" in text or (not text.isascii() and any("\ud800" <= one <= "\udfff" for one in text)):
        raise InvalidInput("detect.sql_syntax", detail="NUL")
    tree = _parse(connection, text)
    judge = _Judge()
    judge.look(tree)
    written = connection.execute("SELECT json_deserialize_sql(?::JSON)", [orjson.dumps(tree).decode()])
    (again,) = written.fetchone() or ("",)
    # Should the parser ever write something else than it read, what it wrote is what runs.
    judge.look(_parse(connection, str(again)))
    return Statement(str(again), frozenset(judge.names), judge.is_all, _is_description(tree))


def _parse(connection: DuckDBPyConnection, text: str) -> dict[str, Any]:
    (found,) = connection.execute("SELECT json_serialize_sql(?)", [text]).fetchone() or ("{}",)
    try:
        tree: dict[str, Any] = orjson.loads(found)
    except orjson.JSONDecodeError:
        raise InvalidInput("detect.sql_too_deep") from None
    if tree.get("error", True):
        if tree.get("error_type") == "parser":
            raise InvalidInput("detect.sql_syntax", detail=told_of(str(tree.get("error_message", ""))))
        raise InvalidInput("detect.sql_not_select")
    if len(tree.get("statements", ())) != 1:
        raise InvalidInput("detect.sql_not_one")
    return tree


def _is_description(tree: dict[str, Any]) -> bool:
    """Whether a statement is a DESCRIBE and nothing beside."""
    node = tree["statements"][0]["node"]
    table, chosen = node.get("from_table") or {}, node.get("select_list") or ()
    is_bare = [one.get("class") for one in chosen] == ["STAR"] and not any(
        node.get(part) for part in ("where_clause", "having", "qualify", "modifiers", "group_expressions")
    )
    return is_bare and table.get("type") == "SHOW_REF" and table.get("show_type") == "DESCRIBE"


@dataclass(frozen=True)
class _Place:
    """Where in the tree something stands."""

    known: frozenset[str] = frozenset()
    """Names of WITH that may be in sight, in lower case."""
    aliases: frozenset[str] = frozenset()
    """What the nearest SELECT calls the events in its FROM; empty where it does not read them itself."""
    is_function_of_table: bool = False


class _Judge:
    """Walks the tree with a list of what is still to be looked at: texts may nest deeper than Python may."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.is_all = False

    def look(self, tree: dict[str, Any]) -> None:
        """Raises InvalidInput at the first thing that is not allowed."""
        (statement,) = tree["statements"]
        if statement.get("named_param_map"):
            raise InvalidInput("detect.sql_construct", what="?")
        waiting: list[tuple[Any, _Place]] = [(statement["node"], _Place())]
        while waiting:
            here, place = waiting.pop()
            if isinstance(here, list):
                waiting += [(one, place) for one in here]
            elif isinstance(here, dict):
                place = self._judge(here, place)
                waiting += [(one, place) for one in here.values()]

    def _judge(self, here: dict[str, Any], place: _Place) -> _Place:
        kind = here.get("type")
        if "class" in here:
            self._expression(here, place)
            return _Place(place.known, place.aliases)
        if "query" in here and "materialized" in here:  # one of WITH: its own columns are its own matter
            return _Place(place.known)
        if isinstance(kind, str):
            if kind in _NODES:
                return self._node(here, place)
            if kind in _TABLES:
                return self._table(here, place)
            if kind not in _MODIFIERS:
                raise InvalidInput("detect.sql_construct", what=_words(kind))
        return place

    def _node(self, here: dict[str, Any], place: _Place) -> _Place:
        own = {str(one["key"]) for one in here.get("cte_map", {}).get("map", ())}
        for name in own | {str(here.get("cte_name") or here.get("ctename") or "x")}:
            # A name that could as well be a file's, or DuckDB's own, would be read as such out of sight.
            if not _PLAIN_NAME.fullmatch(name) or _OWN_NAME.fullmatch(name) or name.lower() == TABLE:
                raise InvalidInput("detect.sql_table", name=name[:80])
        known = place.known | {name.lower() for name in own}
        aliases = {
            str(one.get("alias") or TABLE).lower()
            for one in _read_in(here.get("from_table"))
            if str(one.get("table_name")).lower() == TABLE
        }
        return _Place(known, frozenset(aliases))

    def _table(self, here: dict[str, Any], place: _Place) -> _Place:
        kind = here["type"]
        if here.get("sample") or here.get("at_clause"):
            raise InvalidInput("detect.sql_construct", what="TABLESAMPLE" if here.get("sample") else "AT")
        if kind == "BASE_TABLE":
            name = str(here["table_name"])
            is_known = name.lower() == TABLE or name.lower() in place.known
            if not is_known or not _is_bare(here):
                raise InvalidInput("detect.sql_table", name=".".join(_path(here))[:80])
        elif kind == "SHOW_REF" and not here.get("query"):
            raise InvalidInput("detect.sql_construct", what="SHOW")
        elif kind == "JOIN":
            self._join(here, place)
        return _Place(place.known, place.aliases, is_function_of_table=kind == "TABLE_FUNCTION")

    def _join(self, here: dict[str, Any], place: _Place) -> None:
        self.names.update(str(one).lower() for one in here.get("using_columns") or ())
        if here.get("ref_type") == "NATURAL" and place.aliases:
            self.is_all = True

    def _expression(self, here: dict[str, Any], place: _Place) -> None:
        kind = str(here["class"])
        if kind not in _EXPRESSIONS:
            raise InvalidInput("detect.sql_construct", what=_words(kind))
        if kind == "STAR":
            self.is_all |= bool(place.aliases)
        elif kind == "COLUMN_REF":
            names = [str(one).lower() for one in here["column_names"]]
            self.names.update(names)
            self.is_all |= names[-1] in place.aliases  # the whole row, by the table's name
        elif kind == "TYPE" and not _is_bare(here):
            raise InvalidInput("detect.sql_construct", what=".".join(_path(here))[:80])
        if "function_name" in here:
            name = str(here["function_name"])
            known = TABLE_FUNCTIONS if place.is_function_of_table else FUNCTIONS
            if name.lower() not in known or not _is_bare(here):
                raise InvalidInput("detect.sql_function", name=name[:80])


def _read_in(table: Any) -> Iterator[dict[str, Any]]:
    """The tables that a FROM joins."""
    waiting = [table]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            if here.get("type") == "JOIN":
                waiting += [here.get("left"), here.get("right")]
            else:
                yield here


def _path(here: dict[str, Any]) -> list[str]:
    return [str(one) for one in here.get("qualified_name", {}).get("path", ())]


def _is_bare(here: dict[str, Any]) -> bool:
    """Whether a name is one word, of no schema and no catalogue."""
    return len(_path(here)) == 1 and not any(
        here.get(part) for part in ("schema", "catalog", "schema_name", "catalog_name")
    )


def _words(kind: str) -> str:
    return kind.replace("_", " ")[:80]
