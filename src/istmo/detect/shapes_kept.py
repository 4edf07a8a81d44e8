"""Shapes of what the machine interface says of stored events and how long they are kept."""

from __future__ import annotations

from typing import TypedDict


class SourceKeptShape(TypedDict):
    """One source: ``keep_days`` and ``budget_bytes`` of its own (0: none), ``bytes`` on disk."""

    id: str
    name: str
    keep_days: int
    budget_bytes: int
    bytes: int


class KeptShape(TypedDict):
    """What is kept; ``days_left`` until the disk or the budget is full, where the rate is known."""

    oldest: str | None
    bytes: int
    daily_bytes: int
    days_left: int | None
    keep_days: int
    budget_bytes: int
    sources: list[SourceKeptShape]
