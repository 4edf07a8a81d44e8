"""Patterns and series of events, made by choice after choice: of Hypothesis, of chance, of fuzzed bytes.

Every operator, lists, NOT, nesting, qualifiers, events at the same instant, and in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from istmo.detect.indicators import Matcher
from istmo.model import pattern_tree as tree
from istmo.model.pattern_tree import Comparison, Operator
from istmo.model.patterns import read_pattern

from .oracle import Event, true_at

T = TypeVar("T")
Choose = Callable[[int], int]
"""A number below the one given."""

SECOND = 1_000_000
MOST_EVENTS = 7
MUTEX, LINE, PID = ("mutex", "name"), ("process", "command_line"), ("process", "pid")
ADDRESS, SOURCE = ("ipv4-addr", "value"), ("network-traffic", "src_ref", "value")
METHOD = ("network-traffic", "extensions", "http-request-ext", "request_method")
NAMES, LINES = ("m", "n", "ab", "ñu"), ("abc", "abcd", "b abc b", "BC", "")
ADDRESSES = ("192.0.2.1", "192.0.2.9", "198.51.100.1")
RANGES = ("192.0.2.0/24", "192.0.2.1", "192.0.2.8/29", "198.51.100.0/22")
ORDERS = (Operator.LESS, Operator.LESS_OR_EQUAL, Operator.GREATER, Operator.GREATER_OR_EQUAL)
WRITTEN = {
    MUTEX: "mutex:name",
    LINE: "process:command_line",
    PID: "process:pid",
    ADDRESS: "ipv4-addr:value",
    SOURCE: "network-traffic:src_ref.value",
    METHOD: "network-traffic:extensions.'http-request-ext'.request_method",
}


class Case(NamedTuple):
    """A pattern as a tree, and what came, in that order: when it happened (µs), and its fields."""

    pattern: tree.Observation
    events: list[tuple[int, dict[str, Any]]]

    @property
    def text(self) -> str:
        """The pattern as it is published."""
        return written(self.pattern)


def expected(case: Case) -> list[int]:
    """By the text of the standard."""
    return true_at(case.pattern, [Event(at, values_of(fields)) for at, fields in case.events])


def found(case: Case) -> list[int] | None:
    """By the matcher; None where the pattern is not watched for whole."""
    read = read_pattern(case.text)
    if not read.is_detected or read.not_detected is not None:
        return None
    matcher = Matcher(lambda: 0)
    matcher.put("indicator--x", read.terms, None, read.plan)
    return [
        number for number, (at, fields) in enumerate(case.events) if matcher.match(fields, at, f"0-{number}")
    ]


def values_of(fields: dict[str, Any]) -> dict[tuple[str, ...], list[Any]]:
    """The object paths that these fields carry."""

    def some(*names: str) -> list[Any]:
        held = (fields.get(name, []) for name in names)
        return [value for one in held for value in (one if isinstance(one, list) else [one])]

    nested = [fields["process"]["command_line"]] if "process" in fields else []
    return {
        MUTEX: some("MutexName"),
        LINE: [one for one in (*some("CommandLine"), *nested) if one],
        PID: some("ProcessId"),
        ADDRESS: some("SourceIp", "DestinationIp"),
        SOURCE: some("SourceIp"),
        METHOD: some("method"),
    }


# --- made --------------------------------------------------------------------------------------------


def make_case(choose: Choose) -> Case:
    """A case: a choice of 0 is always the simplest."""
    pattern = _observation(choose, 3)
    return Case(pattern, [_event(choose) for _ in range(choose(MOST_EVENTS) + 1)])


def _one(choose: Choose, of: Sequence[T]) -> T:
    return of[choose(len(of))]


def _event(choose: Choose) -> tuple[int, dict[str, Any]]:
    fields: dict[str, Any] = {"MutexName": _one(choose, NAMES)}
    if choose(2):
        fields["CommandLine"] = _one(choose, LINES)
        if choose(4) == 3:  # as ECS writes it
            fields["process"] = {"command_line": fields.pop("CommandLine")}
    if choose(2):
        fields["ProcessId"] = choose(3) + 1 if choose(3) else [1, 3]
    if choose(3):
        fields["DestinationIp"] = _one(choose, ADDRESSES)
    if not choose(3):
        fields["SourceIp"] = _one(choose, ADDRESSES)
    if choose(2):
        fields["method"] = _one(choose, ("get", "put"))
    if not choose(5):
        del fields["MutexName"]
    return choose(6) * SECOND + _one(choose, (0, 0, 1, -1)), fields


def _observation(choose: Choose, depth: int) -> tree.Observation:
    kind = choose(9) if depth else 0
    if kind < 2:
        return tree.Seen(_anchored(choose, 2))
    inner = _observation(choose, depth - 1)
    if kind < 6:
        joint = (tree.Together, tree.OneOf, tree.Followed, tree.Followed)[kind - 2]
        return joint(inner, _observation(choose, depth - 1))
    if kind == 6:
        return tree.Repeated(inner, choose(3) + 1)
    if kind == 7:
        return tree.Within(inner, _one(choose, (1, SECOND // 2, SECOND, 2 * SECOND, 3 * SECOND)))
    start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=choose(4))
    return tree.Between(inner, start, start + timedelta(seconds=choose(5)))


def _anchored(choose: Choose, depth: int) -> tree.Expression:
    """A comparison expression that is in few events: others are not watched for."""
    kind = choose(4) if depth else 0
    if kind < 2:
        return _anchor(choose)
    if kind == 2:
        return tree.Both((_anchored(choose, depth - 1), _any(choose, depth - 1)))
    return tree.Either((_anchored(choose, depth - 1), _anchored(choose, depth - 1)))


def _any(choose: Choose, depth: int) -> tree.Expression:
    kind = choose(4) if depth else 0
    if kind < 2:
        return _comparison(choose)
    return (tree.Both if kind == 2 else tree.Either)((_any(choose, depth - 1), _any(choose, depth - 1)))


def _anchor(choose: Choose) -> Comparison:
    match choose(8):
        case 0:
            return Comparison(MUTEX, Operator.EQUAL, (_one(choose, NAMES),))
        case 1:
            return Comparison(ADDRESS, Operator.EQUAL, (_one(choose, ADDRESSES),))
        case 2:
            return Comparison(LINE, Operator.LIKE, (_one(choose, ("%abc%", "abc_", "abc")),))
        case 3:
            return Comparison(LINE, Operator.MATCHES, (_one(choose, ("b.*c$", "^abc", "[bB]c|BC")),))
        case 4:
            return Comparison(ADDRESS, Operator.SUBSET, (_one(choose, RANGES),))
        case 5:
            return Comparison(MUTEX, Operator.IN, tuple(NAMES[: choose(3) + 1]))
        case 6:
            return Comparison(SOURCE, Operator.IN, tuple(ADDRESSES[: choose(3) + 1]))
        case _:
            return Comparison(PID, Operator.EQUAL, (choose(3) + 1,))


def _comparison(choose: Choose) -> Comparison:
    is_negated = bool(choose(2))
    match choose(7):
        case 0:
            return Comparison(PID, _one(choose, ORDERS), (_one(choose, (2, 1, 3, 1.5)),), is_negated)
        case 1:
            return Comparison(MUTEX, _one(choose, ORDERS), (_one(choose, NAMES),), is_negated)
        case 2:
            return Comparison(_one(choose, tuple(WRITTEN)), Operator.EXISTS, (), is_negated)
        case 3:
            operator = _one(choose, (Operator.SUBSET, Operator.SUPERSET))
            return Comparison(ADDRESS, operator, (_one(choose, RANGES),), is_negated)
        case 4:
            return Comparison(METHOD, Operator.EQUAL, (_one(choose, ("get", "put")),), is_negated)
        case 5:
            return Comparison(LINE, Operator.LIKE, (_one(choose, ("%", "_%", "%b_", "B%")),), is_negated)
        case _:
            found = _anchor(choose)
            return Comparison(found.path, found.operator, found.values, is_negated)


# --- written -----------------------------------------------------------------------------------------


def written(one: tree.Observation) -> str:
    """A pattern in the grammar of section 9, parentheses only where they are needed."""
    return _written(one, 0)


def _written(one: tree.Observation, binding: int) -> str:
    """``binding``: how closely what stands around it binds; FOLLOWEDBY 1, OR 2, AND 3, a qualifier 4."""
    match one:
        case tree.Seen(expression):
            return f"[{_expression(expression, 0)}]"
        case tree.Followed(left, right):
            own, text = 1, f"{_written(left, 1)} FOLLOWEDBY {_written(right, 2)}"
        case tree.OneOf(left, right):
            own, text = 2, f"{_written(left, 2)} OR {_written(right, 3)}"
        case tree.Together(left, right):
            own, text = 3, f"{_written(left, 3)} AND {_written(right, 4)}"
        case tree.Repeated(inner, times):
            return f"{_written(inner, 4)} REPEATS {times} TIMES"
        case tree.Within(inner, micros):
            return f"{_written(inner, 4)} WITHIN {micros / SECOND:f} SECONDS"
        case tree.Between(inner, start, stop):
            times = (f"t'{at:%Y-%m-%dT%H:%M:%S.%fZ}'" for at in (start, stop))
            return f"{_written(inner, 4)} START {next(times)} STOP {next(times)}"
    return f"({text})" if own < binding else text


def _expression(one: tree.Expression, binding: int) -> str:
    match one:
        case tree.Either(parts):
            own, text = 1, " OR ".join(_expression(part, 2) for part in parts)
        case tree.Both(parts):
            own, text = 2, " AND ".join(_expression(part, 3) for part in parts)
        case Comparison():
            return _compared(one)
    return f"({text})" if own < binding else text


def _compared(one: Comparison) -> str:
    path = WRITTEN[one.path]
    if one.operator is Operator.EXISTS:
        return f"{'NOT ' if one.is_negated else ''}EXISTS {path}"
    values = [f"'{value}'" if isinstance(value, str) else str(value) for value in one.values]
    listed = f"({', '.join(values)})" if one.operator is Operator.IN else values[0]
    return f"{path} {'NOT ' if one.is_negated else ''}{one.operator.value} {listed}"
