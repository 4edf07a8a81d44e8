"""An event's values as text: what a column holds and what a search compares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson


def texts_of(value: Any) -> list[str]:
    """The texts of one field: none for null, one for a plain value, one per element of a list."""
    if isinstance(value, str):
        return [value]
    if value is None:
        return []
    if isinstance(value, list):
        return [text for element in value for text in texts_of(element)]
    # Numbers and booleans as JSON writes them; what is nested further, as JSON too.
    return [orjson.dumps(value).decode()]


def leaves_of(value: Any) -> Iterator[str]:
    """Every text at the end of every branch of an event: what free text looks through."""
    waiting = [value]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            waiting.extend(here.values())
        elif isinstance(here, list):
            waiting.extend(here)
        else:
            yield from texts_of(here)
