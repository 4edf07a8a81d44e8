"""A pasted list of values made into STIX indicators: one a line, defanging undone, kinds recognised."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from istmo.model import instants
from istmo.model.ids import new_id
from istmo.model.values import recognise

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
    """Read values between spaces, commas or line ends; what follows a ``#`` is a remark."""
    values: dict[tuple[str, str], None] = {}
    unreadable: list[tuple[int, str]] = []
    for number, word in _words(text):
        found = recognise(word)
        if found is None:
            unreadable.append((number, word[:120]))
        else:
            values[found] = None
    return Pasted(tuple(values), tuple(unreadable))


def bundle_of(pasted: Pasted, *, name: str, now: datetime) -> bytes:
    """A STIX 2.1 bundle with one indicator a value; ``name`` precedes the value in each one's name."""
    instant = instants.format(now)
    objects = [
        {
            "type": "indicator",
            "spec_version": "2.1",
            "id": new_id("indicator"),
            "created": instant,
            "modified": instant,
            "name": f"{name}: {value}" if name else value,
            "indicator_types": ["malicious-activity"],
            "pattern": _PATTERNS[kind].format(value.replace("\\", "\\\\").replace("'", "\\'")),
            "pattern_type": "stix",
            "valid_from": instant,
        }
        for kind, value in pasted.values
    ]
    bundle = {"type": "bundle", "id": new_id("bundle"), "objects": objects}
    return json.dumps(bundle, ensure_ascii=False).encode("utf-8")


def _words(text: str) -> Iterator[tuple[int, str]]:
    count = 0
    for number, line in enumerate(text.splitlines(), 1):
        for word in _BETWEEN.split(re.sub(r"(^|\s)#.*", "", line)):
            if word:
                count += 1
                if count > _LONGEST:
                    return
                yield number, word
