"""A warning list out of its JSON: ``name``, ``type``, ``list``, ``matching_attributes`` (MISP's format).

https://github.com/MISP/misp-warninglists has many; none of them is part of this program. ``reserved.json``
is our own: what RFCs reserve, and the hashes of the empty file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from istmo.errors import InvalidInput, TooLarge
from istmo.model.json_text import decode

TYPES: Final = ("cidr", "hostname", "string", "substring", "regex")
MOST_ENTRIES: Final = {
    "cidr": 100_000,
    "hostname": 1_500_000,
    "string": 1_500_000,
    "substring": 2_000,
    "regex": 500,
}
"""Of one list. What has to be tried one after the other is short."""
LONGEST_ENTRY: Final = 2_000
LONGEST_NAME: Final = 200
_DEPTH: Final = 8
_RESERVED: Final = Path(__file__).with_name("reserved.json")

HASHES: Final = frozenset({"md5", "sha1", "sha256", "sha512"})
KINDS: Final = frozenset({"ipv4", "ipv6", "domain", "url", "email", "filename"}) | HASHES
_ADDRESSES: Final = frozenset({"ipv4", "ipv6"})
_ATTRIBUTES: Final = {
    "ip": _ADDRESSES,
    "ip-src": _ADDRESSES,
    "ip-dst": _ADDRESSES,
    "domain": frozenset({"domain"}),
    "hostname": frozenset({"domain"}),
    "host": frozenset({"domain"}),
    "url": frozenset({"url"}),
    "uri": frozenset({"url"}),
    "link": frozenset({"url"}),
    "port": frozenset[str](),
    "filename": frozenset({"filename"}),
    "email": frozenset({"email"}),
    "email-src": frozenset({"email"}),
    "email-dst": frozenset({"email"}),
    **{kind: frozenset({kind}) for kind in HASHES},
}
"""Kinds of our values by MISP's types of attributes; ``domain|ip`` is both of its parts. What is not here is
not about anything that indicators name."""


@dataclass(frozen=True)
class WarningList:
    """One list as it came. ``kinds`` are the kinds of values that it is about."""

    name: str
    type: str
    entries: tuple[str, ...]
    kinds: frozenset[str] = KINDS
    description: str = ""
    version: str = ""
    problems: int = 0
    """Entries that were left out: no text, or too long."""


def read_warning_list(raw: bytes) -> WarningList:
    """Read one list.

    Raises InvalidInput ``json.*`` or ``detect.warning_list`` (``field``); TooLarge
    ``detect.warning_list_long``.
    """
    data = decode(raw, _DEPTH)
    if not isinstance(data, dict):
        raise _wrong("list")
    return _list(data)


def reserved_lists() -> list[WarningList]:
    """What RFCs reserve, and the empty file: comes with the program; ``istmo init`` puts it in force."""
    return [_list(one) for one in json.loads(_RESERVED.read_text("utf-8"))]


def _list(data: dict[str, Any]) -> WarningList:
    name, type, entries = data.get("name"), data.get("type", "string"), data.get("list")
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise _wrong("name")
    if type not in TYPES:
        raise _wrong("type")
    if not isinstance(entries, list) or not entries:
        raise _wrong("list")
    if len(entries) > MOST_ENTRIES[type]:
        raise TooLarge("detect.warning_list_long", type=type, limit=MOST_ENTRIES[type])
    kept = [one for one in entries if isinstance(one, str) and 0 < len(one) <= LONGEST_ENTRY]
    return WarningList(
        name.strip(),
        type,
        tuple(dict.fromkeys(kept)),
        _kinds(data.get("matching_attributes")),
        _text(data.get("description"), 1000),
        _text(data.get("version"), 40),
        len(entries) - len(kept),
    )


def _kinds(attributes: Any) -> frozenset[str]:
    """A list that says nothing is about everything; one about other things alone is about nothing here."""
    if attributes is None or attributes == []:
        return KINDS
    if not isinstance(attributes, list) or not all(isinstance(one, str) for one in attributes):
        raise _wrong("matching_attributes")
    parts = [part for one in attributes for part in one.split("|")]
    return frozenset().union(*(_ATTRIBUTES.get(part, frozenset()) for part in parts))


def _text(value: Any, longest: int) -> str:
    text = str(value) if isinstance(value, (str, int, float)) else ""
    return "".join(one if one.isprintable() else " " for one in text)[:longest]


def _wrong(field: str) -> InvalidInput:
    return InvalidInput("detect.warning_list", field=field)
