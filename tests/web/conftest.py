"""The application of a test node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from web_site import Site, make_site

from istmo.clock import ManualClock


@pytest.fixture
def site(tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    made = make_site(tmp_path, clock)
    yield made
    made.node.store.close()
