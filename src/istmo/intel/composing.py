"""Bundles made of what a person typed: a report, a single pattern; and a part of a bundle."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from istmo.intel.pasting import Pasted, bundle_with, indicator_of, indicators_of
from istmo.model import instants
from istmo.model.ids import is_id, new_id
from istmo.model.stix import StixObject, parse_bundle
from istmo.settings import Limits

MOST_LINKED: Final = 500
MOST_LABELS: Final = 20
LONGEST_LABEL: Final = 100
_BETWEEN: Final = re.compile(r"[\s,;]+")


def read_links(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ids of objects between spaces, commas or line ends, as addresses of pages too; and what is none."""
    ids: dict[str, None] = {}
    others: list[str] = []
    for word in _BETWEEN.split(text.strip()):
        id = word.rstrip("/").rpartition("/")[2]
        if is_id(id):
            ids[id] = None
        elif word:
            others.append(word[:120])
    return tuple(ids), tuple(others)


def read_labels(text: str) -> tuple[str, ...]:
    """The labels between commas or line ends."""
    return tuple(label for one in re.split(r"[,\n]", text) if (label := one.strip()))


def report_of(
    title: str, text: str, *, links: Sequence[str], labels: Sequence[str], pasted: Pasted, now: datetime
) -> bytes:
    """A bundle with a report, and an indicator for each value that belongs to it."""
    instant = instants.format(now)
    made = indicators_of(pasted, name=title, now=now)
    report: dict[str, Any] = {
        "type": "report",
        "spec_version": "2.1",
        "id": new_id("report"),
        "created": instant,
        "modified": instant,
        "name": title,
        "published": instant,
        "object_refs": [*links, *(one["id"] for one in made)],
    }
    if text:
        report["description"] = text
    if labels:
        report["labels"] = list(labels)
    return bundle_with([*made, report])


def pattern_of(name: str, pattern: str, *, description: str, until: datetime | None, now: datetime) -> bytes:
    """A bundle with one indicator."""
    more: dict[str, Any] = {"description": description} if description else {}
    if until is not None:
        more["valid_until"] = instants.format(until)
    return bundle_with([indicator_of(name or pattern[:100], pattern, now, **more)])


def key_of(object: StixObject) -> str:
    """What tells an object of a bundle from the others of it."""
    return f"{object.id} {instants.format(object.version)}"


def part_of(raw: bytes, limits: Limits, is_wanted: Callable[[str], bool]) -> bytes:
    """A bundle of those objects whose key is wanted, each with the bytes that it has."""
    kept = [one.raw for one in parse_bundle(raw, limits).objects if is_wanted(key_of(one))]
    return b'{"type":"bundle","id":"%s","objects":[%s]}' % (new_id("bundle").encode(), b",".join(kept))
