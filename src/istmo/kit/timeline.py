"""A timeline as SVG drawn on the server: bars over equal steps of time, presentation attributes only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup, escape

from istmo.kit.times import local

_WIDTH, _HEIGHT, _FOOT, _BROAD = 720, 80, 2, 36
_STEPS = (60, 300, 900, 3_600, 10_800, 21_600, 86_400, 604_800)


@dataclass(frozen=True)
class Bar:
    """One step of time and how many fell into it."""

    start: datetime
    count: int
    parts: tuple[tuple[str, str, int], ...] = ()
    """What it is made of, from below: class of the colour, what it is called, how many."""


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


def draw(found: Sequence[Bar], *, title: str, zone: str, paths: Sequence[str] = ()) -> Markup:
    """The chart, in the text's colour, with ``title`` for those who do not see it. Needs at least one bar.

    ``paths``: where each bar leads. For a pointer alone; the table beside the chart has them for all.
    """
    highest = max(bar.count for bar in found)
    # Few bars spread over the whole width, whose ends are written below; they do not grow into blocks.
    slot = _WIDTH / len(found)
    broad = min(slot * 0.8, _BROAD)
    room = _HEIGHT - _FOOT - 4
    # What has links in it is no picture to whoever hears the page.
    role = f'role="group" aria-label="{escape(title)}"' if paths else 'role="img"'
    parts = [
        f'<svg {role} viewBox="0 0 {_WIDTH} {_HEIGHT}" xmlns="http://www.w3.org/2000/svg">',
        "" if paths else f"<title>{escape(title)}</title>",
        f'<line x1="0" y1="{_HEIGHT - _FOOT}" x2="{_WIDTH}" y2="{_HEIGHT - _FOOT}" '
        'stroke="currentColor" stroke-opacity="0.35"/>',
    ]
    for at, bar in enumerate(found):
        if not bar.count:
            continue
        told = f"{local(bar.start, zone)}: {bar.count}"
        told += "".join(f"; {name} {count}" for _, name, count in reversed(bar.parts))
        group = f'a href="{escape(paths[at])}" tabindex="-1" aria-label="{escape(told)}"' if paths else "g"
        parts.append(f"<{group}><title>{escape(told)}</title>")
        if paths:  # all of the height can be pressed: a low bar is hard to hit
            parts.append(
                f'<rect x="{at * slot:.1f}" y="0" width="{slot:.1f}" height="{_HEIGHT}" fill="none" '
                'pointer-events="all"/>'
            )
        height = max(3.0, room * bar.count / highest)
        foot = float(_HEIGHT - _FOOT)
        for name, share in [(one[0], one[2]) for one in bar.parts] or [("", bar.count)]:
            part = height * share / bar.count
            foot -= part
            colour = f'class="{escape(name)}"' if name else 'fill="currentColor" fill-opacity="0.75"'
            parts.append(
                f'<rect x="{at * slot + (slot - broad) / 2:.1f}" y="{foot:.1f}" '
                f'width="{broad:.1f}" height="{part:.1f}" {colour}/>'
            )
        parts.append("</a>" if paths else "</g>")
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - every text above is escaped
