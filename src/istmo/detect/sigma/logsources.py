"""Sigma log sources (rules specification, "LogSource"): which events a rule is meant for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Logsource(NamedTuple):
    """Category, product and service, lower case; ``""`` where the rule or the event says nothing.

    An event may belong to several (a registry event is ``registry_event`` and ``registry_set``).
    """

    category: str = ""
    product: str = ""
    service: str = ""

    def covers(self, event: Logsource) -> bool:
        """Whether a rule for this log source is meant for an event of that one.

        Every attribute that the rule names must be the event's; what it leaves out is open.
        """
        return (
            (not self.category or self.category == event.category)
            and (not self.product or self.product == event.product)
            and (not self.service or self.service == event.service)
        )

    def covers_any(self, events: Iterable[Logsource]) -> bool:
        """Whether it covers one of an event's log sources."""
        return any(self.covers(event) for event in events)
