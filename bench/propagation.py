"""How long from publishing in one node until an event posted to another raises its alert?

Nodes are real processes that speak over real sockets; everything is seen through their HTTP
interfaces. Each publication is a new indicator for the whole region. Stages, in milliseconds from the
moment before the publication is posted:

* ``published``: the publisher has answered, the object is durable there;
* ``received``: the receiver took it from the feed (its own record; both clocks are this machine's);
* ``live``: the receiver's detection worker has acknowledged it;
* ``event``: the receiver's intake has answered, an event with the value is durable there;
* ``alert``: the alert is shown.

The floor, one before each publication in the same run: one signed POST of the same bundle to the very
server that publishes, which commits one row (``floor_server.py``). Ratio: the whole path against the
floor, p50.
The loaded part does the same while the receiver takes in 2,000 events a second and hunts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from intake_load import batches
from measure import finish, percentile, tree

from istmo.cli.demo.attack import connection
from istmo.cli.demo.region import RunningNode, Source, join_region, make_node, running
from istmo.kit.client import NodeClient
from istmo.model import instants
from istmo.model.ids import new_id

COUNTRIES = ("GT", "HN", "SV", "NI", "CR", "PA", "BZ", "DO")
STAGES = ("published", "received", "live", "event", "alert")
EVENTS_PER_SECOND = 2_000
PATIENCE = 20.0
REST = 0.15
"""Seconds before each publication: what the one before set off has ended (its sighting is back where it
came from), the askers are waiting."""


class Receiver:
    """A node that receives: an analyst's two connections, held open for answers, and a log source."""

    def __init__(self, node: RunningNode, waiters: ThreadPoolExecutor) -> None:
        self.node = node
        analyst = node.person("bench", "analyst")
        token = str(analyst._http.headers["Authorization"]).removeprefix("Bearer ")
        self.detection, self.alerts = (NodeClient.by_token(node.url, token) for _ in range(2))
        self.source: Source = node.source("bench")
        self._waiters = waiters

    def wait_live(self, object: str) -> Future[float]:
        """When the worker watches for an object."""
        return self._waiters.submit(self._until, self.detection, f"/api/v1/objects/{object}/detection")

    def wait_alert(self, object: str) -> Future[float]:
        """When an alert tells of it."""
        return self._waiters.submit(self._until, self.alerts, f"/api/v1/objects/{object}/alerts")

    def received(self, object: str) -> float:
        """When the node took it in, in seconds since 1970."""
        told = self.detection.get(f"/api/v1/objects/{object}")
        return instants.parse(told["provenance"][0]["received"]).timestamp()

    def _until(self, client: NodeClient, path: str) -> float:
        answer = client.get(path, wait=PATIENCE)
        if answer.get("state", "live") != "live" or not answer.get("items", True):
            raise SystemExit(f"{path} at {self.node.settings.name}: {answer}")
        return time.perf_counter()


class Region:
    """The running nodes, and what is published in them."""

    def __init__(self, nodes: list[RunningNode], waiters: ThreadPoolExecutor) -> None:
        self.publisher = nodes[0].person("bench", "analyst")
        self._signed = nodes[0].operator
        self.receivers = [Receiver(node, waiters) for node in nodes[1:]]
        self._number = 0

    def floor(self, body: bytes) -> float:
        """One signed POST to the publisher; milliseconds until it is answered."""
        began = time.perf_counter()
        self._signed.post("/api/v1/bench/floor", body)
        return (time.perf_counter() - began) * 1000

    def indicator(self) -> tuple[str, bytes, str]:
        """A new indicator: its id, its bundle, its value."""
        self._number += 1
        value = f"10.{self._number >> 16 & 255}.{self._number >> 8 & 255}.{self._number & 255}"
        object = new_id("indicator")
        now = instants.format(datetime.now(UTC))
        indicator = {
            "type": "indicator",
            "spec_version": "2.1",
            "id": object,
            "created": now,
            "modified": now,
            "name": f"bench {value}",
            "pattern": f"[ipv4-addr:value = '{value}']",
            "pattern_type": "stix",
            "valid_from": now,
        }
        bundle = {"type": "bundle", "id": new_id("bundle"), "objects": [indicator]}
        return object, orjson.dumps(bundle), value

    def publish(self, at: Receiver) -> dict[str, float]:
        """One publication, followed to its alert at one receiver."""
        object, bundle, value = self.indicator()
        event = connection(datetime.now(UTC), "BENCH-01", "bench.exe", value, 443)
        live, alert = at.wait_live(object), at.wait_alert(object)
        time.sleep(REST)
        took = {"floor": self.floor(bundle)}
        wall, began = time.time(), time.perf_counter()
        self.publisher.post("/api/v1/objects/publish", bundle, tlp="amber", audience="region")
        took["published"] = (time.perf_counter() - began) * 1000
        took["live"] = (live.result() - began) * 1000
        at.source.send([event])
        took["event"] = (time.perf_counter() - began) * 1000
        took["alert"] = (alert.result() - began) * 1000
        took["received"] = (at.received(object) - wall) * 1000
        everywhere = [one.wait_live(object) for one in self.receivers if one is not at]
        took["everywhere"] = max([took["live"], *((one.result() - began) * 1000 for one in everywhere)])
        return took

    def measure(self, count: int, receivers: list[Receiver]) -> list[dict[str, float]]:
        """``count`` publications, each receiver in turn."""
        return [self.publish(receivers[number % len(receivers)]) for number in range(count)]


