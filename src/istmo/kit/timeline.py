"""A timeline as SVG drawn on the server: bars over equal steps of time, presentation attributes only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup, escape

from istmo.kit.times import local

_WIDTH, _HEIGHT, _FOOT = 720, 80, 2
_STEPS = (60, 300, 900, 3_600, 10_800, 21_600, 86_400, 604_800)


@dataclass(frozen=True)
class Bar:
    """One step of time and how many fell into it."""

    start: datetime
    count: int


def bars(instants: Sequence[datetime], *, most: int = 60) -> list[Bar]:
    """Count ``instants`` over at most ``most`` equal steps, empty steps included. Empty in, empty out."""
    if not instants:
        return []
    first, last = min(instants), max(instants)
    span = (last - first).total_seconds()
    step = next((one for one in _STEPS if span / one < most - 1), int(span / (most - 1)) + 1)
    origin = int(first.timestamp()) // step * step
    counts: dict[int, int] = {}
    for instant in instants:
        at = (int(instant.timestamp()) - origin) // step
        counts[at] = counts.get(at, 0) + 1
    start = datetime.fromtimestamp(origin, tz=first.tzinfo)
    return [Bar(start + timedelta(seconds=at * step), counts.get(at, 0)) for at in range(max(counts) + 1)]


def draw(found: Sequence[Bar], *, title: str, zone: str) -> Markup:
    """The chart, in the text's colour, with ``title`` for those who do not see it. Needs at least one bar."""
    highest = max(bar.count for bar in found)
    slot = _WIDTH / max(len(found), 12)
    room = _HEIGHT - _FOOT - 4
    parts = [
        f'<svg role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}" xmlns="http://www.w3.org/2000/svg">',
        f"<title>{escape(title)}</title>",
        f'<line x1="0" y1="{_HEIGHT - _FOOT}" x2="{_WIDTH}" y2="{_HEIGHT - _FOOT}" '
        'stroke="currentColor" stroke-opacity="0.35"/>',
    ]
    for at, bar in enumerate(found):
        if bar.count:
            height = max(3.0, room * bar.count / highest)
            parts.append(
                f'<rect x="{at * slot + slot * 0.1:.1f}" y="{_HEIGHT - _FOOT - height:.1f}" '
                f'width="{slot * 0.8:.1f}" height="{height:.1f}" fill="currentColor" fill-opacity="0.75">'
                f"<title>{escape(local(bar.start, zone))}: {bar.count}</title></rect>"
            )
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - every text above is escaped
