"""Matches in the order of time, whatever fits into memory."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.triage import spool
from istmo.detect.triage.spool import Handed, Spool


@given(
    st.lists(st.sampled_from(["", "2026-01-01", "2026-01-02", "2026-01-03"]), max_size=60),
    st.integers(1, 7),
)
def test_rows_come_out_by_time_and_none_is_lost(times: list[str], in_memory: int) -> None:
    kept = Spool(in_memory)
    most, spool.MOST_RUNS = spool.MOST_RUNS, 3  # type: ignore[misc]
    try:
        for number, time in enumerate(times):
            kept.add({"time": time, "number": number})
        found = [(row["time"], row["number"]) for row in kept]
    finally:
        spool.MOST_RUNS = most  # type: ignore[misc]
        kept.close()
    assert found == sorted(
        ((time, n) for n, time in enumerate(times)), key=lambda one: (one[0] or "~", one[1])
    )


def test_what_is_handed_over_leaves_no_file(tmp_path: Path) -> None:
    handed = Handed(str(tmp_path), most=2)
    for number in range(5):
        handed.add({"number": number})
    assert sorted(row["number"] for row in handed.take()) == [0, 1, 2, 3, 4]
    assert list(tmp_path.iterdir()) == []
