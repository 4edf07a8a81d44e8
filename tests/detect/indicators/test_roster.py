"""Ids and rows, whatever comes and goes."""

from __future__ import annotations

import uuid

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from istmo.detect.indicators.roster import Roster

IDS = st.one_of(
    st.integers(0, 40).map(lambda number: f"indicator--{uuid.UUID(int=number << 64)}"),
    st.integers(0, 5).map(lambda number: f"indicator--{uuid.UUID(int=0xABCDEF << number)}".upper()),
    st.sampled_from(["", "indicator--", "rule 1", "indicator--0d3f6f4e-6a0c-4d38-9a53-2f6b3c8f1a0g"]),
)


class Comings(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.roster = Roster()
        self.truth: dict[str, int] = {}

    @rule(id=IDS)
    def add(self, id: str) -> None:
        if id not in self.truth:
            row = self.roster.add(id)
            assert row not in self.truth.values()
            self.truth[id] = row

    @rule(id=IDS)
    def remove(self, id: str) -> None:
        assert self.roster.remove(id) == self.truth.pop(id, None)

    @invariant()
    def rows_and_ids_agree(self) -> None:
        assert len(self.roster) == len(self.truth)
        assert sorted(self.roster) == sorted(self.truth)
        for id, row in self.truth.items():
            assert self.roster.row(id) == row
            assert self.roster.id(row) == id


TestComings = Comings.TestCase


def test_grows_and_shrinks_by_thousands() -> None:
    roster = Roster()
    ids = [f"indicator--{uuid.UUID(int=number * 0x9E3779B97F4A7C15)}" for number in range(20_000)]
    for round in range(3):
        rows = {id: roster.add(id) for id in ids}
        assert len(set(rows.values())) == len(ids) == len(roster)
        assert roster.rows == len(ids)
        assert all(roster.row(id) == row for id, row in rows.items())
        assert all(roster.remove(id) is not None for id in ids[round::1])
        for id in ids[:round]:
            roster.remove(id)
        assert len(roster) == 0
