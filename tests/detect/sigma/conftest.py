"""Rules of the shared release, loaded once."""

from __future__ import annotations

from pathlib import Path

import pytest

from istmo.detect.sigma import RuleSet, load_rules

from .recordings import RULES


@pytest.fixture(scope="session")
def released_rules(shared_data: Path) -> RuleSet:
    return load_rules(shared_data / RULES)
