"""Rooms for the tests of alerts."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from istmo.clock import ManualClock, SystemClock
from machine import DATABASES

from .room import Room, open_room


@pytest.fixture
def data() -> Iterator[Path]:
    """A folder with a short path, as real nodes have."""
    with tempfile.TemporaryDirectory(prefix="istmo-t-") as name:
        yield Path(name)


@pytest.fixture(params=DATABASES)
def database_kind(request: pytest.FixtureRequest) -> str:
    """A room on SQLite, and a room on PostgreSQL."""
    kind: str = request.param
    return kind


@pytest.fixture
def room(data: Path, make_database: Callable[[str], str], clock: ManualClock) -> Iterator[Room]:
    """A room whose link does not run, on each kind of database."""
    made = open_room(data, make_database("room"), clock)
    yield made
    made.store.close()


@pytest.fixture
def linked(data: Path) -> Iterator[Room]:
    """A room whose link runs."""
    made = open_room(data, f"sqlite:///{data / 'node.db'}", SystemClock())
    made.link.start()
    yield made
    made.link.stop()
    made.store.close()
