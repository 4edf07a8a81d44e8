"""What products write, brought to Sigma's taxonomy by the data files in ``maps/``.

A map says, in this order:

* ``recognise``: one or several signatures. ``has``: paths that are all there, the first at the top
  level; ``is``: paths with one of these values; ``lacks``: paths that are not there. The first map
  whose signature fits is the event's (``order`` sorts them; 50 unless told).
* ``own``: the product's own names that published rules ask for, which come through as they are.
* ``inside``: paths of which the first that holds an object, or JSON text, is the event itself.
* ``fields``: rows of words (:mod:`istmo.detect.normalise.steps`), each ``when`` it applies.
* ``logsources``: rows of category, product and service, each ``when`` it applies.
* ``time`` and ``host``: paths, the first that can be read; ``is_utc`` where times without a zone are UTC.
* ``then: windows``: the fields are now those of a Windows event, and go on as one.
* ``examples``: events in the documented form with what must come of them. Tests run them.

``when`` names a path and the values of which the field must have one; ``"*"`` is any value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import orjson
import yaml

from istmo.detect.normalise.paths import Path, scalars, text_of
from istmo.detect.normalise.steps import WORDS, Step, as_list
from istmo.detect.normalise.times import EventTime, read_time
from istmo.detect.sigma.logsources import Logsource

Fields = dict[str, Any]
LARGEST_INSIDE = 1 << 20
"""Characters of an event that stands as JSON text inside another."""


@dataclass(frozen=True, slots=True)
class When:
    """Conditions on values, all of which must hold."""

    tests: tuple[tuple[Path, frozenset[str]], ...]

    def holds(self, fields: Mapping[str, Any]) -> bool:
        if not self.tests:
            return True
        for path, values in self.tests:
            found = path.find(fields)
            if "*" in values:
                if found is None:
                    return False
            elif not any(text_of(one) in values for one in scalars(found)):
                return False
        return True


@dataclass(frozen=True, slots=True)
class Signature:
    """How an event of a map is told; ``key`` is looked up first, and mostly that is all it takes."""

    key: str
    has: tuple[Path, ...]
    is_: When
    lacks: tuple[Path, ...]

    def fits(self, event: Mapping[str, Any]) -> bool:
        return (
            all(path.find(event) is not None for path in self.has)
            and self.is_.holds(event)
            and all(path.find(event) is None for path in self.lacks)
        )


@dataclass(frozen=True, slots=True)
class Map:
    """One data file."""

    name: str
    signatures: tuple[Signature, ...]
    inside: tuple[Path, ...]
    steps: tuple[tuple[When, tuple[Step, ...]], ...]
    sources: tuple[tuple[When, Logsource], ...]
    time: tuple[Path, ...]
    is_utc: bool
    host: tuple[Path, ...]
    is_windows: bool
    order: int
    documentation: tuple[str, ...]
    """Where the format is described."""
    names: frozenset[str] = field(repr=False)
    """Fields that rules can ask such an event for."""
    examples: tuple[dict[str, Any], ...] = field(repr=False)

    def inner(self, event: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The event that this one carries, where the map says that it does."""
        for path in self.inside:
            found = path.find(event)
            if isinstance(found, str) and found[:1] == "{" and len(found) <= LARGEST_INSIDE:
                try:
                    found = orjson.loads(found)
                except (orjson.JSONDecodeError, UnicodeEncodeError):
                    continue
            if isinstance(found, Mapping):
                return found
        return None

    def fields(self, event: Mapping[str, Any]) -> Fields:
        """The event's own fields and what the map makes of them."""
        fields = dict(event)
        for when, steps in self.steps:
            if when.holds(fields):
                for step in steps:
                    step(fields)
        return fields

    def logsources(self, fields: Mapping[str, Any]) -> tuple[Logsource, ...]:
        return tuple(dict.fromkeys(source for when, source in self.sources if when.holds(fields)))

    def time_of(self, fields: Mapping[str, Any]) -> EventTime:
        """The instant, and whether its zone was assumed."""
        for path in self.time:
            for found in scalars(path.find(fields))[:1]:
                read = read_time(found)
                if read is not None:
                    return EventTime(read[0], not read[1] and not self.is_utc)
        return EventTime(None, False)

    def host_of(self, fields: Mapping[str, Any]) -> str:
        for path in self.host:
            for found in scalars(path.find(fields))[:1]:
                if isinstance(found, str) and found:
                    return found
        return ""


