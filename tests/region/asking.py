"""What the tests of a region ask again and again; all through each node's own HTTP interface."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

from istmo.cli.demo.region import RunningNode
from istmo.errors import Unavailable
from istmo.kit.client import NodeAnswered
from istmo.model import instants
from istmo.model.ids import new_id

Json = dict[str, Any]


def until(look: Callable[[], Any], detail: str, seconds: float = 30.0) -> Any:
    """Ask again until the answer is something; fails with ``detail`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"after {seconds} s: {detail}"
        time.sleep(0.02)  # the pace of asking
    return found


def indicator(address: str, name: str = "Watched address", **fields: Any) -> Json:
    """A STIX indicator for one IPv4 address."""
    now = instants.format(datetime.now(UTC))
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": new_id("indicator"),
        "created": now,
        "modified": now,
        "name": name,
        "pattern": f"[ipv4-addr:value = '{address}']",
        "pattern_type": "stix",
        "valid_from": "2020-01-01T00:00:00Z",
        **fields,
    }


def bundle(*objects: Json) -> bytes:
    """A STIX bundle."""
    return orjson.dumps({"type": "bundle", "id": new_id("bundle"), "objects": objects})


def connection(address: str, host: str = "PC-01") -> Json:
    """A Sysmon event of just now: ``host`` connects to ``address``."""
    now = datetime.now(UTC)
    return {
        "@timestamp": instants.format(now),
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "EventID": 3,
        "Hostname": host,
        "UtcTime": f"{now:%Y-%m-%d %H:%M:%S.%f}"[:-3],
        "Image": r"C:\Windows\explorer.exe",
        "SourceIp": "10.0.0.7",
        "DestinationIp": address,
        "DestinationPort": "443",
    }


def publish(node: RunningNode, *objects: Json, audience: str = "region", tlp: str = "amber") -> Json:
    """Publish as the node's operator; the answer."""
    told: Json = node.operator.post("/api/v1/objects/publish", bundle(*objects), tlp=tlp, audience=audience)
    return told


def detection(node: RunningNode, id: str) -> str:
    """What detection makes of an indicator in a node; ``absent`` where it has not come."""
    try:
        return str(node.operator.get(f"/api/v1/objects/{id}/detection")["state"])
    except NodeAnswered as error:
        if error.params["status"] != 404:
            raise
        return "absent"


def alerts(node: RunningNode, subject: str) -> list[Json]:
    """The alerts that tell of an indicator or a rule."""
    items: list[Json] = node.operator.get("/api/v1/alerts", subject=subject, limit=200)["items"]
    return items


def sightings(node: RunningNode, id: str) -> dict[str, int]:
    """Who has seen an indicator, by name, and how often."""
    items = node.operator.get(f"/api/v1/objects/{id}/sightings")["items"]
    return {one["member"]["name"]: one["count"] for one in items}


def worker(node: RunningNode) -> Json:
    """What the node says of its detection worker."""
    told: Json = node.operator.get("/api/v1/node")["worker"]
    return told


def is_idle(node: RunningNode) -> bool:
    """Whether everything stored has been looked at, by indicators and by rules."""
    told = worker(node)
    return told["state"] == "ready" and told["indicator_lag"] == 0 and told["sigma_lag"] == 0


def report(node: RunningNode, of: RunningNode) -> Json:
    """The reconciliation report of ``node`` about ``of``."""
    told: Json = node.operator.get(f"/api/v1/peers/{of.settings.member}/reconciliation")
    return told


def is_settled(nodes: Sequence[RunningNode]) -> bool:
    """Whether each pair agrees, both ways, on what was meant for whom: counts and chain heads."""
    for node in nodes:
        for other in nodes:
            if node is other:
                continue
            told = report(node, other)
            if not (
                told["sent"] == told["acknowledged"]
                and told["stated"] == told["received"]
                and told["received_head_equal"]
                and (told["sent_head_equal"] or told["sent"] == 0)
            ):
                return False
            there = report(other, node)
            if there["received"] != told["sent"]:
                return False
    return True


def settle(nodes: Sequence[RunningNode], seconds: float = 40.0) -> None:
    """Return once every pair of nodes agrees on everything; each ledger verifies from its files."""

    def look() -> bool:
        try:
            return is_settled(nodes)
        except Unavailable:
            return False

    until(look, "the nodes never agreed", seconds)
    for node in nodes:
        told = istmo("ledger", "verify", "--json", "--data", str(node.settings.data))
        assert told.returncode == 0, told.stdout + told.stderr
        assert json.loads(told.stdout)["problems"] == []


def istmo(
    *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The ``istmo`` command as a person runs it."""
    return subprocess.run(
        [sys.executable, "-m", "istmo", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env=env,
        timeout=90,
        check=False,
    )


@contextmanager
def signed_in(node: RunningNode, language: str = "en") -> Iterator[httpx.Client]:
    """A browser without JavaScript in which the administrator has signed in."""
    headers = {"Accept-Language": language}
    with httpx.Client(base_url=node.url, headers=headers, trust_env=False, timeout=30) as http:
        told = http.post("/api/v1/session", json={"name": node.administrator, "password": node.password})
        assert told.status_code == 201, told.text
        yield http


def side_by_side(*actions: Callable[[], Any]) -> list[Any]:
    """Run every action at the same moment in a thread of its own; results, or what they raised."""
    results: list[Any] = [None] * len(actions)
    ready = threading.Barrier(len(actions))

    def run(place: int) -> None:
        ready.wait()
        try:
            results[place] = actions[place]()
        except Exception as error:  # handed to the test, which looks at it
            results[place] = error

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results
