"""Dotted paths into an event. A whole name with dots wins over nesting; a list leads into its elements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LONGEST_LIST = 1000
"""Elements of a list that are followed."""


class Path:
    """``userIdentity.arn``: found nested, or under this very name."""

    __slots__ = ("name", "steps")

    def __init__(self, name: str) -> None:
        self.name = name
        self.steps = tuple(name.split("."))

    def find(self, event: Mapping[str, Any]) -> Any:
        """What stands there; None where nothing does; a list where a list was on the way."""
        if self.name in event:
            return event[self.name]
        return _descend(event, self.steps) if len(self.steps) > 1 else None


def _descend(here: Any, steps: tuple[str, ...]) -> Any:
    for at, step in enumerate(steps):
        if isinstance(here, list):
            found = [_descend(one, steps[at:]) for one in here[:LONGEST_LIST] if isinstance(one, Mapping)]
            return [one for one in found if one is not None] or None
        if not isinstance(here, Mapping):
            return None
        here = here.get(step)
    return here


def scalars(found: Any) -> list[Any]:
    """The values of a field: itself, or a list's elements; no objects, no None."""
    if isinstance(found, list):
        return [
            one for one in found[:LONGEST_LIST] if one is not None and not isinstance(one, (Mapping, list))
        ]
    return [] if found is None or isinstance(found, Mapping) else [found]


def text_of(found: Any) -> str:
    """A JSON scalar as text."""
    if isinstance(found, str):
        return found
    return ("true" if found else "false") if isinstance(found, bool) else str(found)
