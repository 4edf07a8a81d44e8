"""Regions of running nodes for the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from istmo.cli.demo.region import RunningNode, join_region, make_node, running

NATIONS = (("CSIRT Guatemala", "GT"), ("CSIRT Honduras", "HN"), ("CSIRT El Salvador", "SV"))


@pytest.fixture
def region(tmp_path: Path) -> Iterator[Callable[..., list[RunningNode]]]:
    """Make a region of running nodes: ``region(3)``; ``tls="own"`` for encrypted ones."""
    with ExitStack() as held:

        def make(count: int = 3, *, tls: str = "none", joined: bool = True) -> list[RunningNode]:
            nodes = [
                make_node(tmp_path / country.lower(), name, country, tls=tls)
                for name, country in NATIONS[:count]
            ]
            held.enter_context(running(nodes))
            if joined:
                join_region(nodes, "Centroamérica")
            return nodes

        yield make
