"""The Sigma stage when making rules fails."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from istmo.clock import ManualClock
from istmo.detect import wire
from istmo.detect.eventstore.log import EventLog
from istmo.detect.worker.rule_table import RuleTable
from istmo.detect.worker.rules import SigmaStage

from .test_rule_table import rule


class Heard:
    """A conversation of which only what the worker says matters."""

    def __init__(self) -> None:
        self.live: list[int] = []
        self.changed = threading.Condition()

    async def send(self, message: Any) -> None:
        if isinstance(message, wire.Live):
            with self.changed:
                self.live.append(message.generation)
                self.changed.notify_all()


def test_what_could_not_be_made_is_not_live_and_what_was_before_stays_in_force(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, loop, heard = EventLog(tmp_path, clock), asyncio.new_event_loop(), Heard()
    running = threading.Thread(target=loop.run_forever, daemon=True)
    running.start()
    stage = SigmaStage(log, loop, clock)
    connection: Any = heard
    put = RuleTable.put

    def fail_once(*_: Any, **__: Any) -> None:
        monkeypatch.setattr(RuleTable, "put", put)
        raise RuntimeError("a defect")

    def waits_for(*generations: int) -> None:
        with heard.changed:
            assert heard.changed.wait_for(lambda: heard.live == list(generations), 20)

    try:
        stage.put(1, [rule(1)], connection, reset=True)
        waits_for(1)
        monkeypatch.setattr(RuleTable, "put", fail_once)
        stage.put(2, [rule(2)], connection, reset=False)
        stage.put(3, [rule(3)], connection, reset=False)
        waits_for(1, 3)
        assert not stage.has_failed
        assert stage.rules == 2
        monkeypatch.setattr(RuleTable, "put", fail_once)
        stage.put(4, [rule(2)], connection, reset=False)
        stage._builder.submit(lambda: None).result(20)
        assert stage.has_failed
        assert (heard.live, stage.rules) == ([1, 3], 2)
    finally:
        stage.close()
        loop.call_soon_threadsafe(loop.stop)
        running.join(20)
        log.close()
