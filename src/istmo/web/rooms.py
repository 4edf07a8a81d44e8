"""The rooms that this application opens: each room's routes, in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from litestar.types import ControllerRouterHandler


@dataclass(frozen=True)
class Rooms:
    """Routes for programs (in the OpenAPI document) and pages (not in it)."""

    api: Sequence[ControllerRouterHandler] = ()
    pages: Sequence[ControllerRouterHandler] = ()


def open_rooms() -> Rooms:
    """Every room of the node."""
    return Rooms()
