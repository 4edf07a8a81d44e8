"""What an object and its type are called in the asker's language: the one place that says «A uses B»."""

from __future__ import annotations

from typing import Final, Protocol

from istmo.intel.objects import End, Planned, StoredObject
from istmo.kit.visible import visible
from istmo.model.stix_types import META

RELATIONS: Final = (
    "attributed-to",
    "based-on",
    "communicates-with",
    "compromises",
    "controls",
    "delivers",
    "derived-from",
    "detects",
    "downloads",
    "drops",
    "duplicate-of",
    "exploits",
    "hosts",
    "impersonates",
    "indicates",
    "investigates",
    "located-at",
    "mitigates",
    "originates-from",
    "related-to",
    "remediates",
    "revoked-by",
    "subtechnique-of",
    "targets",
    "uses",
    "variant-of",
)
"""Relationship types, of STIX and of ATT&CK, that have words of their own; others stand as written."""
TYPES: Final = (
    "indicator",
    "malware",
    "threat-actor",
    "intrusion-set",
    "campaign",
    "attack-pattern",
    "tool",
    "vulnerability",
    "infrastructure",
    "identity",
    "report",
    "course-of-action",
    "relationship",
    "sighting",
    "incident",
    "grouping",
    "note",
    "opinion",
    "malware-analysis",
    "location",
    "observed-data",
    "ipv4-addr",
    "ipv6-addr",
    "domain-name",
    "url",
    "email-addr",
    "email-message",
    "file",
    "directory",
    "artifact",
    "process",
    "software",
    "mutex",
    "windows-registry-key",
    "user-account",
    "x509-certificate",
    "network-traffic",
    "autonomous-system",
    "mac-addr",
)
"""The types of STIX 2.1, those first that are looked for most: offered as a filter, and named in words.

Types of their authors' own are shown by their names.
"""
_LONGEST_END: Final = 90


class Text(Protocol):
    """A text of the catalogue in the asker's language."""

    def __call__(self, key: str, /, **params: object) -> str: ...


def name_of(one: StoredObject | Planned, text: Text) -> str:
    """What an object is called; of a relation what it connects and how, of what has no name its type."""
    object = one if isinstance(one, StoredObject) else one.object
    if one.ends is not None:
        source, target = (_end(end, text) for end in one.ends)
        return text(
            "object.relation.named", source=source, relation=relation_words(object.name, text), target=target
        )
    return _named(object.id, object.name, text)


def relation_words(relation: str, text: Text) -> str:
    """How a relation connects, with words of our own where there are some."""
    return text(f"object.relation.{relation}") if relation in RELATIONS else str(visible(relation))


def type_words(type: str, text: Text) -> str:
    """A type in words; one of its author's own as it is written."""
    return text(f"console.type.{type}") if type in TYPES or type in META else str(visible(type))


def _end(end: End, text: Text) -> str:
    if not end.name:
        return text("object.relation.unseen", type=type_words(end.id.partition("--")[0], text))
    name = _named(end.id, end.name, text)
    return name if len(name) <= _LONGEST_END else f"{name[:_LONGEST_END]}…"


def _named(id: str, name: str, text: Text) -> str:
    if name and name != id:
        return name
    return text("object.unnamed", type=type_words(id.partition("--")[0], text), id=id[-8:])
