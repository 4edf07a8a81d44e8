"""What indicators would have matched here, had they been watched for: asked before they are published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from istmo.detect.link import WorkerLink
from istmo.detect.service.asking import Asking
from istmo.detect.stories import from_micros, to_micros
from istmo.detect.wire import WireIndicator
from istmo.policy import Action, Principal

DAYS: Final = 30
SECONDS: Final = 4.0
"""For which somebody who is about to publish waits."""
MOST_ASKED: Final = 2000
"""Indicators of one question."""


@dataclass(frozen=True)
class PastEvent:
    """One stored event; ``fields`` are those that matched."""

    id: str
    time: datetime
    host: str
    fields: Mapping[str, str]


@dataclass(frozen=True)
class PastMatch:
    """What one indicator would have matched."""

    count: int
    hosts: int
    first: datetime
    last: datetime
    examples: tuple[PastEvent, ...]


@dataclass(frozen=True)
class Past:
    """By indicator what it would have matched in so many ``days``; nothing for one that matched nothing."""

    found: Mapping[str, PastMatch] = field(default_factory=dict)
    days: int = DAYS
    asked: int = 0
    """How many indicators were looked for."""
    left_out: int = 0
    """How many were not, since they are too many at once."""
    problem: str | None = None
    """The code of why not everything was seen."""
    params: Mapping[str, Any] = field(default_factory=dict)


class PastMatching(Asking):
    """Questions about stored events that indicators not yet published would answer."""

    _link: WorkerLink

    def past(
        self,
        principal: Principal,
        indicators: Mapping[str, tuple[Sequence[tuple[str, str]], str | None]],
    ) -> Past:
        """What indicators (terms by kind and value, and a plan) would have matched in the last days.

        Within a few seconds, the newest events first. Raises NotAllowed, and Unavailable without a worker
        or with too many such questions under way.
        """
        self._require(principal, Action.EVENT_SEARCH, self._own("event"))
        asked = [
            WireIndicator(id, [(kind, value) for kind, value in terms], None, plan)
            for id, (terms, plan) in list(indicators.items())[:MOST_ASKED]
            if terms or plan is not None
        ]
        left_out = max(0, len(indicators) - MOST_ASKED)
        if not asked:
            return Past()
        start = to_micros(self._clock.now() - timedelta(days=DAYS))
        answer = self._link.ask.past(asked, start, SECONDS)
        found = {
            one.id: PastMatch(
                one.count,
                one.hosts,
                from_micros(one.first),
                from_micros(one.last),
                tuple(PastEvent(x.event_id, from_micros(x.time), x.host, x.fields) for x in one.examples),
            )
            for one in answer.found
        }
        problem = answer.problem
        return Past(
            found,
            DAYS,
            len(asked),
            left_out,
            None if problem is None else problem.code,
            {} if problem is None else problem.params,
        )
