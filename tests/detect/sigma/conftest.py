"""Rules of the shared release, loaded once."""

from __future__ import annotations

from pathlib import Path

import pytest

from detect.sigma.recordings import RULES
from istmo.detect.sigma import RuleSet, load_rules


@pytest.fixture(scope="session")
def released_rules(shared_data: Path) -> RuleSet:
    return load_rules(shared_data / RULES)
