"""How much an indicator's hits ask for: its own level, unless the values stand on warning lists."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from istmo.detect.levels import WARNED, highest, level_of
from istmo.detect.objects import Alert, Level, Watched, Weighed
from istmo.detect.warnings import Warnings
from istmo.detect.wire import WireHit

MOST_LISTS: Final = 20


def weigh(found: Watched, hits: Iterable[WireHit], warnings: Warnings) -> tuple[Level, Weighed]:
    """The level of these hits together, and what it was made of."""
    own, level = level_of(found.confidence, found.types), WARNED
    lists: dict[str, None] = {}
    for hit in hits:
        names = warned_by(warnings, hit)
        lists.update(dict.fromkeys(names))
        if not names:
            level = highest(level, own)
    return level, Weighed(found.confidence, list(found.types), list(lists)[:MOST_LISTS])


def warned_by(warnings: Warnings, hit: WireHit) -> list[str]:
    """The warning lists where every value by which an indicator was found in an event stands on one.

    A whole pattern asks for more than a value, so no list says of it that it is common.
    """
    found: dict[str, None] = {}
    for kind, value in hit.terms:
        names = [warnings.find(kind, part) for part in _seen_of(kind, value, hit)]
        if not all(names):
            return []
        found.update(dict.fromkeys(name for some in names for name in some))
    return list(found)


def with_those_before(weighed: Weighed, alert: Alert | None) -> Weighed:
    """With the warning lists of the hits that a story had already."""
    before = alert.weighed.lists if alert is not None and alert.weighed is not None else []
    return replace(weighed, lists=list(dict.fromkeys((*before, *weighed.lists)))[:MOST_LISTS])


def _seen_of(kind: str, value: str, hit: WireHit) -> list[str]:
    """A value; of a range what was seen of it, where that can be read."""
    if "/" not in value or kind not in ("ipv4", "ipv6"):
        return [value]
    return [one for one in hit.fields.values() if _is_within(one, value)] or [value]


def _is_within(text: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(text) in ipaddress.ip_network(network)
    except ValueError:
        return False
