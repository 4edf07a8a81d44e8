"""What a technique of MITRE ATT&CK is for: the tactics that a rule's tags name."""

from __future__ import annotations

from collections.abc import Iterable

from istmo.detect.sigma.lints import TACTICS


def tactics_of(tags: Iterable[str]) -> tuple[str, ...]:
    """In the order of an attack (``attack.initial-access``; older rules write ``initial_access``). Each has a
    text: ``detect.tactic.<name>``.
    """
    named = {tag[7:].replace("_", "-") for one in tags if (tag := one.lower()).startswith("attack.")}
    return tuple(one for one in TACTICS if one in named)
