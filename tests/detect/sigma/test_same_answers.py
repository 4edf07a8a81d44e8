"""The fast engine answers as the oracle does on real events (all of them: ``same_answers.py``)."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from istmo.detect.sigma import RuleSet

from .same_answers import differences, events_of


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("archive", "step", "most", "least"),
    [
        ("evtx/evtx_attack_samples.zip", 16, 520, 60),
        ("events-large/metasploit_logonpasswords_lsass_memory_dump.zip", 19, 300, 1),
    ],
)
def test_the_engine_finds_what_the_oracle_finds_on_real_events(
    archive: str, step: int, most: int, least: int, released_rules: RuleSet, shared_data: Path
) -> None:
    counts: dict[str, int] = {}
    events = islice(events_of(shared_data / archive, step), most)
    assert list(differences(released_rules, events, counts)) == []
    assert counts["matches"] >= least