@contextmanager
def load(at: Receiver, told: dict[str, Any]) -> Iterator[None]:
    """Events and hunts at one receiver until the block is left; ``told`` gets what was achieved."""
    job = {
        "intake_url": at.source.url,
        "intake_token": at.source.token,
        "data": str(at.node.settings.data),
        "events_per_second": EVENTS_PER_SECOND,
    }
    loader = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("intake_load.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert loader.stdin and loader.stdout
    try:
        loader.stdin.write(json.dumps(job) + "\n")
        loader.stdin.flush()
        loader.stdout.readline()
        yield
        loader.stdin.close()
        told |= json.loads(loader.stdout.readline())
        loader.wait(30)
    finally:
        if loader.poll() is None:
            loader.kill()


def summary(taken: list[dict[str, float]]) -> dict[str, Any]:
    """p50 and p99 of each stage and of the floor, and what the path is against the floor."""
    told: dict[str, Any] = {
        stage: {
            "p50": round(percentile([one[stage] for one in taken], 0.5), 1),
            "p99": round(percentile([one[stage] for one in taken], 0.99), 1),
        }
        for stage in ("floor", *STAGES, "everywhere")
    }
    # Each publication against the floor right before it: what the machine does to both cancels out.
    told["ratio"] = round(percentile([one["alert"] / one["floor"] for one in taken], 0.5), 2)
    told["ratio_of_p50"] = round(told["alert"]["p50"] / told["floor"]["p50"], 2)
    return told


def cpu_seconds(nodes: list[RunningNode]) -> float:
    """Processor time of all processes of the nodes so far."""
    total = 0
    for node in nodes:
        for pid in tree(node.process.pid) if node.process else ():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
    return total / 100


def run(size: int, idle: int, loaded: int, stored: int, folder: Path) -> dict[str, Any]:
    """One region of ``size`` nodes, measured idle and loaded."""
    folder.mkdir()
    nodes = [make_node(folder / country, country, country) for country in COUNTRIES[:size]]
    nodes[0].program = (sys.executable, str(Path(__file__).with_name("floor_server.py")))
    told: dict[str, Any] = {"publishes_idle": idle, "publishes_loaded": loaded}
    with running(nodes), ThreadPoolExecutor(2 * size) as waiters:
        join_region(nodes, "bench")
        region = Region(nodes, waiters)
        region.measure(min(idle, 5), region.receivers)  # first connections, first pages of memory
        used = cpu_seconds(nodes)
        told["idle"] = summary(region.measure(idle, region.receivers))
        told["cpu_ms_per_publish"] = round((cpu_seconds(nodes) - used) / max(1, idle) * 1000, 1)
        at = region.receivers[0]
        for batch in batches(stored):
            at.source.send_lines(batch)
        under: dict[str, Any] = {}
        with load(at, under):
            taken = region.measure(loaded, [at])
        told["loaded"] = summary(taken) | under
    return told


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="three nodes, few publications; under 50 s")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--nodes", default="", help="sizes of region to measure, by default 3,8")
    parser.add_argument("--publishes", type=int, default=0, help="by default 1,000 idle and 1,000 loaded")
    asked = parser.parse_args()
    sizes = [int(one) for one in (asked.nodes or ("3" if asked.quick else "3,8")).split(",")]
    idle = asked.publishes or (60 if asked.quick else 1_000)
    loaded = asked.publishes or (40 if asked.quick else 1_000)
    stored = 20_000 if asked.quick else 100_000
    with tempfile.TemporaryDirectory() as folder:
        regions = {size: run(size, idle, loaded, stored, Path(folder) / str(size)) for size in sizes}
    lines = [
        f"{size} nodes: idle {one['idle']['ratio']:.2f} times the floor "
        f"(p50 {one['idle']['alert']['p50']:.0f} ms against {one['idle']['floor']['p50']:.1f} ms, "
        f"p99 {one['idle']['alert']['p99']:.0f} ms), loaded p99 {one['loaded']['alert']['p99']:.0f} ms"
        for size, one in regions.items()
    ]
    finish(
        {
            "regions": regions,
            "goals": {"idle_p50_times_floor": 5, "p99_ms": 1000, "events_per_second": EVENTS_PER_SECOND},
        },
        asked.json,
        "propagation ratio: " + "; ".join(lines),
    )


if __name__ == "__main__":
    main()
