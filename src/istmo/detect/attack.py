"""What the tags of a rule say in the words of MITRE ATT&CK: its tactics and its techniques."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from istmo.detect.sigma.lints import TACTICS

_TAG: Final = re.compile(r"attack\.(t\d{4}(?:\.\d{3})?)", re.IGNORECASE | re.ASCII)
"""A technique as Sigma's rules tag it (specification of tags)."""
_DESCRIBED: Final = "https://attack.mitre.org/techniques/"


@dataclass(frozen=True)
class Said:
    """What a rule's tags say: tactics, each with its tag; techniques, each with the address of its
    description; the other tags.
    """

    tactics: tuple[tuple[str, str], ...]
    techniques: tuple[tuple[str, str], ...]
    others: tuple[str, ...]


def said_by(tags: Iterable[str]) -> Said:
    """What a tactic or a technique says is not among the others."""
    tags = tuple(tags)
    tactics = {_tactic(tag): tag for tag in tags}
    return Said(
        tuple((one, tactics[one]) for one in TACTICS if one in tactics),
        tuple((one, f"{_DESCRIBED}{one.replace('.', '/')}/") for one in techniques_of(tags)),
        tuple(tag for tag in tags if _tactic(tag) not in TACTICS and not _TAG.fullmatch(tag)),
    )


def tactics_of(tags: Iterable[str]) -> tuple[str, ...]:
    """In the order of an attack. Each has a text: ``detect.tactic.<name>``."""
    named = {_tactic(tag) for tag in tags}
    return tuple(one for one in TACTICS if one in named)


def techniques_of(tags: Iterable[str]) -> tuple[str, ...]:
    """Each once, as ATT&CK writes them (``T1059.001``), in the order of the tags."""
    return tuple(dict.fromkeys(found[1].upper() for tag in tags if (found := _TAG.fullmatch(tag))))


def _tactic(tag: str) -> str:
    """``attack.initial-access``, ``initial_access`` in older rules; empty for what is not of ATT&CK."""
    room, _, name = tag.lower().partition(".")
    return name.replace("_", "-") if room == "attack" else ""
