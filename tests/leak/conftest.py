"""Folders in memory where there are any: a node writes with fsync, and these nodes live a few seconds."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def memory() -> Iterator[Path]:
    """A folder for this run."""
    place = MEMORY if os.access(MEMORY, os.W_OK) else None
    made = Path(tempfile.mkdtemp(prefix="istmo-leak-", dir=place))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def folder(memory: Path) -> Iterator[Path]:
    """A folder for one test."""
    made = Path(tempfile.mkdtemp(dir=memory))
    yield made
    shutil.rmtree(made)
