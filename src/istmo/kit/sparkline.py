"""A sparkline as SVG drawn on the server: how much over equal steps of time, for a table's cell."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

_STEP, _HEIGHT = 2, 20


def spark(counts: Sequence[int], *, title: str) -> Markup:
    """Bars in the text's colour, with ``title`` for those who do not see them. Needs at least one count."""
    highest = max(*counts, 1)
    width = len(counts) * _STEP
    bars = Markup("").join(
        Markup('<rect x="{}" y="{:.1f}" width="{}" height="{:.1f}" fill="currentColor"/>').format(
            at * _STEP, _HEIGHT - height, _STEP - 0.5, height
        )
        for at, count in enumerate(counts)
        if count and (height := max(1.0, _HEIGHT * count / highest))
    )
    return Markup(
        '<svg class="sparkline" role="img" width="{}" height="{}" viewBox="0 0 {} {}" '
        'xmlns="http://www.w3.org/2000/svg"><title>{}</title>{}</svg>'
    ).format(width, _HEIGHT, width, _HEIGHT, title, bars)
