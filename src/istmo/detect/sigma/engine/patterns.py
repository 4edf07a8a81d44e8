"""Literals that an event must hold for a rule to match: what is looked for before a rule is asked.

Values are scanned framed: ``BEGIN value END``. So a pattern may ask for the beginning or end of a value.
A frame's characters inside a value, which JSON may hold, make candidates too many, never too few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from operator import itemgetter
from typing import Final, NamedTuple

from istmo.detect.sigma.detections import Item
from istmo.detect.sigma.engine.literals import required_literals
from istmo.detect.sigma.engine.trees import Every, Leaf, Negated, Node, Some
from istmo.detect.sigma.modifiers import canonical
from istmo.detect.sigma.texts import fold, fold_dashes
from istmo.detect.sigma.values import Expression, Network, Number, Text, Value, Wildcard

KEYWORDS: Final = ""
"""The field of what may stand in any value."""
BEGIN: Final = "\x02"
END: Final = "\x03"
ABSENT: Final = "\x01"
"""Stands where a field has no value, so that an absent one is not the empty text."""

_MOST_DASHES: Final = 3


class Pattern(NamedTuple):
    """A literal in a field's values, in any case."""

    field: str
    literal: str
    """Folded. With BEGIN before it, or END after it, it stands at that end of a value."""


Clause = frozenset[Pattern]
"""One of these is there."""
Cost = Callable[[Pattern], float]


@dataclass(frozen=True, slots=True)
class AllOf:
    of: tuple[Needs, ...]


@dataclass(frozen=True, slots=True)
class OneOf:
    of: tuple[Needs, ...]


Needs = Clause | AllOf | OneOf
"""What must be there for a rule to hold."""


def needs_of(node: Node) -> Needs | None:
    """What is there whenever the node is true; None where nothing has to be."""
    if isinstance(node, Leaf):
        return _of_item(node.item)
    if isinstance(node, Negated):
        return None
    parts = map(needs_of, node.of)
    return _all_of(parts) if isinstance(node, Every) else _one_of(parts)


def _all_of(parts: Iterable[Needs | None]) -> Needs | None:
    known = tuple(part for part in parts if part is not None)
    return AllOf(known) if len(known) > 1 else known[0] if known else None


def _one_of(parts: Iterable[Needs | None]) -> Needs | None:
    known: list[Needs] = []
    for part in parts:
        if part is None:
            return None
        known.append(part)
    return OneOf(tuple(known)) if len(known) > 1 else known[0]


def choices(needs: Needs, cost: Cost) -> list[tuple[float, Clause]]:
    """Clauses that are all there whenever a rule holds, with what each costs: one is enough to find it."""
    if isinstance(needs, frozenset):
        return [(sum(map(cost, needs)), needs)]
    if isinstance(needs, AllOf):
        return [choice for part in needs.of for choice in choices(part, cost)]
    merged: Clause = frozenset().union(*(_cheapest(part, cost) for part in needs.of))
    return [(sum(map(cost, merged)), merged)]


def _cheapest(needs: Needs, cost: Cost) -> Clause:
    return min(choices(needs, cost), key=itemgetter(0))[1]


def patterns_of(needs: Needs) -> Iterator[Pattern]:
    """Every pattern that may be chosen."""
    if isinstance(needs, frozenset):
        yield from needs
    else:
        for part in needs.of:
            yield from patterns_of(part)


def refuters(node: Node) -> Clause:
    """Patterns of which each, found in a field that is framed as it says, means that the node is false."""
    if isinstance(node, Negated):
        return provers(node.of)
    if isinstance(node, Every):
        return frozenset().union(*map(refuters, node.of))
    return frozenset()


def provers(node: Node) -> Clause:
    """Patterns of which each, found in a field that is framed as it says, means that the node is true."""
    if isinstance(node, Negated):
        return refuters(node.of)
    if isinstance(node, Some):
        return frozenset().union(*map(provers, node.of))
    if isinstance(node, Every):
        return frozenset()
    item = node.item
    if item.field == KEYWORDS or item.is_negated or (item.is_all and len(item.values) > 1):
        return frozenset()
    return frozenset(
        pattern for value in item.values if isinstance(value, Text) for pattern in _prover(item.field, value)
    )


def _prover(field: str, value: Text) -> Iterator[Pattern]:
    """The literal that says all of a text. Of letters beyond ASCII a scan knows too little for that."""
    parts = value.parts
    begins, ends = parts[:1] != (Wildcard.MANY,), parts[-1:] != (Wildcard.MANY,)
    literal = [part for part in parts if part is not Wildcard.MANY]
    if value.is_cased or value.has_any_dash or len(literal) != 1 or not isinstance(literal[0], str):
        return
    text = literal[0]
    if text.isascii() and text.isprintable():
        yield Pattern(field, BEGIN * begins + fold(text) + END * ends)


def _of_item(item: Item) -> Needs | None:
    if item.is_negated:
        return None
    parts = (_all_of(_of_value(item.field, value)) for value in item.values)
    return _all_of(parts) if item.is_all else _one_of(parts)


def _of_value(field: str, value: Value) -> list[Clause]:
    if isinstance(value, Text):
        return _of_text(field, value)
    if isinstance(value, Number):
        return _of_number(field, value)
    if isinstance(value, Expression):
        return [
            frozenset(Pattern(field, literal) for literal in literals)
            for literals in required_literals(value)
        ]
    if isinstance(value, Network):
        return _of_network(field, value)
    return []


def _of_text(field: str, value: Text) -> list[Clause]:
    found: list[Clause] = []
    last = len(value.parts) - 1
    if not value.parts:
        return [frozenset({Pattern(field, BEGIN + END)})]
    for place, part in enumerate(value.parts):
        if isinstance(part, Wildcard):
            continue
        begin = BEGIN if place == 0 else ""
        end = END if place == last else ""
        found.append(frozenset(_spelled(field, begin, fold(str(part)), end, value.has_any_dash)))
    return [clause for clause in found if clause]


def _spelled(field: str, begin: str, literal: str, end: str, has_any_dash: bool) -> Iterable[Pattern]:
    """The literal, or its spellings with ``-`` and ``/``; other dashes are brought to ``-`` in the text."""
    if not has_any_dash:
        return [Pattern(field, begin + literal + end)]
    pieces = fold_dashes(literal).split("-")
    if len(pieces) - 1 > _MOST_DASHES:
        return [Pattern(field, max(pieces, key=len))] if any(pieces) else []
    found = []
    for dashes in product("-/", repeat=len(pieces) - 1):
        spelled = "".join(piece + dash for piece, dash in zip(pieces, (*dashes, ""), strict=True))
        found.append(Pattern(field, begin + spelled + end))
    return found


def _of_number(field: str, value: Number) -> list[Clause]:
    """A number is met as a number or as text; of very large ones no single spelling is sure."""
    if abs(value.value) >= 1e15:
        return []
    spellings = {canonical(value.value), *map(fold, value.spellings)}
    return [frozenset(Pattern(field, BEGIN + spelling + END) for spelling in spellings)]


def _of_network(field: str, value: Network) -> list[Clause]:
    """The octets that every IPv4 address of the range begins with; one written as IPv6 says ``ffff:``."""
    network = value.network
    octets = network.prefixlen // 8
    if network.version != 4 or not octets:
        return []
    begin = ".".join(str(network.network_address).split(".")[:octets]) + ("." if octets < 4 else "")
    return [frozenset({Pattern(field, begin), Pattern(field, "ffff:")})]
