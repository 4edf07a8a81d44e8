"""Hunts by Sigma rules over stored events, answered line by line."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Annotated, Final

import orjson
from litestar import post
from litestar.params import QueryParameter
from litestar.response import Stream

from istmo.detect.api_lines import NDJSON, problem_told
from istmo.detect.service import Detect
from istmo.detect.shapes_hunt import HuntEnd, LeftOutOfHunt, MatchLine, RuleSum
from istmo.detect.stories import from_micros
from istmo.detect.wire import LeftOutRule, Problem, RuleFound, RuleHits, RuleMatch
from istmo.errors import InvalidInput
from istmo.kit.access import PEOPLE
from istmo.kit.answering import heard
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.kit.openapi import TEXT, operation_with_both
from istmo.model import instants

LARGEST_BODY: Final = 8 << 20
"""Outer bound in bytes; the service's own limit is checked behind it."""


@post(
    "/api/v1/events/hunt",
    opt=PEOPLE,
    status_code=200,
    sync_to_thread=True,
    request_max_body_size=LARGEST_BODY,
    operation_class=operation_with_both(
        "Sigma rules as YAML, several documents or one; nothing for the node's own.",
        {"application/yaml": TEXT},
        "One match a line; the last line has ``done`` and the sums.",
        {NDJSON: TEXT},
    ),
)
def hunt_events(
    body: bytes,
    asker: Asker,
    detect: Detect,
    catalogue: Catalogue,
    rule: str = "",
    start: Annotated[str, QueryParameter(name="from")] = "",
    end: Annotated[str, QueryParameter(name="to")] = "",
    limit: int = 100,
) -> Stream:
    """Stored events that Sigma rules match: the body's YAML, one ``rule`` of the node, or all in force."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise InvalidInput("detect.rule_hunt_not_text") from None
    parts = detect.hunt_rules(
        asker.principal,
        text,
        rule=rule,
        start=instants.parse(start) if start else None,
        end=instants.parse(end) if end else None,
        limit=limit,
    )
    return Stream(heard(RuleLines(parts, asker, catalogue), asker), media_type=NDJSON)


class RuleLines(Iterator[bytes]):
    """The answer's lines. Closing it (the client has gone) calls the hunt off."""

    def __init__(self, parts: Generator[RuleHits], asker: Asker, catalogue: Catalogue) -> None:
        self._parts, self._asker, self._catalogue = parts, asker, catalogue
        self._found: list[RuleFound] = []
        self._left_out: list[LeftOutRule] = []
        self._looked = 0
        self._problem: Problem | None = None
        self._is_done = False

    def __next__(self) -> bytes:
        if self._is_done:
            raise StopIteration
        for part in self._parts:
            self._left_out += part.left_out
            self._found += part.found
            self._looked = part.looked or self._looked
            self._problem = part.problem or self._problem
            if not part.done:
                # An empty line now and then: whoever has gone is noticed by writing to them.
                return b"".join(map(_line, part.matches)) or b"\n"
        self._is_done = True
        return self._last()

    def close(self) -> None:
        """Call off what was asked."""
        self._parts.close()

    __del__ = close

    def _last(self) -> bytes:
        end: HuntEnd = {
            "done": True,
            "looked": self._looked,
            "rules": [_sum(one) for one in self._found],
            "left_out": [self._told(one) for one in self._left_out],
            "problem": problem_told(self._problem, self._asker, self._catalogue),
        }
        return orjson.dumps(end) + b"\n"

    def _told(self, one: LeftOutRule) -> LeftOutOfHunt:
        text = self._catalogue.text(self._asker.language, one.key, **one.params)
        return {"rule": one.rule, "line": one.line or None, "code": one.key, "text": text}


def _line(one: RuleMatch) -> bytes:
    line: MatchLine = {
        "rule": one.rule,
        "title": one.title,
        "level": one.level,
        "event": one.event_id,
        "time": instants.format(from_micros(one.time)),
        "host": one.host,
    }
    return orjson.dumps(line) + b"\n"


def _sum(one: RuleFound) -> RuleSum:
    return {
        "rule": one.rule,
        "title": one.title,
        "level": one.level,
        "count": one.count,
        "events": one.events,
    }


routes = [hunt_events]
