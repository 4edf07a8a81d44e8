"""An object's neighbourhood as SVG: the object in the middle, what is near it on two rings around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

MOST_INNER: Final = 8
MOST_OUTER: Final = 16
MOST_DRAWN: Final = MOST_INNER + MOST_OUTER
_WIDTH, _HEIGHT = 960, 560
_INNER, _OUTER = (225, 120), (400, 225)
_LONGEST = 17
"""Characters of a name: what two neighbours on a ring leave room for."""


@dataclass(frozen=True)
class Node:
    """One thing to draw. ``title`` says all of it; ``relation`` stands small below its name.

    ``is_member``: an institution that saw the object, drawn as a square.
    """

    name: str
    relation: str
    title: str
    path: str = ""
    is_member: bool = False


@dataclass(frozen=True)
class _Placed:
    node: Node
    x: float
    y: float


def draw(middle: str, nodes: Sequence[Node], *, title: str) -> Markup:
    """The drawing of at most MOST_DRAWN nodes, the first of them nearest. Needs at least one."""
    inner, outer = nodes[:MOST_INNER], nodes[MOST_INNER:MOST_DRAWN]
    placed = [*_on_ring(inner, *_INNER), *_on_ring(outer, *_OUTER)]
    at_x, at_y = _WIDTH / 2, _HEIGHT / 2
    # As high as what there is to draw, with its words: one neighbour needs no page of its own.
    top = min(at_y, *(one.y for one in placed)) - 20
    foot = max(at_y, *(one.y for one in placed)) + 50
    parts = [
        f'<svg role="group" aria-label="{escape(title)}" viewBox="0 {top:.0f} {_WIDTH} {foot - top:.0f}" '
        'xmlns="http://www.w3.org/2000/svg">',
        f"<title>{escape(title)}</title>",
    ]
    parts += [
        f'<line x1="{at_x:.0f}" y1="{at_y:.0f}" x2="{one.x:.0f}" y2="{one.y:.0f}" '
        'stroke="currentColor" stroke-opacity="0.3"/>'
        for one in placed
    ]
    parts.append(
        f'<circle cx="{at_x:.0f}" cy="{at_y:.0f}" r="16" class="middle"/>'
        f'<text x="{at_x:.0f}" y="{at_y + 36:.0f}" font-size="15" font-weight="700" text-anchor="middle" '
        f'class="named" fill="currentColor">{escape(_cut(middle, 28))}</text>'
    )
    parts += map(_drawn, placed)
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - every text above is escaped


def _on_ring(nodes: Sequence[Node], wide: float, high: float) -> list[_Placed]:
    placed = []
    for number, node in enumerate(nodes):
        # Half a step from the top: with two or four of them none hides another's words.
        angle = 2 * math.pi * (number + 0.5) / len(nodes) - math.pi / 2
        placed.append(
            _Placed(node, _WIDTH / 2 + wide * math.cos(angle), _HEIGHT / 2 + high * math.sin(angle))
        )
    return placed


def _drawn(one: _Placed) -> str:
    x, y, node = one.x, one.y, one.node
    shape = (
        f'<rect x="{x - 9:.0f}" y="{y - 9:.0f}" width="18" height="18" class="node"/>'
        if node.is_member
        else f'<circle cx="{x:.0f}" cy="{y:.0f}" r="10" class="node"/>'
    )
    words = (
        f"<title>{escape(node.title)}</title>"
        f'<rect x="{x - 62:.0f}" y="{y - 14:.0f}" width="124" height="58" fill-opacity="0"/>{shape}'
        f'<text x="{x:.0f}" y="{y + 26:.0f}" font-size="14" text-anchor="middle" class="named" '
        f'fill="currentColor">{escape(_cut(node.name, _LONGEST))}</text>'
        f'<text x="{x:.0f}" y="{y + 42:.0f}" font-size="12" text-anchor="middle" class="named soft" '
        f'fill="currentColor">{escape(_cut(node.relation, _LONGEST + 3))}</text>'
    )
    return f'<a href="{escape(node.path)}">{words}</a>' if node.path else f"<g>{words}</g>"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
