"""The Sigma stage as a process: what happens when it ends."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import orjson

from istmo.detect import wire

from .conftest import Rig
from .test_correlations import RULE, event


def children(pid: int, of: str) -> list[int]:
    """The children of a process whose command line holds a text."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rsplit(")", 1)[1].split()[1])
            command = status.with_name("cmdline").read_bytes().decode()
        except (OSError, ValueError):
            continue
        if parent == pid and of in command:
            found.append(int(status.parent.name))
    return found


def start(rig: Rig, position: wire.Position) -> None:
    """The web process's part: the whole state, from a stored position."""
    rig.say(wire.Welcome({"sigma": position}, "hn", ["hn"]))
    rig.say(wire.PutSources(1, [wire.WireSource("s1", "test", b"", ["submit"])]))
    rig.say(wire.PutRules(2, [wire.WireRule("rule", RULE)], True, {}))
    rig.say(wire.Synced())
    rig.hear(wire.Live, lambda live: live.what == "sigma")


def test_killed_it_begins_anew_from_what_is_stored_and_intake_goes_on(rig: Rig) -> None:
    """Invariants 5 and 8: an event is told again at worst, and never lost."""
    rig.say(wire.PutRules(2, [wire.WireRule("rule", RULE)], True, {}))
    rig.hear(wire.Live, lambda live: live.what == "sigma")
    rig.send(event("a", 0))
    (hit,) = rig.hits("sigma", 1)
    assert orjson.loads(hit.raw)["User"] == "a"
    assert rig.process is not None
    (before,) = children(rig.process.pid, "istmo.detect.worker.sigma")
    os.kill(before, signal.SIGKILL)
    rig.send(event("b", 1))
    rig.accept(sync=False)
    rig.say(wire.Welcome({"sigma": wire.Position(1, 1)}, "hn", ["hn"]))
    rig.hear(wire.Notice, lambda notice: notice.code == "detect.rules_failed")
    start(rig, wire.Position(1, 1))
    (hit,) = rig.hits("sigma", 1)
    assert orjson.loads(hit.raw)["User"] == "b"
    (after,) = children(rig.process.pid, "istmo.detect.worker.sigma")
    assert after != before


def test_it_does_not_outlive_the_worker(rig: Rig) -> None:
    assert rig.process is not None
    (child,) = children(rig.process.pid, "istmo.detect.worker.sigma")
    rig.kill()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return
        if state == "Z":
            return  # ended; nobody has fetched its status yet
        time.sleep(0.02)  # the pace of polling
    raise AssertionError("it lives on")
