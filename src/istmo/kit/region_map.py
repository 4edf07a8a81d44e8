"""The region drawn: a map of its states, and one equal square a state.

The outlines are made once by ``tools/region_map.py`` of Natural Earth's and rest beside this file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup, escape

_FILE = Path(__file__).parent / "region_map.json"
GRADES: Final = ("none", "good", "warn", "bad")
"""How a place is doing, the best last but ``none``: nobody is there. Also the class of its colour."""
_MARKS = {"none": "○", "good": "●", "warn": "▲", "bad": "■"}
TILES: Final = {
    "BZ": (1, 2),
    "GT": (2, 1),
    "HN": (2, 2),
    "SV": (3, 2),
    "NI": (3, 3),
    "CR": (4, 3),
    "PA": (4, 4),
    "DO": (1, 5),
}
"""Row and column of each state's square."""


@dataclass(frozen=True)
class Place:
    """One state: its ISO 3166 letters, what is said of it, and how it is doing (``GRADES``)."""

    country: str
    name: str
    grade: str
    told: str
    path: str = ""


@cache
def _outlines() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_FILE.read_text("utf-8"))
    return found


def worst(grades: Iterable[str]) -> str:
    """The grade of several in one state."""
    return max(grades, key=GRADES.index, default="none")


def draw(places: Sequence[Place], *, title: str) -> Markup:
    """The map, with a mark in each state that has a member: colour never speaks alone."""
    drawn = _outlines()
    width, height = drawn["size"]
    grades = {code: worst(one.grade for one in places if one.country == code) for code in drawn["countries"]}
    said = {
        code: "; ".join(f"{one.name}: {one.told}" for one in places if one.country == code) for code in grades
    }
    parts = [
        f'<svg class="map" role="img" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">',
        f"<title>{escape(title)}</title>",
        f'<path class="around" d="{drawn["around"]}"/>',
    ]
    for code, country in drawn["countries"].items():
        about = f"<title>{escape(said[code])}</title>" if said[code] else ""
        parts.append(
            f'<path class="place {grades[code]}" d="{country["path"]}" fill-rule="evenodd">{about}</path>'
        )
    for code, country in drawn["countries"].items():
        if grades[code] != "none":
            x, y = country["at"]
            parts.append(
                f'<text class="mark {grades[code]}" x="{x}" y="{y}" font-size="24" text-anchor="middle" '
                f'dominant-baseline="central">{_MARKS[grades[code]]}</text>'
            )
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - every text above is escaped


@dataclass(frozen=True)
class Tile:
    """One state's square: its letters, the class of its cell, its worst grade, and who is there."""

    country: str
    cell: str
    grade: str
    places: tuple[Place, ...]


def tiles(places: Sequence[Place]) -> list[Tile]:
    """A square for each state of the region, and after them one for each other state with a member."""
    codes = [*TILES, *sorted({one.country for one in places} - TILES.keys())]
    return [
        Tile(
            code,
            f"tile-{code.lower()}" if code in TILES else "",
            worst(one.grade for one in places if one.country == code),
            tuple(one for one in places if one.country == code),
        )
        for code in codes
    ]
