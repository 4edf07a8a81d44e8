"""A query as a question about one event: the truth, which every faster way only narrows down to."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from istmo.detect.eventstore.lines import StoredEvent
from istmo.detect.eventstore.texts import leaves_of, texts_of
from istmo.detect.eventstore.times import CLOCK, clock_trouble, event_micros
from istmo.detect.normalise import NormalEvent
from istmo.detect.search.query import And, FieldIs, FieldRange, Node, Not, Or, Query, Text, network_of
from istmo.detect.search.wildcards import inside_test, whole_test


class Seen:
    """One stored event, ready to be asked about. Field names do not mind case."""

    def __init__(self, event: StoredEvent, normal: NormalEvent | None) -> None:
        self.event, self.normal = event, normal
        self.time = event.received if normal is None else event_micros(normal, event.received)
        self.host = normal.host if normal else ""
        self._fields = normal.fields if normal else {}
        self._trouble = clock_trouble(normal, event.received) if normal else ""
        self._leaves: list[str] | None = None

    def texts(self, name: str) -> list[str]:
        """The texts of a field, in lower case; ``host``, ``source`` and ``id`` come with every event."""
        match name:
            case "host":
                return [self.host.lower()]
            case "source":
                return [self.event.source.lower()]
            case "id":
                return [self.event.id]
        if name == CLOCK and self._trouble:
            return [self._trouble]
        # Only what is asked for is made texts of: an event has dozens of fields, and a question names a few.
        return [
            text.lower()
            for field, value in self._fields.items()
            if field == name or field.lower() == name
            for text in texts_of(value)
        ]

    def leaves(self) -> list[str]:
        """Every value of the event as it came, in lower case."""
        if self._leaves is None:
            self._leaves = [text.lower() for text in leaves_of(self.event.data)]
        return self._leaves


Question = Callable[[Seen], bool]


def question_of(query: Query) -> Question:
    """The whole query, its times included."""
    asks = _question(query.node)
    start, end = query.start, query.end

    def question(seen: Seen) -> bool:
        if start is not None and seen.time < start:
            return False
        if end is not None and seen.time >= end:
            return False
        return asks(seen)

    return question


def _question(node: Node) -> Question:
    match node:
        case And(of=of):
            every = [_question(one) for one in of]
            return lambda seen: all(one(seen) for one in every)
        case Or(of=of):
            some = [_question(one) for one in of]
            return lambda seen: any(one(seen) for one in some)
        case Not(of=inner):
            asks = _question(inner)
            return lambda seen: not asks(seen)
        case Text(text=text, has_wildcards=has_wildcards):
            stands_in = inside_test(text, has_wildcards=has_wildcards)
            return lambda seen: any(stands_in(leaf) for leaf in seen.leaves())
        case FieldIs():
            return _field_question(node)
        case FieldRange(name=name, holds=holds):
            low = name.lower()
            return lambda seen: any(holds(text) for text in seen.texts(low))


def _field_question(node: FieldIs) -> Question:
    name = node.name.lower()
    network = network_of(node)
    if network is not None:
        return lambda seen: any(_is_inside(text, network) for text in seen.texts(name))
    is_value = whole_test(node.value, has_wildcards=node.has_wildcards)
    return lambda seen: any(is_value(text) for text in seen.texts(name))


def _is_inside(text: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(text) in network
    except ValueError:
        return False
