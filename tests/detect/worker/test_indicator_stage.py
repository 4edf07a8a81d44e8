"""The indicator stage: after a failure that nobody foresaw, and beside a hunt through what was stored."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import zstandard

from istmo.detect import wire
from istmo.model.patterns import read_pattern

from .conftest import Rig

FAILS_ONCE = """
import runpy, sys
from istmo.detect.worker.indicators import IndicatorStage

match, failed = IndicatorStage._match, []

async def fails_once(self, block, connection):
    if not failed:
        failed.append(True)
        raise RuntimeError("a defect")
    await match(self, block, connection)

IndicatorStage._match = fails_once
sys.argv = sys.argv[3:]  # without the interpreter and its -m
runpy.run_module(sys.argv[0], run_name="__main__")
"""
ADDRESS = "203.0.113.7"
SYSMON = "Microsoft-Windows-Sysmon/Operational"


def test_it_is_told_begins_again_from_what_is_stored_and_intake_goes_on(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    """Invariants 5 and 8: an event is told again at worst, and never lost."""
    program = tmp_path / "fails_once.py"
    program.write_text(FAILS_ONCE)
    rig = make_rig()
    rig.start(sys.executable, str(program))
    rig.accept()
    rig.put(wire.WireIndicator("indicator--1", [("ipv4", ADDRESS)]))
    failed = wire.Notice("detect.indicators_failed", {})
    rig.send({"DestinationIp": ADDRESS, "n": 1})
    before = list(iter(lambda: rig.heard.get(timeout=30), None))  # it hangs up, and dials again
    rig.send({"DestinationIp": ADDRESS, "n": 2})
    rig.accept(sync=False)
    rig.put(wire.WireIndicator("indicator--1", [("ipv4", ADDRESS)]))
    rig.say(wire.Synced())
    found = rig.hits("indicators", 2)
    assert [orjson.loads(hit.raw)["n"] for hit in found] == [1, 2]
    if failed not in before:
        rig.hear(wire.Notice, lambda notice: notice == failed)
    assert rig.process is not None and rig.process.poll() is None, "the worker itself lives on"


IN_ORDER = (
    "([domain-name:value = 'mando.example'] FOLLOWEDBY [ipv4-addr:value = '203.0.113.7']) WITHIN 600 SECONDS"
)


def in_order(id: str) -> wire.WireIndicator:
    found = read_pattern(IN_ORDER)
    return wire.WireIndicator(id, [(one.kind, one.value) for one in found.terms], None, found.plan)


def asked_for(minute: int) -> dict[str, object]:
    return {
        "Channel": SYSMON,
        "EventID": 22,
        "UtcTime": f"2026-03-02 09:{minute:02}:00",
        "QueryName": "mando.example",
    }


def connected(minute: int) -> dict[str, object]:
    return {
        "Channel": SYSMON,
        "EventID": 3,
        "UtcTime": f"2026-03-02 09:{minute:02}:00",
        "DestinationIp": ADDRESS,
    }


def unpacked(state: wire.WireState) -> bytes:
    return zstandard.ZstdDecompressor().decompress(state.data) if state.data else b""


def test_a_sequence_that_began_before_its_indicator_is_found(rig: Rig) -> None:
    """One with its end before the hunt is through, and one with its end after."""
    rig.send(asked_for(0))
    rig.settle_stored()
    rig.put(in_order("indicator--1"))
    rig.send(connected(5))
    rig.settle_stored()
    (hit,) = rig.hunt("indicator--1")
    assert (orjson.loads(hit.raw)["EventID"], hit.stored) == (3, True)
    assert hit.fields == {"DestinationIp": ADDRESS, "QueryName @ 1-0": "mando.example"}
    rig.hear(wire.Hits, lambda hits: hits.state is not None and b"1-0" in unpacked(hits.state))
    rig.send(connected(7))
    (hit,) = rig.hits("indicators", 1)
    assert (hit.event_id, hit.stored) == ("1-2", False), "the stage remembers what the hunt has read"
