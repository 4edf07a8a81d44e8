"""Rooms for the tests of alerts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from istmo.clock import ManualClock, SystemClock

from .room import Room, open_room


@pytest.fixture
def data() -> Iterator[Path]:
    """A folder with a short path, as real nodes have."""
    with tempfile.TemporaryDirectory(prefix="istmo-t-") as name:
        yield Path(name)


@pytest.fixture
def room(data: Path, database_url: str, clock: ManualClock) -> Iterator[Room]:
    """A room whose link does not run, on each kind of database."""
    made = open_room(data, database_url, clock)
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
