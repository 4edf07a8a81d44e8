"""When somebody looked: what they know already, and since when things are new to them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from istmo.errors import InvalidInput
from istmo.model import instants

SAME = timedelta(minutes=15)
"""Looks that lie no further apart are one look: whoever reads for a while keeps seeing what is new."""


@dataclass(frozen=True)
class Looks:
    """``before``: when the look before this one ended. ``last``: when the page was asked for last."""

    before: datetime | None = None
    last: datetime | None = None

    @classmethod
    def read(cls, cookie: str, now: datetime) -> Looks:
        """What a browser says; what is no instant of the past counts as never."""
        before, _, last = cookie.partition("|")
        found = cls(_past(before, now), _past(last, now))
        if found.last is not None and now - found.last > SAME:
            return cls(found.last, found.last)
        return found

    def again(self, now: datetime) -> Looks:
        """After this look."""
        return Looks(self.before, now)

    @property
    def cookie(self) -> str:
        """As the browser keeps it."""
        return "|".join(instants.format(one) if one else "" for one in (self.before, self.last))


def _past(text: str, now: datetime) -> datetime | None:
    try:
        found = instants.parse(text)
    except InvalidInput:
        return None
    return found if found <= now else None