def recognise(event: Mapping[str, Any]) -> Map | None:
    """The map of an event; None where no map knows it. Costs a look-up for each of its keys."""
    index, keys = _index()
    best, known = LAST, None
    for key in keys.intersection(event):
        for rank, signature, found in index[key]:
            if rank >= best:
                break
            if signature.fits(event):
                best, known = rank, found
                break
    return known


LAST = 1 << 30


@cache
def _index() -> tuple[dict[str, list[tuple[int, Signature, Map]]], frozenset[str]]:
    """Signatures by their key, each list in the order of the maps."""
    index: dict[str, list[tuple[int, Signature, Map]]] = {}
    for rank, map_ in enumerate(read_maps()):
        for one in map_.signatures:
            index.setdefault(one.key, []).append((rank, one, map_))
    return index, frozenset(index)


@cache
def read_maps() -> tuple[Map, ...]:
    """Every map of the package in the order in which they are tried."""
    folder = resources.files("istmo.detect.normalise").joinpath("maps")
    files = sorted((one for one in folder.iterdir() if one.name.endswith(".yml")), key=lambda one: one.name)
    maps = [read_map(one.name.removesuffix(".yml"), one.read_text("utf-8")) for one in files]
    return tuple(sorted(maps, key=lambda one: (one.order, one.name)))


KEYS = frozenset(
    {"about", "sources", "order", "recognise", "own", "inside", "fields", "logsources"}
    | {"time", "is_utc", "host", "then", "examples"}
)


def read_map(name: str, text: str) -> Map:
    """One map from its YAML. Raises ValueError where a word is unknown: maps ship with the program."""
    raw = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe loader
    if unknown := raw.keys() - KEYS:
        raise ValueError(f"{name}: {sorted(unknown)}")
    return Map(
        name=name,
        signatures=tuple(_signature(row) for row in raw["recognise"]),
        inside=_paths(raw.get("inside")),
        steps=tuple((_when(row.get("when")), _steps(name, row)) for row in raw.get("fields", ())),
        sources=tuple((_when(row.get("when")), _logsource(row)) for row in raw.get("logsources", ())),
        time=_paths(raw.get("time")),
        is_utc=raw.get("is_utc", False),
        host=_paths(raw.get("host")),
        is_windows=raw.get("then") == "windows",
        order=raw.get("order", 50),
        documentation=tuple(raw["sources"]),
        names=frozenset(raw.get("own", ())).union(*map(_names, raw.get("fields", ()))),
        examples=tuple(raw["examples"]),
    )


def _signature(row: dict[str, Any]) -> Signature:
    has = [*row.get("has", ()), *row.get("is", ())]
    return Signature(
        row.get("key", has[0].split(".")[0]),
        _paths(row.get("has")),
        _when(row.get("is")),
        _paths(row.get("lacks")),
    )


def _steps(name: str, row: dict[str, Any]) -> tuple[Step, ...]:
    if unknown := row.keys() - WORDS.keys() - {"when"}:
        raise ValueError(f"{name}: {sorted(unknown)}")
    return tuple(make(row[word]) for word, make in WORDS.items() if word in row)


def _names(row: dict[str, Any]) -> set[str]:
    """The fields that a row may add."""
    made = {name for word in ("copy", "gather", "translate", "join", "set") for name in row.get(word, ())}
    return made | {name for one in row.get("match", ()) for name in one["into"]} | set(row.get("text", ()))


def _logsource(row: dict[str, Any]) -> Logsource:
    return Logsource(row.get("category", ""), row.get("product", ""), row.get("service", ""))


def _when(row: dict[str, Any] | None) -> When:
    return When(
        tuple(
            (
                Path(name),
                frozenset(map(text_of, as_list(values))),
            )
            for name, values in (row or {}).items()
        )
    )


def _paths(names: list[str] | None) -> tuple[Path, ...]:
    return tuple(Path(name) for name in names or ())
