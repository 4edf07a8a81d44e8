"""Processing items: a transformation and when it applies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from istmo.detect.sigma.limits import RuleLimits
from istmo.detect.sigma.pipelines.conditions import ItemTest, NameTest, RuleTest
from istmo.detect.sigma.pipelines.drafts import Draft, DraftGroup, DraftItem
from istmo.detect.sigma.pipelines.linking import Linked
from istmo.detect.sigma.pipelines.parameters import Parameters
from istmo.detect.sigma.values import FieldReference, Value

Apply = Callable[[Draft, "ProcessingItem"], None]
Maker = Callable[[Parameters, RuleLimits], Apply]


@dataclass(frozen=True, slots=True)
class ProcessingItem:
    """One entry of ``transformations``."""

    id: str
    rule_conditions: Linked[RuleTest]
    item_conditions: Linked[ItemTest]
    name_conditions: Linked[NameTest]
    transform: Apply

    def apply(self, draft: Draft) -> None:
        """Change the draft, where the rule conditions hold."""
        if self.rule_conditions.tests and not self.rule_conditions.holds(lambda test: test(draft)):
            return
        if self.id:
            draft.applied.add(self.id)
        self.transform(draft, self)

    def takes_item(self, draft: Draft, item: DraftItem) -> bool:
        """Whether a detection item is meant: by its values, and by its field or a referenced one."""
        referenced = [value.field for value in item.values if isinstance(value, FieldReference)]
        return self.item_conditions.holds(lambda test: test(draft, item)) and self.name_conditions.holds(
            lambda test: test(draft, item.field) or any(test(draft, name) for name in referenced)
        )

    def takes_name(self, draft: Draft, name: str) -> bool:
        return self.name_conditions.holds(lambda test: test(draft, name))

    def change_items(self, draft: Draft, made: Callable[[DraftItem], DraftItem | DraftGroup | None]) -> None:
        """Put what ``made`` gives in the place of each detection item that is meant."""

        def change(item: DraftItem) -> DraftItem | DraftGroup | None:
            return made(item) if self.takes_item(draft, item) else item

        for search in draft.searches.values():
            search.change(change)

    def change_values(self, draft: Draft, made: Callable[[Value], list[Value] | None]) -> None:
        """Put what ``made`` gives in the place of each value; None leaves it as it is."""

        def change(item: DraftItem) -> DraftItem:
            results = [(value, made(value)) for value in item.values]
            if any(result is not None for _, result in results):
                item.values = [
                    one for value, result in results for one in ([value] if result is None else result)
                ]
                if self.id:
                    item.applied.add(self.id)
            return item

        self.change_items(draft, change)
