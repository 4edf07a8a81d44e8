"""How heavy is a node? Memory with three peers and 10,000 objects, start, installation, first page.

Floors, measured in the same run: a bare Python process that imports the same web framework and serves
nothing (memory), and a server of the same stack with one route (start; interleaved with the node's
starts). The memory of a node is that of its whole process tree: the web process, the detection worker
and whatever that has aside. Ratio: the node's web process against its floor.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx
import orjson
from measure import finish, percentile, pss_mb, tree

from istmo.cli.demo.region import RunningNode, free_ports, join_region, make_node, running
from istmo.ledger import keys as node_keys
from istmo.model.ids import new_id


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


def floor_mb() -> float:
    """PSS of Python with the web framework imported."""
    code = "import litestar, sqlalchemy, uvicorn, sys; print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as bare:
        assert bare.stdout and bare.stdin
        bare.stdout.readline()
        used = pss_mb(bare.pid)
        bare.stdin.close()
    return used


def start_seconds(node: RunningNode) -> float:
    """``istmo serve`` until the sign-in page answers."""
    began = time.monotonic()
    node.launch()
    return seconds_until_page(node.url + "/sign-in", began, 200)


def floor_start_seconds(folder: Path) -> float:
    """A server of the same stack with one route, until it answers."""
    folder.mkdir()
    node_keys.create(folder / "keys")
    (port,) = free_ports(1)
    server = Path(__file__).with_name("floor_server.py")
    began = time.monotonic()
    with subprocess.Popen([sys.executable, str(server), str(folder), str(port)]) as bare:
        try:
            return seconds_until_page(f"http://127.0.0.1:{port}/", began, 404)
        finally:
            bare.terminate()


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
        for number in range(starts):
            nodes[0].stop()
            floor_started.append(floor_start_seconds(Path(folder) / f"floor-{number}"))
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
                time.sleep(rest)  # the goal is stated for a node at rest
                assert nodes[0].process
                web, *others = [pss_mb(pid) for pid in tree(nodes[0].process.pid)]
                page = first_page_bytes(nodes[0].url)
            finally:
                nodes[0].stop()
    floor = floor_mb()
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
            "goals": {"web": 150, "all": 300, "start_s": 2, "first_page_bytes": 100_000, "installed": 350},
        },
        asked.json,
        f"footprint ratio: {web / floor:.2f} times a bare Litestar process "
        f"({web:.0f} MB against {floor:.0f} MB; whole node {web + sum(others):.0f} MB); "
        f"start {percentile(started, 0.5) / percentile(floor_started, 0.5):.2f} times a bare server's",
    )


main()
