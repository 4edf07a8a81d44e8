"""Fields of an event, as correlations group and count them.

Texts are the same whatever their case, numbers the same as their text, as everywhere in Sigma. A list
is several values. Nothing is longer than ``LENGTH`` characters: what follows is not compared.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from istmo.detect.sigma.fields import EventView
from istmo.detect.sigma.matchers import read_number
from istmo.detect.sigma.texts import fold

LENGTH = 1024
SCALE = 1_000_000_000
"""Numbers are kept as whole billionths: sums are exact, and the same whatever was added and taken away."""
LARGEST = 10.0**18

Key = tuple[str, ...]
Fields = Mapping[str, Any]


def texts_at(fields: Fields, name: str) -> Sequence[str]:
    """The texts of a field's values; none where it is absent or null."""
    found = fields.get(name)
    if type(found) is str:
        return (found[:LENGTH],)
    if found is None and "." not in name:
        return ()
    return [one.text[:LENGTH] for one in EventView(fields).values[name]]


def numbers_at(fields: Fields, name: str) -> list[int]:
    """A field's numbers, also where they are texts, in billionths. Other values are not numbers."""
    numbers: list[int] = []
    for one in EventView(fields).values[name]:
        number = read_number(one)
        if number is not None and math.isfinite(number) and abs(number) <= LARGEST:
            numbers.append(number * SCALE if isinstance(number, int) else round(number * SCALE))
    return numbers


def unscaled(number: int) -> float:
    """Billionths as a number; whole ones stay whole."""
    whole, rest = divmod(number, SCALE)
    return number / SCALE if rest else whole


def combinations(fields: Fields, names: Sequence[str], most: int) -> dict[Key, Key]:
    """Each combination of the fields' values, folded, to how it was written; none where a field has none."""
    if len(names) == 1:
        values = texts_at(fields, names[0])
        if len(values) == 1:
            return {(fold(values[0]),): (values[0],)}
    found: dict[Key, Key] = {}
    for written in itertools.product(*(texts_at(fields, name) for name in names)):
        found.setdefault(tuple(map(fold, written)), written)
        if len(found) >= most:
            break
    return found


def merged(each: Iterable[dict[Key, Key]], most: int) -> dict[Key, Key]:
    """The combinations of several events, each once."""
    found: dict[Key, Key] = {}
    for one in each:
        for key, written in one.items():
            found.setdefault(key, written)
            if len(found) >= most:
                return found
    return found
