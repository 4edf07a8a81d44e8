"""A pipeline from its YAML."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from istmo.detect.sigma.documents import List, Map, read_documents
from istmo.detect.sigma.files import RuleFile
from istmo.detect.sigma.limits import STANDARD, RuleLimits
from istmo.detect.sigma.pipelines.item_reading import read_items
from istmo.detect.sigma.pipelines.items import ProcessingItem
from istmo.detect.sigma.pipelines.parameters import Parameters
from istmo.detect.sigma.problems import Problem, Refused


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One processing pipeline, checked in full."""

    name: str
    priority: int
    """Pipelines are applied from the lowest on."""
    variables: dict[str, Any] = field(repr=False)
    items: tuple[ProcessingItem, ...] = field(repr=False)
    digest: str = ""
    """SHA-256 of its text, in hexadecimal."""


def read_pipeline(data: bytes, limits: RuleLimits = STANDARD) -> Pipeline:
    """The pipeline of a file. Raises Refused with line and reason where any part of it cannot be applied."""
    documents = list(read_documents(data, limits))
    if len(documents) != 1:
        raise Refused("pipeline_not_a_map", documents[1].line if documents else 1)
    if documents[0].refused is not None:
        raise documents[0].refused
    given = Parameters(documents[0].content, documents[0].line)
    for name in ("postprocessing", "finalizers"):
        if given.raw(name):
            raise Refused("pipeline_of_a_backend", given.content.line_of(name), is_not_served=True, name=name)
    variables = given.raw("vars")
    if variables is not None and not isinstance(variables, Map):
        raise given.refused("vars")
    priority = given.any("priority") or 0
    if not isinstance(priority, int):
        raise given.refused("priority")
    given.texts("allowed_backends", [])
    written = given.raw("transformations")
    if written is not None and not isinstance(written, List):
        raise given.refused("transformations")
    made = Pipeline(
        name=given.text("name", ""),
        priority=priority,
        variables=given.any("vars") or {},
        items=read_items(written or List(given.line), limits),
        digest=hashlib.sha256(data).hexdigest(),
    )
    given.end()
    return made


def read_pipelines(
    files: Iterable[RuleFile | Problem], limits: RuleLimits = STANDARD
) -> tuple[tuple[Pipeline, ...], tuple[Problem, ...]]:
    """The pipelines of these files, and what is wrong with those that cannot be used."""
    made: list[Pipeline] = []
    problems: list[Problem] = []
    for one in files:
        if isinstance(one, Problem):
            problems.append(one)
            continue
        try:
            made.append(read_pipeline(one.data, limits))
        except Refused as refused:
            problems.append(refused.problem(one.name))
    return tuple(made), tuple(problems)
