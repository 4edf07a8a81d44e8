"""The indicator stage after a failure that nobody foresaw: it begins again from what is stored."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import orjson

from istmo.detect import wire

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
