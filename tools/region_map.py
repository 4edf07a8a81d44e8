"""Draws the map of the region once, from Natural Earth's countries (1:50 million, public domain).

    python tools/region_map.py countries-50m.json > src/istmo/kit/region_map.json

The file is TopoJSON as the npm package ``world-atlas`` carries it. What is written: the countries that are
drawn each for itself, the land around them in one path, and where a mark stands in each. Plain
plate carrée at the latitude of the middle; shared borders are simplified once, so that they still fit.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

COUNTRIES = {
    "320": "GT",
    "084": "BZ",
    "340": "HN",
    "222": "SV",
    "558": "NI",
    "188": "CR",
    "591": "PA",
    "214": "DO",
}
"""ISO 3166 numbers of the states of the Central American Integration System, and their letters."""
WEST, EAST, SOUTH, NORTH = -93.0, -68.0, 6.8, 20.4
WIDTH = 720
COARSE = 0.5
"""Pixels by which a simplified border may lie off."""
SMALL = 3.0
"""Square pixels below which an island is left out."""
MARKS = {
    "BZ": (-88.75, 17.2),
    "SV": (-88.95, 13.75),
    "PA": (-80.2, 8.45),
    "CR": (-84.1, 10.0),
    "HN": (-86.8, 14.9),
}
"""Where the middle of the outline would not do."""
Point = tuple[float, float]

_SHRINK = math.cos(math.radians((SOUTH + NORTH) / 2))
_SCALE = WIDTH / ((EAST - WEST) * _SHRINK)
HEIGHT = round((NORTH - SOUTH) * _SCALE)


def project(lon: float, lat: float) -> Point:
    """Degrees to pixels."""
    return (lon - WEST) * _SHRINK * _SCALE, (NORTH - lat) * _SCALE


def arcs_of(topology: dict[str, Any]) -> list[list[Point]]:
    """Every arc, projected and simplified."""
    (sx, sy), (tx, ty) = topology["transform"]["scale"], topology["transform"]["translate"]
    found = []
    for arc in topology["arcs"]:
        x = y = 0
        points = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            points.append(project(x * sx + tx, y * sy + ty))
        found.append(simplify(points))
    return found


def simplify(points: list[Point]) -> list[Point]:
    """Douglas and Peucker's way: the ends stay."""
    if len(points) < 3:
        return points
    (ax, ay), (bx, by) = points[0], points[-1]
    length = math.hypot(bx - ax, by - ay)

    def off(point: Point) -> float:
        if not length:
            return math.hypot(point[0] - ax, point[1] - ay)
        return abs((bx - ax) * (ay - point[1]) - (ax - point[0]) * (by - ay)) / length

    at = max(range(1, len(points) - 1), key=lambda n: off(points[n]))
    if off(points[at]) <= COARSE:
        return [points[0], points[-1]]
    return simplify(points[: at + 1])[:-1] + simplify(points[at:])


def rings(geometry: dict[str, Any], arcs: list[list[Point]]) -> Iterable[list[Point]]:
    """The outlines of a country, holes included."""
    polygons = geometry["arcs"] if geometry["type"] == "MultiPolygon" else [geometry["arcs"]]
    for polygon in polygons:
        for ring in polygon:
            points: list[Point] = []
            for number in ring:
                arc = arcs[number] if number >= 0 else arcs[~number][::-1]
                points += arc[1:] if points else arc
            clipped = clip(points)
            if len(clipped) > 3 and abs(area(clipped)) >= SMALL:
                yield clipped


def area(ring: list[Point]) -> float:
    """Square pixels, signed."""
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, ring[1:] + ring[:1], strict=True)) / 2


def clip(ring: list[Point]) -> list[Point]:
    """What lies within the picture and a little around it (Sutherland and Hodgman's way)."""
    for axis, bound, sign in ((0, -9.0, 1), (0, WIDTH + 9.0, -1), (1, -9.0, 1), (1, HEIGHT + 9.0, -1)):
        kept: list[Point] = []
        for a, b in zip(ring[-1:] + ring[:-1], ring, strict=True):
            is_in, was_in = (b[axis] - bound) * sign >= 0, (a[axis] - bound) * sign >= 0
            if is_in != was_in:
                share = (bound - a[axis]) / (b[axis] - a[axis])
                kept.append((a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])))
            if is_in:
                kept.append(b)
        ring = kept
        if not ring:
            return []
    return ring


def path(found: Iterable[list[Point]]) -> str:
    """An SVG path, each step relative to the last, in tenths of a pixel."""
    parts = []
    for ring in found:
        at = (0, 0)
        for n, (x, y) in enumerate(ring):
            here = (round(x * 10), round(y * 10))
            step = (here[0] - at[0], here[1] - at[1])
            if n and step == (0, 0):
                continue
            word = f"{step[0] / 10:g} {step[1] / 10:g}"
            parts.append(f"M{here[0] / 10:g} {here[1] / 10:g}" if not n else f"l{word}")
            at = here
        parts.append("z")
    return "".join(parts)


def middle(found: list[list[Point]], code: str) -> Point:
    """Where a country's mark stands."""
    if code in MARKS:
        return project(*MARKS[code])
    largest = max(found, key=lambda ring: abs(area(ring)))
    return sum(x for x, _ in largest) / len(largest), sum(y for _, y in largest) / len(largest)


def main() -> None:
    """Read the file that is named, write the map."""
    topology = json.loads(Path(sys.argv[1]).read_bytes())
    arcs = arcs_of(topology)
    countries, around = {}, []
    for geometry in topology["objects"]["countries"]["geometries"]:
        if geometry["type"] not in ("Polygon", "MultiPolygon"):
            continue
        found = list(rings(geometry, arcs))
        code = COUNTRIES.get(str(geometry.get("id", "")))
        if code and found:
            x, y = middle(found, code)
            countries[code] = {"path": path(found), "at": [round(x), round(y)]}
        else:
            around += found
    drawn = {
        "source": "Natural Earth, 1:50 million, public domain",
        "size": [WIDTH, HEIGHT],
        "around": path(around),
        "countries": dict(sorted(countries.items())),
    }
    sys.stdout.write(json.dumps(drawn, indent=1) + "\n")


if __name__ == "__main__":
    main()
