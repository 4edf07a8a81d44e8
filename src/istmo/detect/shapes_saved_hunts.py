"""Shapes of what the machine interface says of saved hunts. Lengths of time as people write them: ``24h``."""

from __future__ import annotations

from typing import TypedDict


class HuntRunProblem(TypedDict):
    """Why not all was seen, or not all was told."""

    code: str
    text: str


class HuntRunShape(TypedDict):
    """One asking of a hunt; ``by`` is ``system:detect`` for a run by itself, ``found`` counts events."""

    by: str
    name: str
    begun: str
    ended: str
    seconds: float
    found: int
    whole: bool
    problem: HuntRunProblem | None


class SavedHuntShape(TypedDict):
    """A saved hunt. ``every`` is empty without a schedule; ``due`` is when it runs by itself next.

    ``failing``: so many runs by itself failed one after another that somebody should look. ``own``: whether
    the asker may change it.
    """

    id: str
    name: str
    description: str
    kind: str
    text: str
    window: str
    every: str
    on: bool
    alert: bool
    level: str
    shared: bool
    owner: str
    owner_name: str
    own: bool
    created: str
    changed: str
    version: int
    due: str | None
    failures: int
    failing: bool
    last: HuntRunShape | None


class SavedHuntList(TypedDict):
    """The hunts that the asker may see, by name."""

    items: list[SavedHuntShape]
    next: None
    total: int


class HuntRunList(TypedDict):
    """The last runs of a hunt, the newest first."""

    items: list[HuntRunShape]
    next: None
    total: int
