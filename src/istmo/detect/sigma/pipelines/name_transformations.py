"""Transformations of field names: in detection items, in references to fields, in the rule's list."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from istmo.detect.sigma.limits import RuleLimits
from istmo.detect.sigma.pipelines.drafts import Draft, DraftGroup, DraftItem
from istmo.detect.sigma.pipelines.items import Apply, ProcessingItem
from istmo.detect.sigma.pipelines.parameters import Parameters
from istmo.detect.sigma.problems import Refused
from istmo.detect.sigma.values import FieldReference, Value

Naming = Callable[[str], "list[str] | None"]
"""The names that one is mapped to; None where the mapping says nothing of it. ``""`` are keywords."""
KEYWORDS = frozenset({"null", "~", "Null", "NULL"})
"""Keys by which a mapping means items without a field."""


def field_name_mapping(given: Parameters, limits: RuleLimits) -> Apply:
    mapping = {("" if name in KEYWORDS else name): to for name, to in given.mapping("mapping").items()}
    return renaming(mapping.get)


def field_name_prefix_mapping(given: Parameters, limits: RuleLimits) -> Apply:
    mapping = given.mapping("mapping")

    def naming(name: str) -> list[str] | None:
        for prefix, to in mapping.items():
            if name and name.startswith(prefix):
                return [one + name[len(prefix) :] for one in to]
        return None

    return renaming(naming)


def field_name_prefix(given: Parameters, limits: RuleLimits) -> Apply:
    prefix = given.text("prefix")
    return renaming(lambda name: [prefix + name] if name else None)


def field_name_suffix(given: Parameters, limits: RuleLimits) -> Apply:
    suffix = given.text("suffix")
    return renaming(lambda name: [name + suffix] if name else None)


def renaming(naming: Naming) -> Apply:
    """Several names for one are alternatives: one of the fields must hold the value."""

    def apply(draft: Draft, item: ProcessingItem) -> None:
        def named(name: str) -> list[str] | None:
            found = naming(name)
            return found if found is not None and item.takes_name(draft, name) else None

        def tracked(name: str) -> list[str]:
            found = named(name)
            if found is None:
                return [name]
            if found != [name]:
                applied = draft.field_applied.setdefault(name, set())
                applied.add(item.id)
                draft.field_applied.update(dict.fromkeys(found, applied))
            return found

        def change(one: DraftItem) -> DraftItem | DraftGroup | None:
            values: list[Value] = []
            is_referring = False
            for value in one.values:
                if isinstance(value, FieldReference) and item.takes_name(draft, value.field):
                    is_referring = True
                    values += [structs.replace(value, field=name) for name in tracked(value.field)]
                else:
                    values.append(value)
            found = named(one.field)
            if found is None and not is_referring:
                return one
            one.values = values
            if item.id:
                one.applied.add(item.id)
            if found is None:
                return one
            draft.mapped |= {one.field, *found}
            if len(found) == 1:
                one.field = found[0]
                return one
            return DraftGroup([one.named(name) for name in found], True)

        draft.fields = [name for field in draft.fields for name in tracked(field)]
        item.change_items(draft, change)

    return apply


def strict_field_mapping_failure(given: Parameters, limits: RuleLimits) -> Apply:
    def apply(draft: Draft, item: ProcessingItem) -> None:
        names = dict.fromkeys(one.field for one in draft.items() if one.field)
        left = [name for name in names if name not in draft.mapped]
        if left:
            raise Refused("pipeline_unmapped_fields", fields=", ".join(left)[:500])

    return apply
