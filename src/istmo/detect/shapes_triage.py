"""The shapes of what the machine interface answers about the queue of alerts and work on it."""

from __future__ import annotations

from typing import Any, TypedDict


class AlertLine(TypedDict):
    """A line of the queue: alerts of one subject, or on one ``host``. ``level`` and ``tlp`` are the worst.

    ``newest``: the alert that came last; ``taken``: how many are somebody's, ``assignee``: if all are one's.
    """

    detector: str
    subject: str
    host: str
    title: str
    newest: str
    alerts: int
    hosts: int
    subjects: int
    events: int
    level: str
    tlp: str
    last_seen: str | None
    taken: int
    assignee: str


class AlertLineList(TypedDict):
    """Lines of the queue; ``total`` is null where they are not counted: of hosts."""

    items: list[AlertLine]
    next: str | None
    total: int | None


class PastShape(TypedDict):
    """One change of an alert: ``before`` and ``after`` hold what changed."""

    change: str
    at: str | None
    by: str
    deed: str
    before: dict[str, Any]
    after: dict[str, Any]
    undone: bool


class PastList(TypedDict):
    """What was done to an alert, the last first."""

    items: list[PastShape]
    next: None
    total: int


class DoneShape(TypedDict):
    """What a change came to; ``change`` takes it back. ``left``: alerts that it was not for, or that somebody
    else had changed; ``was``: what was taken back."""

    deed: str
    change: str
    number: int
    left: int
    was: str | None
