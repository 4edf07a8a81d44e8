"""The shapes of what the machine interface answers about sources, as the OpenAPI document tells them."""

from __future__ import annotations

from typing import TypedDict


class SourceSettingsShape(TypedDict):
    """How a source is known where it shows no token, and how it is read; empty or 0 where nothing is set.

    ``certificate`` is a SHA-256 in hex, ``rate`` in events a second, ``silent_after`` in seconds; ``version``
    tells these settings, and the source's name, from others.
    """

    networks: list[str]
    certificate: str
    form: str
    zone: str
    rate: int
    silent_after: int
    version: str


class ReasonShape(TypedDict):
    """Why so many events were refused, or kept as mere text."""

    code: str
    count: int
    text: str
    remedy: str


class LastHour(TypedDict):
    """What came in the last hour, or since the node started where that is shorter.

    ``much_unreadable`` and ``much_refused``: so much that somebody should look at it.
    ``minutes``: accepted in each minute, the oldest first; empty where none came.
    """

    accepted: int
    unreadable: int
    refused: int
    much_unreadable: bool
    much_refused: bool
    minutes: list[int]


class SourceShape(TypedDict):
    """A source of events without anything secret.

    ``state``: sending, waiting (nothing came yet), silent, paused, expired, revoked. ``doubled`` were known
    by their names, ``unreadable`` are kept as mere text. ``rate``: events a second over the last minute;
    ``lag``: seconds from when events happened to their receipt. ``silence``: the alert about it, if it lasts.
    """

    id: str
    name: str
    created: str | None
    created_by: str
    expires: str | None
    revoked: str | None
    state: str
    paused: str | None
    settings: SourceSettingsShape
    accepted: int
    doubled: int
    unreadable: int
    unreadable_share: float
    refused: int
    reasons: list[ReasonShape]
    first_event: str | None
    last_event: str | None
    rate: float
    lag: float | None
    last_hour: LastHour
    silence: str | None


class SourceMade(SourceShape):
    """A new source with its ``secret``, told this once."""

    secret: str


class SourceList(TypedDict):
    """Every source."""

    items: list[SourceShape]
    next: None
    total: int
