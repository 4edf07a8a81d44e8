"""Search identifiers (rules specification, "Search-Identifier"): maps, lists, keywords.

A map's fields are joined by *and*, a list's elements by *or*. Text in a list, and a field without
a name (``'|all'``), are keywords: looked for in every value of the event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from istmo.detect.sigma.documents import List, Map
from istmo.detect.sigma.fields import EmptyText, EventView
from istmo.detect.sigma.limits import STANDARD, RuleLimits
from istmo.detect.sigma.matchers import Test, refers, value_tests
from istmo.detect.sigma.modifiers import Placeholders, apply_modifiers
from istmo.detect.sigma.problems import Refused
from istmo.detect.sigma.values import Exists, FieldReference, Null, Value

Evidence = dict[str, Any]
Question = Callable[[EventView], bool]
FieldQuestion = Null | Exists | FieldReference
Link = Callable[[Iterable[object]], bool]
"""``all`` or ``any``."""


class Item(msgspec.Struct, frozen=True):
    """One field with what it must hold; without a name, keywords."""

    field: str
    values: tuple[Value, ...]
    is_all: bool
    is_negated: bool


class Search(msgspec.Struct, frozen=True):
    """A search identifier: one of these groups must hold, each item of a group."""

    groups: tuple[tuple[Item, ...], ...]


def parse_search(
    content: Any, line: int, placeholders: Placeholders | None = None, limits: RuleLimits = STANDARD
) -> Search:
    """What a search identifier says. Raises Refused, with the line, where it says nothing usable."""
    elements = content if isinstance(content, List) else [content]
    groups: list[tuple[Item, ...]] = []
    keywords: list[Any] = []
    for element in elements:
        if isinstance(element, Map):
            groups.append(_parse_map(element, placeholders, limits))
        elif isinstance(element, List):
            raise Refused("list_in_list", line)
        else:
            keywords.append(element)
    if keywords:
        groups.append((_parse_item("", keywords, line, placeholders, limits),))
    if not groups or any(not group for group in groups):
        raise Refused("search_empty", line)
    return Search(tuple(groups))


def _parse_map(content: Map, placeholders: Placeholders | None, limits: RuleLimits) -> tuple[Item, ...]:
    items: list[Item] = []
    for key, value in content.items():
        line = content.line_of(key)
        if isinstance(value, Map):
            raise Refused("map_as_value", line, field=key)
        written = value if isinstance(value, List) else [value]
        if not written:
            raise Refused("no_values", line, field=key)
        if any(isinstance(one, (Map, List)) for one in written):
            raise Refused("map_as_value", line, field=key)
        items.append(_parse_item(key, written, line, placeholders, limits))
    return tuple(items)


def _parse_item(
    key: str, written: Sequence[Any], line: int, placeholders: Placeholders | None, limits: RuleLimits
) -> Item:
    field, *modifiers = key.split("|")
    try:
        meaning = apply_modifiers(
            modifiers, written, is_keyword=not field, placeholders=placeholders, limits=limits
        )
    except Refused as refused:
        refused.params.setdefault("field", field or "keywords")
        raise refused.at(line) from None
    return Item(field, meaning.values, meaning.is_all, meaning.is_negated)


class SearchMatcher:
    """A search identifier ready to be asked."""

    __slots__ = ("_groups", "holds")

    def __init__(self, search: Search) -> None:
        self._groups = tuple(tuple(ItemMatcher(item) for item in group) for group in search.groups)
        self.holds = linked([linked([item.holds for item in group], all) for group in self._groups], any)

    def collect(self, view: EventView, into: Evidence) -> None:
        """Add the fields and values by which it holds, from every group that does."""
        for group in self._groups:
            if all(item.holds(view) for item in group):
                for item in group:
                    item.collect(view, into)


class ItemMatcher:
    """One field's test, ready to be asked."""

    __slots__ = ("_field", "_tests", "holds")

    def __init__(self, item: Item) -> None:
        self._field = item.field
        tested = [value for value in item.values if not isinstance(value, FieldQuestion)]
        questions = [value for value in item.values if isinstance(value, FieldQuestion)]
        each = [[value] for value in tested] if item.is_all else [tested] if tested else []
        self._tests = [test for values in each for test in value_tests(values)]
        asked = [self._value_question(value_tests(values)) for values in each]
        asked += [self._field_question(question) for question in questions]
        holds = linked(asked, all if item.is_all else any)
        self.holds: Question = (lambda view: not holds(view)) if item.is_negated else holds

    def _value_question(self, tests: list[Test]) -> Question:
        """Whether one of the field's values passes one of the tests; any value of all for keywords."""
        field = self._field
        if not field:
            return lambda view: any(test(value) for _, value in view.all_values() for test in tests)
        if len(tests) > 1:
            return lambda view: any(test(value) for value in view.values[field] for test in tests)
        only = tests[0]

        def asks(view: EventView) -> bool:
            for value in view.values[field]:  # noqa: SIM110 - measured: a generator costs more than the test
                if only(value):
                    return True
            return False

        return asks

    def _field_question(self, question: Null | Exists | FieldReference) -> Question:
        field = self._field
        if isinstance(question, Null):
            return lambda view: all(isinstance(value.raw, EmptyText) for value in view.values[field])
        if isinstance(question, Exists):
            return lambda view: view.exists(field) is question.wanted
        return lambda view: refers(view, field, question)

    def collect(self, view: EventView, into: Evidence) -> None:
        if self._field:
            into[self._field] = view.evidence(self._field)
            return
        for name, value in view.all_values():
            if any(test(value) for test in self._tests):
                into[name] = view.evidence(name)


def linked(questions: Sequence[Question], link: Link) -> Question:
    """One question for several: whether all, or any, of them hold."""
    if len(questions) == 1:
        return questions[0]
    asked = tuple(questions)
    wanted = link is any

    def asks(view: EventView) -> bool:
        for question in asked:
            if question(view) is wanted:
                return wanted
        return not wanted

    return asks
