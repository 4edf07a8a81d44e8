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


class SealedShape(TypedDict):
    """Bytes at rest by how they are sealed; ``key`` seals what is written now (empty: nothing does).

    ``shut`` counts segments that are sealed with a key that is not in the key file.
    """

    key: str
    sealed_bytes: int
    older_key_bytes: int
    plain_bytes: int
    shut: int


class KeptShape(TypedDict):
    """What is kept; ``days_left`` until the disk or the budget is full, where the rate is known.

    ``sealed`` is null where the node has no key file and nothing is sealed.
    """

    oldest: str | None
    bytes: int
    daily_bytes: int
    days_left: int | None
    keep_days: int
    budget_bytes: int
    sources: list[SourceKeptShape]
    sealed: SealedShape | None
