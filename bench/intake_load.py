"""A load for ``propagation.py``: so many events a second into one node, and a hunt that never ends.

A process of its own, so that it takes nothing from the clock of whoever measures. Reads one JSON
document on standard input (``Job``), works until its input ends, then prints what it achieved.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict

import orjson

from istmo.cli.demo.attack import ordinary_morning
from istmo.cli.demo.region import Source
from istmo.kit.client import NodeClient
from istmo.model.ids import new_id
from istmo.settings import load_settings

BATCH = 100
SAMPLE_SECONDS = 0.25
HUNTED = 60
"""Indicators that a hunt looks for: past some fifty each stored event is read and judged."""


class Job(TypedDict):
    intake_url: str
    intake_token: str
    data: str
    """The node's folder: how much it hunts is for its operator to know."""
    events_per_second: int


def batches(count: int) -> list[bytes]:
    """``count`` events of an ordinary morning as newline JSON, ``BATCH`` at a time."""
    events = [orjson.dumps(one) for one in ordinary_morning(datetime(2026, 3, 2, 8, tzinfo=UTC), count)]
    return [b"\n".join(events[at : at + BATCH]) for at in range(0, count, BATCH)]


def hunted_bundle() -> bytes:
    """Indicators, of programs that nobody runs, that make a node read all that it has stored."""
    objects = [
        {
            "type": "indicator",
            "spec_version": "2.1",
            "id": new_id("indicator"),
            "created": "2026-03-02T08:00:00.000000Z",
            "modified": "2026-03-02T08:00:00.000000Z",
            "pattern": f"[file:name = 'nobody-runs-{number}.exe']",
            "pattern_type": "stix",
            "valid_from": "2026-03-02T00:00:00Z",
        }
        for number in range(HUNTED)
    ]
    return orjson.dumps({"type": "bundle", "id": new_id("bundle"), "objects": objects})


class Hunting(threading.Thread):
    """Gives the node something to hunt for whenever it has nothing; counts how often it was hunting."""

    def __init__(self, node: NodeClient, stopping: threading.Event) -> None:
        super().__init__(daemon=True)
        self._node, self._stopping = node, stopping
        self.samples = self.hunting = self.hunts = 0

    def run(self) -> None:
        while not self._stopping.wait(SAMPLE_SECONDS):
            is_hunting = bool(self._node.get("/api/v1/node")["worker"]["hunting"])
            self.samples += 1
            self.hunting += is_hunting
            if not is_hunting:
                self._node.post("/api/v1/objects/import", hunted_bundle(), tlp="amber")
                self.hunts += 1


def main() -> None:
    job: Job = json.loads(sys.stdin.readline())
    made = batches(10_000)
    stopping = threading.Event()
    source = Source(job["intake_url"], job["intake_token"])
    hunting = Hunting(NodeClient.by_key(load_settings(Path(job["data"]))), stopping)
    hunting.start()
    threading.Thread(target=lambda: (sys.stdin.read(), stopping.set()), daemon=True).start()
    began, sent, worst = time.monotonic(), 0, 0.0
    print("ready", flush=True)
    while not stopping.is_set():
        due = began + sent / job["events_per_second"]
        wait = due - time.monotonic()
        if wait > 0:
            stopping.wait(wait)
        worst = max(worst, -wait)
        source.send_lines(made[sent // BATCH % len(made)])
        sent += BATCH
    told: dict[str, Any] = {
        "events_per_second": round(sent / (time.monotonic() - began)),
        "most_behind_s": round(worst, 2),
        "hunting_share": round(hunting.hunting / max(1, hunting.samples), 2),
        "hunts_added": hunting.hunts,
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
