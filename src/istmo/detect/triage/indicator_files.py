"""Indicators out of a file: a STIX bundle, or a list with a value a line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from istmo.detect.levels import level_of
from istmo.detect.objects import Level
from istmo.errors import InvalidInput, IstmoError, NotFound, TooLarge
from istmo.model.patterns import Pattern, read_pattern
from istmo.model.values import recognise
from istmo.settings import Limits

_BETWEEN = re.compile(r"[\s,;]+")
_REMARK = re.compile(r"(^|\s)#.*")


class ReadIndicator(NamedTuple):
    """What to look for, and what to call it. ``terms`` are (kind, value), ``plan`` as ``model`` makes it."""

    id: str
    title: str
    terms: tuple[tuple[str, str], ...]
    plan: str | None = None
    level: Level = Level.HIGH
    """Whoever hunts for a list of values means each of them."""


class IndicatorFile(NamedTuple):
    """What a file holds, and how many of its entries could not be used."""

    indicators: tuple[ReadIndicator, ...]
    unusable: int


def read_indicators(path: Path, limits: Limits) -> IndicatorFile:
    """Read a file of indicators.

    Raises NotFound ``detect.no_such_file``, TooLarge or InvalidInput ``detect.indicators_*`` where it
    cannot be used at all.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limits.bundle_bytes + 1)
    except OSError:
        raise NotFound("detect.no_such_file", file=str(path)) from None
    if len(data) > limits.bundle_bytes:
        raise TooLarge("detect.indicators_too_large", file=str(path), limit=limits.bundle_bytes)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput("detect.indicators_unreadable", file=str(path)) from None
    found = _bundle(text, path) if text.lstrip().startswith("{") else _list(text)
    if not found.indicators:
        raise InvalidInput("detect.indicators_none", file=str(path))
    return found


def _bundle(text: str, path: Path) -> IndicatorFile:
    try:
        objects = json.loads(text).get("objects", [])
    except (ValueError, RecursionError):
        raise InvalidInput("detect.indicators_unreadable", file=str(path)) from None
    found: dict[str, ReadIndicator] = {}
    unusable = 0
    for one in objects if isinstance(objects, list) else []:
        if not isinstance(one, dict) or one.get("type") != "indicator" or one.get("revoked") is True:
            continue
        pattern = _pattern(one)
        if pattern is not None and pattern.is_detected:
            id_ = str(one.get("id", ""))
            terms = tuple((term.kind, term.value) for term in pattern.terms)
            title = str(one.get("name") or (terms[0][1] if terms else pattern.text))[:256]
            found[id_] = ReadIndicator(id_, title, terms, pattern.plan, _level(one))
        else:
            unusable += 1
    return IndicatorFile(tuple(found.values()), unusable)


def _level(indicator: dict[str, Any]) -> Level:
    confidence, types = indicator.get("confidence"), indicator.get("indicator_types")
    is_said = type(confidence) is int and 0 <= confidence <= 100
    kinds = [one for one in types if isinstance(one, str)] if isinstance(types, list) else []
    return level_of(confidence if is_said else None, kinds)


def _pattern(indicator: dict[str, Any]) -> Pattern | None:
    try:
        return read_pattern(str(indicator.get("pattern", "")), str(indicator.get("pattern_type", "stix")))
    except IstmoError:
        return None


def _list(text: str) -> IndicatorFile:
    """The first value of each line that is one, so that a CSV with a head and other columns will do."""
    found: dict[str, ReadIndicator] = {}
    unusable = 0
    for line in text.splitlines():
        words = [word for word in _BETWEEN.split(_REMARK.sub("", line)) if word]
        if not words:
            continue
        terms = [term for term in map(recognise, words) if term is not None]
        if not terms:
            unusable += 1
        for kind, value in terms[:1]:
            found[value] = ReadIndicator(value, value, ((kind, value),))
    return IndicatorFile(tuple(found.values()), unusable)
