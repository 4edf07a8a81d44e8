"""What a search comes to: how many events in each stretch of time, and the most frequent values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from litestar import Request

from istmo.detect.pages.hunt_asked import Asked, between, narrowed, term_of
from istmo.detect.pages.hunt_stream import error_words, problem_words
from istmo.detect.service import Detect
from istmo.errors import IstmoError
from istmo.kit.pages import asker_of, faces_of
from istmo.kit.timeline import Bar, draw

MOST_BARS: Final = 48
TOP: Final = 15
LONGEST_VALUE: Final = 300
"""Characters of a value that a link carries."""
_STEPS: Final = (
    60,
    300,
    900,
    1_800,
    3_600,
    10_800,
    21_600,
    43_200,
    86_400,
    604_800,
    2_592_000,
)
_COARSE: Final = 21_600
"""Seconds in which events are counted where no time is asked for."""


@dataclass(frozen=True)
class Step:
    """One bar: from when to before when, how many, and the address of these events alone."""

    start: datetime
    end: datetime
    count: int
    path: str


@dataclass(frozen=True)
class Frequent:
    """A value, how often it is, its share of the most frequent one in 100, and the address of its events."""

    text: str
    count: int
    share: int
    path: str


@dataclass(frozen=True)
class Counted:
    """Everything beside the table."""

    total: int = 0
    steps: tuple[Step, ...] = ()
    chart: str = ""
    by: str = "host"
    values: tuple[Frequent, ...] = ()
    rest: int = 0
    missing: int = 0
    problem: str = ""


def count(request: Request[Any, Any, Any], detect: Detect, asked: Asked) -> Counted:
    """Count what a question finds; what stands against it is said in ``problem``."""
    asker, faces = asker_of(request), faces_of(request)
    by = asked.by or "host"
    now = faces.clock.now()
    try:
        start, end = asked.stretch(now)
        seconds = _step(start, end or now)
        tally, problem = detect.count(
            asker.principal, asked.query, start=start, end=end, by=by, top=TOP, seconds=seconds
        )
    except IstmoError as error:
        if error.status in (401, 403):
            raise
        return Counted(by=by, problem=error_words(error, asker, request))
    names = detect.source_names(asker.principal) if by.lower() == "source" else {}
    steps = _steps(asked, tally.buckets, seconds, start, end or now)
    chart = ""
    if tally.total and steps:
        title = faces.catalogue.text(asker.language, "console.hunting.chart", n=tally.total)
        bars = [Bar(one.start, one.count) for one in steps]
        chart = draw(bars, title=title, zone=asker.zone, paths=[one.path for one in steps])
    return Counted(
        tally.total,
        tuple(steps),
        chart,
        by,
        tuple(_frequent(asked, by, tally.values, names)),
        tally.rest,
        tally.missing,
        problem_words(problem, request),
    )


def _step(start: datetime | None, end: datetime) -> int:
    if start is None or end <= start:
        return _COARSE
    span = (end - start).total_seconds()
    return next((one for one in _STEPS if span / one <= MOST_BARS), int(span / MOST_BARS) + 1)


def _steps(
    asked: Asked, buckets: Sequence[tuple[int, int]], seconds: int, start: datetime | None, end: datetime
) -> list[Step]:
    if not buckets:
        return []
    first, last = buckets[0][0] // 1_000_000, buckets[-1][0] // 1_000_000 + seconds
    if start is not None:
        first = min(first, int(start.timestamp()) // seconds * seconds)
        last = max(last, int(end.timestamp()) // seconds * seconds)
    # Two more may come of a stretch that begins and ends within a step.
    size = seconds * max(1, -(-(last - first) // (seconds * (MOST_BARS + 2))))
    counts: dict[int, int] = {}
    for at, number in buckets:
        place = (at // 1_000_000 - first) // size
        counts[place] = counts.get(place, 0) + number
    found = []
    for place in range(-(-(last - first) // size)):
        begin = datetime.fromtimestamp(0, UTC) + timedelta(seconds=first + place * size)
        until = begin + timedelta(seconds=size)
        path = replace(asked, within=between(begin, until)).path()
        found.append(Step(begin, until, counts.get(place, 0), path))
    return found


def _frequent(
    asked: Asked, by: str, values: Sequence[tuple[str, int]], names: Mapping[str, str]
) -> list[Frequent]:
    most = max((number for _, number in values), default=1)
    found = []
    for text, number in values:
        only = narrowed(asked, term_of(by, text)) if len(text) <= LONGEST_VALUE else None
        share = max(1, round(100 * number / most))
        found.append(Frequent(names.get(text, text), number, share, only.path() if only else ""))
    return found
