"""The shapes of what the machine interface answers about warning lists."""

from __future__ import annotations

from typing import TypedDict


class WarningListShape(TypedDict):
    """A list without its entries. ``kinds``: what it is about; ``unusable``: entries that are left out.

    ``enabled``: whether hits of its values are told as informational.
    """

    name: str
    type: str
    description: str
    version: str
    kinds: list[str]
    entries: int
    unusable: int
    enabled: bool
    changed: str | None
    changed_by: str


class WarningListList(TypedDict):
    """Every warning list by name."""

    items: list[WarningListShape]
    next: str | None
    total: int


class ValueOnLists(TypedDict):
    """What a value is (kind and normal form), and the lists in force on which it stands."""

    kind: str
    value: str
    lists: list[str]
