"""The tactics of MITRE ATT&CK, as Sigma's rules tag them: what a technique is for, in a word."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

TACTICS: Final = (
    "reconnaissance",
    "resource-development",
    "initial-access",
    "execution",
    "persistence",
    "privilege-escalation",
    "defense-evasion",
    "credential-access",
    "discovery",
    "lateral-movement",
    "collection",
    "command-and-control",
    "exfiltration",
    "impact",
)
"""In the order of an attack. Each has a text: ``detect.tactic.<name>``."""


def tactics_of(tags: Iterable[str]) -> tuple[str, ...]:
    """Those that a rule's tags name (``attack.initial-access``; older rules write ``initial_access``)."""
    named = {tag[7:].replace("_", "-") for one in tags if (tag := one.lower()).startswith("attack.")}
    return tuple(one for one in TACTICS if one in named)
