"""A pasted list of values made into STIX indicators: one a line, defanging undone, kinds recognised."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from istmo.model import instants
from istmo.model.ids import new_id
from istmo.model.values import is_defanged, recognise

_PATTERNS = {
    "ipv4": "[ipv4-addr:value = '{}']",
    "ipv6": "[ipv6-addr:value = '{}']",
    "domain": "[domain-name:value = '{}']",
    "url": "[url:value = '{}']",
    "email": "[email-addr:value = '{}']",
    "md5": "[file:hashes.MD5 = '{}']",
    "sha1": "[file:hashes.'SHA-1' = '{}']",
    "sha256": "[file:hashes.'SHA-256' = '{}']",
    "sha512": "[file:hashes.'SHA-512' = '{}']",
}
_BETWEEN = re.compile(r"[\s,;]+")
_LONGEST = 10_000


@dataclass(frozen=True)
class Pasted:
    """The values that were recognised, as (kind, value) without repetitions, and what was not."""

    values: tuple[tuple[str, str], ...]
    unreadable: tuple[tuple[int, str], ...]
    """Line number from 1, and the text."""


def read_pasted(text: str) -> Pasted:
    """Read values between spaces, commas or line ends; what follows a ``#`` is a remark.

    A line of several words none of which is a value is one thing that is not understood.
    """
    values: dict[tuple[str, str], None] = {}
    unreadable: list[tuple[int, str]] = []
    for number, word in _words(text):
        found = recognise(word)
        if found is None:
            unreadable.append((number, word[:120]))
        else:
            values[found] = None
    return Pasted(tuple(values), tuple(unreadable))


@dataclass(frozen=True)
class CheckedValue:
    """One word of a pasted list, as it will be taken. ``warned`` and ``known`` are for others to fill in."""

    line: int
    text: str
    term: tuple[str, str] | None
    """Its kind and normal form; None where it is no value that we know."""
    is_refanged: bool = False
    """It was made unclickable, and that was undone."""
    is_repeated: bool = False
    warned: tuple[str, ...] = ()
    """Warning lists that it stands on."""
    known: tuple[str, ...] = ()
    """Indicators that are about it already."""


def check_pasted(text: str) -> tuple[CheckedValue, ...]:
    """Every word of a list in its order, as ``read_pasted`` takes it."""
    seen: set[tuple[str, str]] = set()
    found = []
    for number, word in _words(text):
        term = recognise(word)
        found.append(
            CheckedValue(number, word[:300], term, term is not None and is_defanged(word), term in seen)
        )
        if term is not None:
            seen.add(term)
    return tuple(found)


def indicator_of(name: str, pattern: str, now: datetime, **more: Any) -> dict[str, Any]:
    """A STIX 2.1 indicator with a pattern in STIX's own language."""
    instant = instants.format(now)
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": new_id("indicator"),
        "created": instant,
        "modified": instant,
        "name": name,
        "indicator_types": ["malicious-activity"],
        "pattern": pattern,
        "pattern_type": "stix",
        "valid_from": instant,
        **more,
    }


def indicators_of(pasted: Pasted, *, name: str, now: datetime) -> list[dict[str, Any]]:
    """One indicator a value; ``name`` precedes the value in each one's name."""
    return [
        indicator_of(
            f"{name}: {value}" if name else value,
            _PATTERNS[kind].format(value.replace("\\", "\\\\").replace("'", "\\'")),
            now,
        )
        for kind, value in pasted.values
    ]


def bundle_of(pasted: Pasted, *, name: str, now: datetime) -> bytes:
    """A STIX 2.1 bundle of ``indicators_of``."""
    return bundle_with(indicators_of(pasted, name=name, now=now))


def bundle_with(objects: list[dict[str, Any]]) -> bytes:
    """A STIX 2.1 bundle."""
    bundle = {"type": "bundle", "id": new_id("bundle"), "objects": objects}
    return json.dumps(bundle, ensure_ascii=False).encode("utf-8")


def _words(text: str) -> Iterator[tuple[int, str]]:
    count = 0
    for number, line in enumerate(text.splitlines(), 1):
        said = re.sub(r"(^|\s)#.*", "", line).strip()
        words = [word for word in _BETWEEN.split(said) if word]
        if len(words) > 1 and not any(recognise(word) for word in words):
            words = [said]
        for word in words:
            count += 1
            if count > _LONGEST:
                return
            yield number, word
