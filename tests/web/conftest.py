"""The application of a test node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from web_site import Site, make_site

from istmo.clock import ManualClock, SystemClock


@pytest.fixture
def site(tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    made = make_site(tmp_path, clock)
    yield made
    made.node.store.close()


@pytest.fixture(scope="module")
def real_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The application with every room, of a node with nothing in it."""
    made = make_site(tmp_path_factory.mktemp("node"), ManualClock(SystemClock().now()), rooms=None)
    yield made
    made.node.store.close()
