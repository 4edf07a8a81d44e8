"""Transformations of the rule: its condition, log source and field list, and what refuses it."""

from __future__ import annotations

import string
from typing import Any

from istmo.detect.sigma.conditions import And, Name, Not
from istmo.detect.sigma.detections import parse_search
from istmo.detect.sigma.documents import List, Map
from istmo.detect.sigma.limits import RuleLimits
from istmo.detect.sigma.logsources import Logsource
from istmo.detect.sigma.pipelines.drafts import Draft, DraftItem, draft_search
from istmo.detect.sigma.pipelines.items import Apply, ProcessingItem
from istmo.detect.sigma.pipelines.parameters import Parameters, plain
from istmo.detect.sigma.pipelines.placeholders import KeptPlaceholders
from istmo.detect.sigma.problems import Refused


def drop_detection_item(given: Parameters, limits: RuleLimits) -> Apply:
    return lambda draft, item: item.change_items(draft, lambda one: None)


def rule_failure(given: Parameters, limits: RuleLimits) -> Apply:
    message = given.text("message")

    def apply(draft: Draft, item: ProcessingItem) -> None:
        raise Refused("pipeline_failure", message=message[:500])

    return apply


def detection_item_failure(given: Parameters, limits: RuleLimits) -> Apply:
    message = given.text("message")

    def fail(one: DraftItem) -> None:
        raise Refused("pipeline_failure", message=message[:500])

    return lambda draft, item: item.change_items(draft, fail)


def add_condition(given: Parameters, limits: RuleLimits) -> Apply:
    """One more search identifier, joined by *and*; in a template ``$category`` and its like are filled in."""
    written = given.raw("conditions")
    if not isinstance(written, Map):
        raise given.refused("conditions")
    line = written.line
    is_template, is_negated = given.boolean("template"), given.boolean("negated")
    name = given.text("name", "")
    kept = KeptPlaceholders()
    parse_search(written, line, kept, limits)  # what is wrong with it is told while the pipeline is read

    def apply(draft: Draft, item: ProcessingItem) -> None:
        filled = fill_template(written, draft.logsource) if is_template else written
        own = name or f"_cond_{len(draft.searches)}"
        search = draft_search(parse_search(filled, line, kept, limits))
        for one in search.items() if item.id else ():
            one.applied.add(item.id)
        draft.searches[own] = search
        added = Name(own)
        draft.condition = And((Not(added) if is_negated else added, draft.condition))

    return apply


def fill_template(found: Any, logsource: Logsource) -> Any:
    """The same with the log source in the place of its names; what it leaves open is ``None``."""
    if isinstance(found, Map):
        made = Map(found.line)
        made.lines = found.lines
        made.update((key, fill_template(value, logsource)) for key, value in found.items())
        return made
    if isinstance(found, List):
        elements = List(found.line)
        elements.extend(fill_template(one, logsource) for one in found)
        return elements
    if isinstance(found, str):
        names = {name: value or "None" for name, value in logsource._asdict().items()}
        return string.Template(found).safe_substitute(names)
    return found


def change_logsource(given: Parameters, limits: RuleLimits) -> Apply:
    wanted = Logsource(*(given.text(name, "").lower() for name in ("category", "product", "service")))
    if not any(wanted):
        raise given.refused("category")

    def apply(draft: Draft, item: ProcessingItem) -> None:
        draft.logsource = wanted

    return apply


def set_state(given: Parameters, limits: RuleLimits) -> Apply:
    key, value = given.text("key"), given.any("val", is_needed=True)

    def apply(draft: Draft, item: ProcessingItem) -> None:
        draft.state[key] = value

    return apply


def set_custom_attribute(given: Parameters, limits: RuleLimits) -> Apply:
    """Attributes that ``rule_attribute`` conditions of later items can ask for."""
    name, value = given.text("attribute"), plain(given.raw("value"))

    def apply(draft: Draft, item: ProcessingItem) -> None:
        draft.attributes[name] = value

    return apply


def add_field(given: Parameters, limits: RuleLimits) -> Apply:
    names = given.texts("field")

    def apply(draft: Draft, item: ProcessingItem) -> None:
        draft.fields = [*draft.fields, *names]

    return apply


def remove_field(given: Parameters, limits: RuleLimits) -> Apply:
    names = given.texts("field")

    def apply(draft: Draft, item: ProcessingItem) -> None:
        for name in names:
            if name in draft.fields:
                draft.fields.remove(name)

    return apply


def set_field(given: Parameters, limits: RuleLimits) -> Apply:
    names = given.texts("fields")

    def apply(draft: Draft, item: ProcessingItem) -> None:
        draft.fields = list(names)

    return apply
