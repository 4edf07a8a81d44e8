"""A STIX pattern as a tree (STIX 2.1 section 9): comparisons, and observations joined in time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

Literal = str | int | float | bool | datetime
"""A value that a property is compared with. Bytes (``h'…'``, ``b'…'``) come as text where they are text."""


class Operator(StrEnum):
    """Comparison operators; ``!=`` is EQUAL negated."""

    EQUAL = "="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    IN = "IN"
    LIKE = "LIKE"
    MATCHES = "MATCHES"
    SUBSET = "ISSUBSET"
    SUPERSET = "ISSUPERSET"
    EXISTS = "EXISTS"


@dataclass(frozen=True)
class Comparison:
    """Some value at ``path`` (object type first) stands so to ``values``; negated, does not stand so."""

    path: tuple[str, ...]
    operator: Operator
    values: tuple[Literal, ...] = ()
    is_negated: bool = False


@dataclass(frozen=True)
class Both:
    """Comparisons that must all hold for one event."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True)
class Either:
    """Comparisons of which one must hold."""

    parts: tuple[Expression, ...]


Expression = Comparison | Both | Either


@dataclass(frozen=True)
class Seen:
    """One observation: an event for which the expression holds."""

    expression: Expression


@dataclass(frozen=True)
class Together:
    """AND: both, in different events."""

    left: Observation
    right: Observation


@dataclass(frozen=True)
class OneOf:
    """OR."""

    left: Observation
    right: Observation


@dataclass(frozen=True)
class Followed:
    """FOLLOWEDBY: the right one begins no earlier than the left one ends, in different events."""

    left: Observation
    right: Observation


@dataclass(frozen=True)
class Repeated:
    """REPEATS n TIMES: n times, in different events."""

    inner: Observation
    times: int


@dataclass(frozen=True)
class Within:
    """WITHIN n SECONDS: no more than so many µs from the first event to the last."""

    inner: Observation
    micros: int


@dataclass(frozen=True)
class Between:
    """START … STOP: every event at or after the one and before the other."""

    inner: Observation
    start: datetime
    stop: datetime


Observation = Seen | Together | OneOf | Followed | Repeated | Within | Between
