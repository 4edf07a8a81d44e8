"""Markings: how far something may travel (TLP) and what may be done with it (PAP).

TLP 2.0 by FIRST, with the marking definitions of STIX extension 60a3c5c5; TLP 1 is read and lifted
to its successor. What nobody can read counts as the strictest: an unknown marking is RED.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

TLP2_EXTENSION = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"


class Tlp(IntEnum):
    """Traffic Light Protocol 2.0, ordered: a greater value travels less far."""

    CLEAR = 0
    GREEN = 1
    AMBER = 2
    AMBER_STRICT = 3
    RED = 4

    @property
    def label(self) -> str:
        """As FIRST writes it: ``TLP:AMBER+STRICT``."""
        return "TLP:" + self.name.replace("_", "+")

    @property
    def marking_id(self) -> str:
        """The id of the official TLP 2.0 marking definition."""
        return f"marking-definition--{_TLP2[self]}"

    @classmethod
    def read(cls, text: str) -> Tlp | None:
        """The level that a label names, with or without ``TLP:``, in any case; None when unknown."""
        bare = text.strip().upper().removeprefix("TLP:").strip()
        return _TLP_NAMES.get(re.sub(r"[ _+-]+", "+", bare))


class Pap(IntEnum):
    """Permissible Actions Protocol, ordered: a greater value allows less."""

    CLEAR = 0
    GREEN = 1
    AMBER = 2
    RED = 3

    @property
    def label(self) -> str:
        return f"PAP:{self.name}"

    @classmethod
    def read(cls, text: str) -> Pap | None:
        """The level that a label names, with or without ``PAP:`` (WHITE is CLEAR); None when unknown."""
        bare = text.strip().upper().removeprefix("PAP:").strip()
        return cls.CLEAR if bare == "WHITE" else cls.__members__.get(bare)


_TLP2: Mapping[Tlp, str] = {
    Tlp.CLEAR: "94868c89-83c2-464b-929b-a1a8aa3c8487",
    Tlp.GREEN: "bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    Tlp.AMBER: "55d920b0-5e8b-4f79-9ee9-91f868d9b421",
    Tlp.AMBER_STRICT: "939a9414-2ddd-4d32-a0cd-375ea402b003",
    Tlp.RED: "e828b379-4e03-4974-9ac4-e53a884c97c1",
}
_TLP1: Mapping[str, Tlp] = {
    "613f2e26-407d-48c7-9eca-b8e91df99dc9": Tlp.CLEAR,
    "34098fce-860f-48ae-8e50-ebd3cc5e41da": Tlp.GREEN,
    "f88d31f6-486f-44da-b317-01333bde0b82": Tlp.AMBER,
    "5e57c739-391a-4eb3-b6be-7d15ca92d5ed": Tlp.RED,
}
_BY_ID: Mapping[str, Tlp] = {
    **{f"marking-definition--{uuid}": tlp for tlp, uuid in _TLP2.items()},
    **{f"marking-definition--{uuid}": tlp for uuid, tlp in _TLP1.items()},
}
_TLP_NAMES: Mapping[str, Tlp] = {
    **{tlp.name.replace("_", "+"): tlp for tlp in Tlp},
    "WHITE": Tlp.CLEAR,
}


@dataclass(frozen=True)
class Markings:
    """What the marking references of one object say together.

    ``tlp`` and ``pap`` are None where nothing is said; ``unknown`` holds the references that say
    something that we cannot read; ``statements`` the texts of statement markings.
    """

    tlp: Tlp | None
    pap: Pap | None
    statements: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def effective(self) -> Tlp:
        """The level to act on: RED when nothing is said or something is unreadable."""
        return Tlp.RED if self.unknown or self.tlp is None else self.tlp


Definitions = Mapping[str, Mapping[str, Any]]
"""Marking-definition objects by id, as parsed JSON."""


def read_markings(marking_refs: Iterable[str], definitions: Definitions | None = None) -> Markings:
    """Read marking references, looking up those that are not TLP's own in ``definitions``."""
    tlps: list[Tlp] = []
    paps: list[Pap] = []
    statements: list[str] = []
    unknown: list[str] = []
    for ref in marking_refs:
        if ref in _BY_ID:
            tlps.append(_BY_ID[ref])
            continue
        meaning = read_definition((definitions or {}).get(ref))
        if isinstance(meaning, Tlp):
            tlps.append(meaning)
        elif isinstance(meaning, Pap):
            paps.append(meaning)
        elif meaning is None:
            unknown.append(ref)
        else:
            statements.append(meaning)
    return Markings(
        max(tlps, default=None), max(paps, default=None), tuple(statements), tuple(dict.fromkeys(unknown))
    )


def read_definition(definition: Mapping[str, Any] | None) -> Tlp | Pap | str | None:
    """What one marking-definition object means: a level, the text of a statement, or None (unreadable).

    Reads TLP 1 and statement markings (STIX 2.1 section 7.2.1), the TLP 2.0 extension, and PAP as
    others write it: as a definition type of its own or as the statement ``PAP:RED``.
    """
    if not isinstance(definition, Mapping):
        return None
    kind = str(definition.get("definition_type", "")).lower()
    inner = definition.get("definition")
    inner = inner if isinstance(inner, Mapping) else {}
    extensions = definition.get("extensions")
    if isinstance(extensions, Mapping) and extensions:
        tlp2 = extensions.get(TLP2_EXTENSION)
        only = tlp2 if isinstance(tlp2, Mapping) and len(extensions) == 1 else {}
        return Tlp.read(str(only.get("tlp_2_0", "")))
    if kind == "tlp":
        return Tlp.read(str(inner.get("tlp", "")))
    if kind == "pap":
        return Pap.read(str(inner.get("pap", "")))
    if kind == "statement" and isinstance(text := inner.get("statement"), str):
        if text.strip().upper().startswith("PAP:"):
            return Pap.read(text)
        if text.strip().upper().startswith("TLP:"):
            return Tlp.read(text)
        return text
    return None


def tlp_of(marking_refs: Iterable[str], definitions: Definitions | None = None) -> Tlp:
    """The level that a set of marking references means: the strictest named; RED when none or unknown."""
    return read_markings(marking_refs, definitions).effective


def pap_of(marking_refs: Iterable[str], definitions: Definitions | None = None) -> Pap | None:
    """The strictest PAP named; RED where a marking is unreadable; None where nothing is said."""
    found = read_markings(marking_refs, definitions)
    return Pap.RED if found.unknown else found.pap


def strictest(*tlps: Tlp) -> Tlp:
    """The level that satisfies all of them; RED of nothing."""
    return max(tlps, default=Tlp.RED)


def is_tlp_definition(id: str) -> bool:
    """Whether ``id`` is one of the official TLP marking definitions (2.0 or 1), known to everybody."""
    return id in _BY_ID
