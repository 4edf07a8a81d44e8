"""What of an event a query asks about: the fields that it names, as they stand in the event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from istmo.detect.eventstore.texts import texts_of
from istmo.detect.normalise import normalise
from istmo.detect.search.query import And, FieldIs, FieldRange, Node, Not, Or, parse_query

MOST: Final = 16
_ABOUT_ALL: Final = frozenset({"host", "source", "id"})
"""What every event has, and is told beside it."""


def quoted_fields(query: str, event: dict[str, Any]) -> dict[str, str]:
    """The fields of an event that a query names, outside ``NOT``. Raises InvalidInput as ``parse_query``."""
    wanted = {name.lower() for name in _named(parse_query(query).node)} - _ABOUT_ALL
    if not wanted:
        return {}
    found: dict[str, str] = {}
    for name, value in normalise(event).fields.items():
        if name.lower() in wanted and len(found) < MOST and (texts := texts_of(value)):
            found[name] = ", ".join(texts)
    return found


def _named(node: Node) -> Iterator[str]:
    match node:
        case And(of=of) | Or(of=of):
            for one in of:
                yield from _named(one)
        case FieldIs(name=name) | FieldRange(name=name):
            yield name
        case Not():
            return
