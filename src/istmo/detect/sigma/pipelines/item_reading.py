"""Processing items from their YAML."""

from __future__ import annotations

from typing import Any

from istmo.detect.sigma.documents import List
from istmo.detect.sigma.limits import RuleLimits
from istmo.detect.sigma.pipelines.conditions import ITEM, NAME, RULE
from istmo.detect.sigma.pipelines.drafts import Draft
from istmo.detect.sigma.pipelines.items import Apply, ProcessingItem
from istmo.detect.sigma.pipelines.linking import read_linked
from istmo.detect.sigma.pipelines.parameters import Parameters
from istmo.detect.sigma.pipelines.transformations import TRANSFORMATIONS
from istmo.detect.sigma.problems import Refused

NESTED = 8
ITEMS = 10_000
UNSERVED = frozenset(
    {"query_expression_placeholders", "file_placeholders", "http_placeholders", "command_placeholders"}
    | {"field_name_transform", "extract_fields"}
)
"""What belongs to a backend's query, reaches outside, or is written in Python."""


def read_items(written: List, limits: RuleLimits, depth: int = 0) -> tuple[ProcessingItem, ...]:
    """The items of a pipeline, or those nested in another item."""
    if depth > NESTED or len(written) > ITEMS:
        raise Refused("pipeline_too_large", written.line, limit=ITEMS)
    return tuple(_read_item(one, written.line, limits, depth) for one in written)


def _read_item(content: Any, line: int, limits: RuleLimits, depth: int) -> ProcessingItem:
    given = Parameters(content, line)
    type_ = given.text("type")
    if type_ in UNSERVED:
        where = given.content.line_of("type")
        raise Refused("pipeline_unserved", where, is_not_served=True, transformation=type_)
    if type_ == "nest":
        inner = given.raw("items")
        if not isinstance(inner, List):
            raise given.refused("items")
        transform = _nest(read_items(inner, limits, depth + 1))
    elif type_ in TRANSFORMATIONS:
        transform = TRANSFORMATIONS[type_](given, limits)
    else:
        raise Refused("pipeline_unknown_transformation", given.content.line_of("type"), transformation=type_)
    made = ProcessingItem(
        given.text("id", ""),
        read_linked(given, "rule", "rule", RULE),
        read_linked(given, "detection_item", "detection_item", ITEM),
        read_linked(given, "field_name", "field_name", NAME),
        transform,
    )
    given.end()
    return made


def _nest(items: tuple[ProcessingItem, ...]) -> Apply:
    def apply(draft: Draft, item: ProcessingItem) -> None:
        for one in items:
            one.apply(draft)

    return apply
