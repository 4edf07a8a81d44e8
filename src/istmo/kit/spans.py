"""Spans of time as SVG drawn on the server: one line a name, from when to when, and how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup, escape

_WIDTH, _LINE, _LEFT, _RIGHT, _TOP = 720, 28, 170, 70, 6
_LONGEST = 22
_LEAST = 6.0
"""Width of what happened in one moment: it is to be seen."""


@dataclass(frozen=True)
class Span:
    """Something of ``name`` from ``first`` to ``last``; ``text`` stands at the end, ``title`` says all."""

    name: str
    first: datetime
    last: datetime
    text: str
    title: str


def draw(found: Sequence[Span], *, title: str) -> Markup:
    """The chart, in the text's colour, with ``title`` for who does not see it. Needs at least one span."""
    start, end = min(one.first for one in found), max(one.last for one in found)
    whole = max((end - start).total_seconds(), 1.0)
    room = _WIDTH - _LEFT - _RIGHT
    height = _TOP + _LINE * len(found)
    parts = [
        f'<svg role="img" viewBox="0 0 {_WIDTH} {height}" xmlns="http://www.w3.org/2000/svg">',
        f"<title>{escape(title)}</title>",
    ]
    for at, one in enumerate(found):
        middle = _TOP + _LINE * at + _LINE / 2
        left = _LEFT + room * (one.first - start).total_seconds() / whole
        width = max(_LEAST, room * (one.last - one.first).total_seconds() / whole)
        left = min(left, _LEFT + room - width)
        name = one.name if len(one.name) <= _LONGEST else one.name[: _LONGEST - 1] + "…"
        parts.append(
            f"<g><title>{escape(one.title)}</title>"
            f'<text x="0" y="{middle + 5:.0f}" font-size="14" fill="currentColor">{escape(name)}</text>'
            f'<line x1="{_LEFT}" y1="{middle:.0f}" x2="{_LEFT + room}" y2="{middle:.0f}" '
            'stroke="currentColor" stroke-opacity="0.25"/>'
            f'<rect x="{left:.1f}" y="{middle - 6:.0f}" width="{width:.1f}" height="12" rx="2" '
            'fill="currentColor" fill-opacity="0.75"/>'
            f'<text x="{_WIDTH}" y="{middle + 5:.0f}" font-size="14" text-anchor="end" '
            f'fill="currentColor">{escape(one.text)}</text></g>'
        )
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - every text above is escaped
