"""How heavy is a node? Memory with three peers and 10,000 objects, start, installation, first page.

The alternative measured in the same run is the floor: a bare Python process that imports the same
web framework and serves nothing. Ratio: the node's web process against that floor.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import orjson
from measure import finish, pss_mb, tree

from istmo.cli.demo.region import RunningNode, join_region, make_node, running
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
    while True:
        try:
            if httpx.get(node.url + "/sign-in", timeout=5).status_code == 200:
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
    from importlib import metadata

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
    objects, rest = (1_000, 5.0) if asked.quick else (10_000, 60.0)
    with tempfile.TemporaryDirectory() as folder:
        names = (("A", "GT"), ("B", "HN"), ("C", "SV"), ("D", "NI"))
        nodes = [make_node(Path(folder) / country, name, country) for name, country in names]
        started = start_seconds(nodes[0])
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
                pids = tree(nodes[0].process.pid)
                web, *others = [pss_mb(pid) for pid in pids]
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
            "processes": len(pids),
            "start_s": round(started, 2),
            "first_page_bytes": page,
            "installed_mb": round(installed_mb(), 1),
            "floor_pss_mb": round(floor, 1),
            "goals": {"web": 150, "all": 300, "start_s": 2, "first_page_bytes": 100_000, "installed": 350},
        },
        asked.json,
        f"footprint ratio: {web / floor:.2f} times a bare Litestar process "
        f"({web:.0f} MB against {floor:.0f} MB; whole node {web + sum(others):.0f} MB)",
    )


main()
