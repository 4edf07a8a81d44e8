"""From the offsets that a scan found back to the events: both ascend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from istmo.detect.sigma.engine.framing import FRAME, Framed
from istmo.detect.sigma.engine.scanners import Scanner


def places(scanner: Scanner, framed: Framed) -> Iterator[tuple[int, int]]:
    """Events, by place, with the number of what is found in each, as often as it is there."""
    data, lengths = framed
    place, end_of_event = 0, lengths[0] + FRAME
    for number, end in scanner.scan(data):
        while end > end_of_event:
            place += 1
            end_of_event += lengths[place] + FRAME
        yield place, number


def note(
    scanner: Scanner,
    framed: Framed | None,
    says: Sequence[tuple[int, ...]],
    candidates: dict[int, set[int]],
    where: Sequence[int] | None = None,
) -> list[int]:
    """Add what is found in events, where these are not all of a batch by ``where``; those with a mark."""
    marked: list[int] = []
    if framed is None:
        return marked
    literals, last = len(says), -1
    seen: set[int] = set()  # in this event: a value may repeat itself a thousand times
    for at, number in places(scanner, framed):
        if at != last:
            seen.clear()
            last = at
        if number in seen:
            continue
        seen.add(number)
        if number >= literals:
            if not marked or marked[-1] != at:
                marked.append(at)
            continue
        place = at if where is None else where[at]
        known = candidates.get(place)
        if known is None:
            candidates[place] = set(says[number])
        else:
            known.update(says[number])
    return marked
