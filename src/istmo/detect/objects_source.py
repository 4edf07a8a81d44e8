"""The nouns of intake: a source, how it is known and read, what it has sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Final

from istmo.detect.objects import version_of

WORTH_TELLING: Final = 20
TROUBLE_SHARE: Final = 0.05
"""Fewer events, or a smaller share of them, are no trouble of a source."""


@dataclass(frozen=True)
class SourceSettings:
    """How a source is known where it shows no token, how it is read, and what is expected of it."""

    networks: tuple[str, ...] = ()
    """CIDR: from where it sends by protocols that know no tokens."""
    certificate: str = ""
    """SHA-256 of the client's certificate (DER), lower-case hex."""
    form: str = ""
    """What its lines are, of ``detect.reading.FORMS``; ``""`` to look."""
    zone: str = ""
    """The IANA time zone of its times that name none; ``""`` for UTC."""
    rate: int = 0
    """Events a second that it may send; 0 for no bound of its own."""
    silent_after: int = 0
    """Seconds of silence after which somebody is told; 0 for never."""


@dataclass(frozen=True)
class Recent:
    """What came of a source in the time just past, as far as the web process has heard."""

    rate: float = 0.0
    """Events a second over the last minute."""
    accepted: int = 0
    """In the last hour, like the rest."""
    unreadable: int = 0
    refused: int = 0
    minutes: tuple[int, ...] = ()
    """Accepted in each minute of the last hour, the oldest first; nothing where none came."""

    @property
    def unreadable_share(self) -> float:
        """Of what was accepted, 0 to 1."""
        return self.unreadable / self.accepted if self.accepted else 0.0

    @property
    def refused_share(self) -> float:
        """Of all that came, 0 to 1."""
        return self.refused / (self.accepted + self.refused) if self.refused else 0.0

    @property
    def is_badly_read(self) -> bool:
        """Whether so much could not be read that somebody should look at the source's format."""
        return self.unreadable >= WORTH_TELLING and self.unreadable_share >= TROUBLE_SHARE

    @property
    def is_much_refused(self) -> bool:
        """Whether so much was refused that somebody should look at the sender."""
        return self.refused >= WORTH_TELLING and self.refused_share >= TROUBLE_SHARE


@dataclass(frozen=True)
class Source:
    """Something that sends events. The secret is told once and never kept."""

    id: str
    name: str
    created: datetime
    created_by: str
    expires: datetime | None
    revoked: datetime | None
    settings: SourceSettings = SourceSettings()
    accepted: int = 0
    doubled: int = 0
    """Sent again, and known by their names."""
    unreadable: int = 0
    """Of the accepted, those that are kept as mere text."""
    refused: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Why events were refused or could not be read, by code."""
    first_event: datetime | None = None
    """When the first one was received, like ``last_event``."""
    last_event: datetime | None = None
    lag: int | None = None
    """µs from when events happened to their receipt, the median of the newest; below 0 they claim a time
    to come. None where they tell no time."""
    silence: str | None = None
    """The alert about its silence, while it lasts."""
    recent: Recent = Recent()
    paused: datetime | None = None
    """Since when nothing is taken of it for now."""
    switched: datetime | None = None
    """When it was paused last, or taken again."""

    @property
    def version(self) -> str:
        """Tells its name and settings from others: whoever changes them says which ones they saw."""
        settings = (repr(getattr(self.settings, one.name)) for one in fields(self.settings))
        return version_of(self.name, *settings)

    @property
    def unreadable_share(self) -> float:
        """Of all that was ever accepted, 0 to 1."""
        return self.unreadable / self.accepted if self.accepted else 0.0

    def state(self, now: datetime) -> str:
        """``revoked``, ``expired``, ``paused``, ``silent``, ``waiting`` (nothing came yet) or ``sending``."""
        if self.revoked is not None:
            return "revoked"
        if self.expires is not None and self.expires <= now:
            return "expired"
        if self.paused is not None:
            return "paused"
        if self.silence is not None:
            return "silent"
        return "waiting" if self.last_event is None else "sending"


@dataclass(frozen=True)
class Sent:
    """What a source sent since it was counted before."""

    id: str
    accepted: int
    refused: int
    last: datetime | None
    unreadable: int = 0
    doubled: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
