"""What is left of a rule once something about the event is known: a tree over its items.

Most rules ask for a channel's event by its number. Events of one class share that number, so for a
class those items are answered once, and most rules vanish.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from istmo.detect.sigma.conditions import And, Condition, Name, Not
from istmo.detect.sigma.detections import Item, ItemMatcher, Question, Search
from istmo.detect.sigma.fields import EventView
from istmo.detect.sigma.rules import Rule
from istmo.detect.sigma.values import FieldReference


@dataclass(frozen=True, slots=True)
class Leaf:
    """One field's test."""

    item: Item


@dataclass(frozen=True, slots=True)
class Negated:
    of: Node


@dataclass(frozen=True, slots=True)
class Every:
    of: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Some:
    of: tuple[Node, ...]


Node = Leaf | Negated | Every | Some


def simplify(rule: Rule, known: Mapping[str, Any]) -> Node | bool:
    """What is left of a rule for events with these values in these fields; a bool where they decide."""
    view = EventView(known)
    searches: dict[str, Node | bool] = {}

    def of_condition(condition: Condition) -> Node | bool:
        if isinstance(condition, Name):
            if condition.name not in searches:
                searches[condition.name] = _of_search(rule.searches[condition.name], view)
            return searches[condition.name]
        if isinstance(condition, Not):
            inner = of_condition(condition.of)
            return not inner if isinstance(inner, bool) else negated(inner)
        parts = map(of_condition, condition.of)
        return every(parts) if isinstance(condition, And) else some(parts)

    return of_condition(rule.condition)


def _of_search(search: Search, view: EventView) -> Node | bool:
    return some(every(_of_item(item, view) for item in group) for group in search.groups)


def _of_item(item: Item, view: EventView) -> Node | bool:
    if item.field in view.fields and not any(isinstance(value, FieldReference) for value in item.values):
        return ItemMatcher(item).holds(view)
    return Leaf(item)


def question(node: Node) -> Question:
    """Whether the node is true of an event, by the evaluator's own tests.

    What decided last comes a place sooner next time: of events of a class most fail, or hold, by the same
    part. So it is not safe to share between threads.
    """
    if isinstance(node, Leaf):
        return ItemMatcher(node.item).holds
    if isinstance(node, Negated):
        inner = question(node.of)
        return lambda view: not inner(view)
    wanted = isinstance(node, Some)
    asked = [question(part) for part in node.of]

    def asks(view: EventView) -> bool:
        for place, one in enumerate(asked):
            if one(view) is wanted:
                if place:
                    asked[place - 1], asked[place] = one, asked[place - 1]
                return wanted
        return not wanted

    return asks


def negated(node: Node) -> Node:
    """Its opposite; twice is nothing."""
    return node.of if isinstance(node, Negated) else Negated(node)


def every(parts: Iterable[Node | bool]) -> Node | bool:
    """All of them: what holds anyway is left out."""
    left: list[Node] = []
    for part in parts:
        if part is False:
            return False
        if isinstance(part, Every):
            left += part.of
        elif part is not True:
            left.append(part)
    return Every(tuple(left)) if len(left) > 1 else left[0] if left else True


def some(parts: Iterable[Node | bool]) -> Node | bool:
    """One of them: what cannot hold is left out."""
    left: list[Node] = []
    for part in parts:
        if part is True:
            return True
        if isinstance(part, Some):
            left += part.of
        elif part is not False:
            left.append(part)
    left = list(_gathered(left))
    return Some(tuple(left)) if len(left) > 1 else left[0] if left else False


def _gathered(nodes: Iterable[Node]) -> Iterator[Node]:
    """The nodes, with what one field may hold in one of them: it is asked once."""
    by_field: dict[str, list[Item]] = {}
    for node in nodes:
        item = node.item if isinstance(node, Leaf) else None
        if item is not None and not item.is_negated and not (item.is_all and len(item.values) > 1):
            by_field.setdefault(item.field, []).append(item)
        else:
            yield node
    for field, items in by_field.items():
        values = tuple(value for item in items for value in item.values)
        yield Leaf(items[0] if len(items) == 1 else Item(field, values, is_all=False, is_negated=False))
