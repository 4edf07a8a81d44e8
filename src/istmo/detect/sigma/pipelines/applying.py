"""Pipelines applied to a rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from istmo.detect.sigma.limits import STANDARD, RuleLimits
from istmo.detect.sigma.pipelines.drafts import Draft
from istmo.detect.sigma.pipelines.reading import Pipeline
from istmo.detect.sigma.rules import Rule


def apply_pipelines(rule: Rule, pipelines: Sequence[Pipeline], limits: RuleLimits = STANDARD) -> Rule:
    """The rule after these pipelines, the lowest priority first; the same one where none changed it.

    A changed rule has another digest, which depends on the pipelines too. Raises Refused where a
    pipeline says that the rule cannot be used, or leaves nothing of it.
    """
    ordered = sorted(pipelines, key=lambda one: one.priority)
    variables: dict[str, Any] = {}
    for pipeline in ordered:
        variables |= pipeline.variables
    draft = Draft(rule, variables, limits)
    for pipeline in ordered:
        for item in pipeline.items:
            item.apply(draft)
    return draft.finish("|".join(one.digest for one in ordered))
