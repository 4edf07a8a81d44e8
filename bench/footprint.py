"""How heavy is a node? Memory with three peers and 10,000 objects, start, installation, first page.

The floor of memory and of start is a server of the same libraries with one route (``bare_server.py``),
interleaved in the same run: it is started in turn with the node, and while the node rests, both are
read in turn. The memory of a node is that of its whole process tree: the web process, the detection
worker and whatever that has aside. Ratio: the node's web process against its floor.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx
import orjson
from measure import finish, percentile, pss_mb, tree

from istmo.cli.demo.region import RunningNode, free_ports, join_region, make_node, running
from istmo.model.ids import new_id

READINGS = 5


def bundle(count: int) -> bytes:
    """``count`` indicators, each with an address of its own."""
    objects: list[dict[str, Any]] = []
    for number in range(count):
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        objects.append(
            {
                "type": "indicator",
                "spec_version": "2.1",
                "id": new_id("indicator"),
                "created": "2026-03-02T08:00:00.000000Z",
                "modified": "2026-03-02T08:00:00.000000Z",
                "pattern": f"[ipv4-addr:value = '{address}']",
                "pattern_type": "stix",
                "valid_from": "2026-03-02T00:00:00Z",
            }
        )
    return orjson.dumps({"type": "bundle", "id": new_id("bundle"), "objects": objects})


def start_seconds(node: RunningNode) -> float:
    """``istmo serve`` until the sign-in page answers."""
    began = time.monotonic()
    node.launch()
    return seconds_until_page(node.url + "/sign-in", began, 200)


@contextmanager
def bare_server() -> Iterator[tuple[int, float]]:
    """The floor, running: its process and the seconds until it answered."""
    (port,) = free_ports(1)
    server = Path(__file__).with_name("bare_server.py")
    began = time.monotonic()
    with subprocess.Popen([sys.executable, str(server), str(port)]) as bare:
        try:
            yield bare.pid, seconds_until_page(f"http://127.0.0.1:{port}/", began, 200)
        finally:
            bare.terminate()


def read_memory(node: int, floor: int, rest: float) -> tuple[list[list[float]], list[float]]:
    """PSS of every process of the node, the web process first, and of the floor: in turn while they rest."""
    ours: list[list[float]] = []
    floors: list[float] = []
    for _ in range(READINGS):
        time.sleep(rest / READINGS)  # the goal is stated for a node at rest
        floors.append(pss_mb(floor))
        ours.append([pss_mb(pid) for pid in tree(node)])
    return ours, floors


def seconds_until_page(url: str, began: float, status: int) -> float:
    """From ``began`` until an address answers with ``status``."""
    while True:
        try:
            if httpx.get(url, timeout=5, trust_env=False).status_code == status:
                return time.monotonic() - began
        except httpx.TransportError:
            if time.monotonic() - began > 30:
                raise
            time.sleep(0.01)


def first_page_bytes(url: str) -> int:
    """What a browser loads to see the sign-in page: the page and all that it names, as transferred."""
    with httpx.Client(base_url=url, headers={"Accept-Encoding": "gzip"}) as client:
        total, seen = 0, set()
        waiting = ["/sign-in"]
        while waiting:
            path = waiting.pop()
            if path in seen:
                continue
            seen.add(path)
            with client.stream("GET", path) as answer:
                total += sum(len(chunk) for chunk in answer.iter_raw())
            if path == "/sign-in":
                page = client.get(path).text
                for mark in ('src="', '<link rel="stylesheet" href="', '<link rel="icon" href="'):
                    for part in page.split(mark)[1:]:
                        target = part.split('"', 1)[0]
                        if target.startswith("/"):
                            waiting.append(target)
        return total


def installed_mb() -> float:
    """What the runtime requirements take on disk in this environment, by the files pip recorded."""
    listed = Path(__file__).resolve().parent.parent / "requirements" / "runtime.txt"
    names = [line.split("==")[0] for line in listed.read_text().splitlines() if "==" in line]
    total = 0
    for name in [*names, "istmo"]:
        for file in metadata.distribution(name).files or ():
            path = Path(str(file.locate()))
            total += path.stat().st_size if path.exists() else 0
    return total / 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer objects and a shorter rest; under 50 s")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    objects, rest, starts = (1_000, 5.0, 2) if asked.quick else (10_000, 60.0, 5)
    with tempfile.TemporaryDirectory() as folder:
        names = (("A", "GT"), ("B", "HN"), ("C", "SV"), ("D", "NI"))
        nodes = [make_node(Path(folder) / country, name, country) for name, country in names]
        started, floor_started = [], []
        for _ in range(starts):
            nodes[0].stop()
            with bare_server() as (_, seconds):
                floor_started.append(seconds)
            started.append(start_seconds(nodes[0]))
        with running(nodes[1:]):
            try:
                nodes[0].wait_ready()
                join_region(nodes, "bench")
                for at in range(0, objects, 1_000):
                    count = min(1_000, objects - at)
                    nodes[0].operator.post(
                        "/api/v1/objects/publish", bundle(count), tlp="amber", audience="region"
                    )
                assert nodes[0].process
                with bare_server() as (bare, _):
                    readings, floors = read_memory(nodes[0].process.pid, bare, rest)
                page = first_page_bytes(nodes[0].url)
            finally:
                nodes[0].stop()
    # The last reading is the one of the goal; the ratio is that of the middle of all.
    web, *others = readings[-1]
    ratio = percentile([one[0] / floor for one, floor in zip(readings, floors, strict=True)], 0.5)
    floor = percentile(floors, 0.5)
    finish(
        {
            "objects": objects,
            "peers": 3,
            "rest_s": rest,
            "web_pss_mb": round(web, 1),
            "all_pss_mb": round(web + sum(others), 1),
            "processes": 1 + len(others),
            "start_s": round(percentile(started, 0.5), 2),
            "floor_start_s": round(percentile(floor_started, 0.5), 2),
            "first_page_bytes": page,
            "installed_mb": round(installed_mb(), 1),
            "floor_pss_mb": round(floor, 1),
            "readings": [
                [round(one[0], 1), round(bare, 1)] for one, bare in zip(readings, floors, strict=True)
            ],
            "goals": {"web": 150, "all": 300, "start_s": 2, "first_page_bytes": 100_000, "installed": 350},
        },
        asked.json,
        f"footprint ratio: {ratio:.2f} times a bare server of the same libraries "
        f"({web:.0f} MB against {floor:.0f} MB; whole node {web + sum(others):.0f} MB); "
        f"start {percentile(started, 0.5) / percentile(floor_started, 0.5):.2f} times a bare server's",
    )


main()
