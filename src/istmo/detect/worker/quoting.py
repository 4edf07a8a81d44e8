"""A correlation's match as it is told: with the events that took part, read back from the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

import structlog

from istmo.detect.eventstore.follow import FollowedLog, open_segment, read_lines
from istmo.detect.eventstore.lines import StoredEvent, place_of, place_of_id
from istmo.detect.eventstore.sealing import SealedAway
from istmo.detect.hits import fitting, rule_hit
from istmo.detect.normalise import NormalEvent
from istmo.detect.sigma import Correlation
from istmo.detect.sigma.correlating import CorrelationMatch
from istmo.detect.sigma.fields import EventView
from istmo.detect.wire import SIGMA, Position, WireHit, WireMatch

log = structlog.get_logger(__name__)

QUOTED: Final = 40
"""Events of one match that are quoted: as many as an alert keeps, half of them the first, half the last."""
MOST_QUOTED: Final = 2_000
"""In what is told at once: where a flood of matches would quote more, the rest name their newest event."""
_FAR: Final = 2_000
"""Lines between two events from which on it is quicker to look for the second anew."""
_SYMBOLS: Final = {"gt": ">", "gte": "≥", "lt": "<", "lte": "≤", "eq": "=", "neq": "≠"}
_LONGEST: Final = 1_000


@dataclass(frozen=True)
class Found:
    """A match, and where in the log it was found."""

    at: Position
    match: CorrelationMatch


class Quoting:
    """Makes matches ready to be told."""

    def __init__(self, event_log: FollowedLog) -> None:
        self._log = event_log

    def tell(self, found: Sequence[tuple[str, Correlation, Found]]) -> list[WireMatch]:
        """Matches with their correlation and its key, in the order in which they were found."""
        room = MOST_QUOTED
        wanted: list[list[str]] = []
        for _, _, one in found:
            quoted = _ends([str(event) for event in one.match.references], QUOTED if room > 0 else 1)
            room -= len(quoted)
            wanted.append(quoted)
        events = {event.id: event for event in self._read(set(chain.from_iterable(wanted)))}
        hits = iter(
            fitting(
                [
                    _hit(key, correlation, one.match, id_, events)
                    for (key, correlation, one), quoted in zip(found, wanted, strict=True)
                    for id_ in quoted
                ]
            )
        )
        return [
            _wire(key, correlation, one, list(islice(hits, len(quoted))))
            for (key, correlation, one), quoted in zip(found, wanted, strict=True)
        ]

    def _read(self, ids: Iterable[str]) -> Iterator[StoredEvent]:
        by_segment: dict[int, list[int]] = {}
        for id_ in ids:
            place = place_of_id(id_)
            by_segment.setdefault(place.segment, []).append(place.line)
        for segment, lines in sorted(by_segment.items()):
            for run in _runs(sorted(lines)):
                yield from self._read_run(segment, run)

    def _read_run(self, segment: int, lines: list[int]) -> Iterator[StoredEvent]:
        try:
            reader = open_segment(self._log.folder, segment, lines[0])
        except (OSError, ValueError) as error:
            log.error("event_segment_unreadable", segment=segment, problem=str(error))
            return
        wanted = set(lines)
        try:
            while reader.line <= lines[-1]:
                read = reader.read()
                if not read:
                    return
                # By the id in it: lines before it may be kept no longer, or could not be read.
                found = ((line, place_of(line)) for line in read)
                yield from read_lines([line for line, place in found if place and place.line in wanted])
        except SealedAway as error:
            log.error("event_segment_unreadable", segment=segment, problem=str(error))
        finally:
            reader.close()


def _runs(lines: list[int]) -> Iterator[list[int]]:
    run = lines[:1]
    for line in lines[1:]:
        if line - run[-1] > _FAR:
            yield run
            run = []
        run.append(line)
    yield run


def _ends(events: list[str], most: int) -> list[str]:
    """The first and the last of them; the last alone where there is room for one."""
    if len(events) <= most:
        return events
    return [*events[: most // 2], *events[len(events) - (most - most // 2) :]]


def _wire(key: str, correlation: Correlation, found: Found, events: list[WireHit]) -> WireMatch:
    match = found.match
    return WireMatch(
        subject=key,
        at=found.at,
        first=match.first,
        last=match.last,
        type=correlation.type,
        timespan=correlation.timespan,
        condition=", ".join(f"{_SYMBOLS[one.operator]} {one.value:g}" for one in correlation.bounds),
        value=match.value,
        fields=list(correlation.fields),
        group={name: value[:_LONGEST] for name, value in match.group.items()},
        number=len(match.references),
        events=events,
    )


def _hit(
    key: str, correlation: Correlation, match: CorrelationMatch, id_: str, events: Mapping[str, StoredEvent]
) -> WireHit:
    """One event that took part; by its id alone where it cannot be read any more."""
    try:
        event = events[id_]
        normal = event.normal
    except Exception as error:
        log.warning("event_not_quoted", place=id_, problem=repr(error))
        return WireHit(SIGMA, key, id_, match.last, "", {}, b"")
    return rule_hit(key, event, normal, _fields(correlation, normal))


def _fields(correlation: Correlation, normal: NormalEvent) -> dict[str, str]:
    """What the correlation looks at in an event: fields of its groups, and those it counts."""
    aliased = (field for by in correlation.aliases.values() for field in by.values())
    view = EventView(normal.fields)
    told: dict[str, str] = {}
    for name in dict.fromkeys((*correlation.group_by, *correlation.fields, *aliased)):
        values = view.values[name]
        if values:
            told[name] = ", ".join(str(one.raw) for one in values[:10])[:_LONGEST]
    return told
