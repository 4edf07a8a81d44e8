"""What the tags of a rule say: tactics and techniques of MITRE ATT&CK, analytics of CAR, vulnerabilities."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from istmo.detect.sigma.lints import TACTICS

_TAG: Final = re.compile(r"attack\.(t\d{4}(?:\.\d{3})?)", re.IGNORECASE | re.ASCII)
"""A technique as Sigma's rules tag it (specification of tags)."""
_REFERRED: Final = re.compile(r"(car|cve)[.-](\d{4}[.-]\d{2,7}(?:-\d{3})?)", re.IGNORECASE | re.ASCII)
"""An analytic or a vulnerability: ``car.2016-03-001``, ``cve.2021-44228``; in older rules with dots alone."""
_KEPT: Final = {"CAR": "https://car.mitre.org/analytics/", "CVE": "https://nvd.nist.gov/vuln/detail/"}
_DESCRIBED: Final = "https://attack.mitre.org/techniques/"


@dataclass(frozen=True)
class Said:
    """What a rule's tags say: tactics, each with its tag; techniques, then analytics and vulnerabilities,
    each with the address of its description; the other tags.
    """

    tactics: tuple[tuple[str, str], ...]
    techniques: tuple[tuple[str, str], ...]
    referred: tuple[tuple[str, str], ...]
    others: tuple[str, ...]


def said_by(tags: Iterable[str]) -> Said:
    """What a tactic or a technique says is not among the others."""
    tags = tuple(tags)
    tactics = {_tactic(tag): tag for tag in tags}
    return Said(
        tuple((one, tactics[one]) for one in TACTICS if one in tactics),
        tuple((one, f"{_DESCRIBED}{one.replace('.', '/')}/") for one in techniques_of(tags)),
        tuple((name, f"{_KEPT[name[:3]]}{name}") for tag in tags if (name := _referred(tag))),
        tuple(
            tag
            for tag in tags
            if _tactic(tag) not in TACTICS and not _TAG.fullmatch(tag) and not _referred(tag)
        ),
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


def _referred(tag: str) -> str:
    """As it is written where it is kept: ``CAR-2016-03-001``, ``CVE-2021-44228``; empty for anything else."""
    found = _REFERRED.fullmatch(tag)
    return f"{found[1].upper()}-{found[2].replace('.', '-')}" if found else ""
