"""The shapes of what the node answers about notices. Times are RFC 3339 with ``Z``."""

from __future__ import annotations

from typing import TypedDict


class NoticeLine(TypedDict):
    """One notice. ``title`` is None where the asker may know of its subject no longer.

    ``number``: of how many things it tells; title and path are then of what they have in common.
    """

    id: int
    kind: str
    at: str
    read: str | None
    text: str
    title: str | None
    number: int
    level: str | None
    tlp: str | None
    path: str | None


class NoticeList(TypedDict):
    """One's own notices, newest first; ``unread`` counts at most 100."""

    items: list[NoticeLine]
    next: str | None
    total: None
    unread: int


class NoticesRead(TypedDict):
    """How many were unread until now."""

    read: int


class NoticeChoice(TypedDict):
    """What one is told of in the console."""

    kinds: list[str]
    level: str


class WayProblem(TypedDict):
    """What went wrong the last time, in the asker's words."""

    code: str
    text: str


class WayShape(TypedDict):
    """How somebody is told by mail, webhook or a plugin, and how it went the last time."""

    id: str
    person: str
    notifier: str
    address: str
    kinds: list[str]
    level: str
    quiet: str
    wakes: bool
    every: int
    is_on: bool
    created: str
    sent: str | None
    tried: str | None
    problem: WayProblem | None
    version: int


class WayMade(WayShape, total=False):
    """A new way out; ``secret`` of a webhook, told this once."""

    secret: str


class WayList(TypedDict):
    """Every way out of the node."""

    items: list[WayShape]
    next: None
    total: int


class WayGone(TypedDict):
    """Which way out is no more."""

    deleted: str


class WayTested(TypedDict):
    """The receiver has the test."""

    id: str
    tested: bool
