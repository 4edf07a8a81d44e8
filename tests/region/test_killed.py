"""Processes that die: whole nodes by ``kill -9``, the worker alone. Nothing acknowledged is lost."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from istmo.cli.demo.region import RunningNode
from istmo.errors import IstmoError, Unavailable
from istmo.kit.client import NodeAnswered

from .asking import alerts, bundle, connection, detection, indicator, is_idle, publish, settle, until, worker

Region = Callable[..., list[RunningNode]]


def published_ids(node: RunningNode) -> list[str]:
    """Every indicator that a node holds, page by page."""
    ids: list[str] = []
    cursor: str | None = None
    while True:
        page = node.operator.get("/api/v1/objects", type="indicator", limit=200, cursor=cursor)
        ids += [one["id"] for one in page["items"]]
        cursor = page["next"]
        if not cursor:
            return ids


def test_a_node_killed_in_mid_publish_and_its_peer_in_mid_receive_lose_and_double_nothing(
    region: Region,
) -> None:
    """House invariant 5: what was answered with success survives ``kill -9``."""
    gt, hn = region(2)
    answered: list[str] = []
    under_way = threading.Event()
    stopping = threading.Event()

    def keep_publishing() -> None:
        number = 0
        while not stopping.is_set():
            number += 1
            objects = [indicator(f"10.{number % 200}.{n}.9", f"Number {number}.{n}") for n in range(12)]
            try:
                gt.operator.post("/api/v1/objects/publish", bundle(*objects), tlp="amber", audience="region")
            except IstmoError:
                stopping.wait(0.05)  # it is down: whatever this batch was, nobody was promised it
                continue
            answered.extend(one["id"] for one in objects)
            if number > 2:
                under_way.set()
            stopping.wait(0.05)  # a busy analyst, no benchmark: what there is must be compared afterwards

    publishing = threading.Thread(target=keep_publishing)
    publishing.start()
    try:
        for victim in (gt, hn):
            assert under_way.wait(30)
            under_way.clear()
            victim.kill()
            victim.start()
        assert under_way.wait(30)
    finally:
        stopping.set()
        publishing.join(60)

    settle([gt, hn])
    for node in (gt, hn):
        held = published_ids(node)
        assert len(held) == len(set(held)), "each once"
        assert set(answered) <= set(held), "invariant 5: nothing that was answered is missing"
    assert sorted(published_ids(gt)) == sorted(published_ids(hn))


def test_the_worker_killed_alone_comes_back_and_loses_or_doubles_no_alert(region: Region) -> None:
    (node,) = region(1, joined=False)
    watched = indicator("203.0.113.77")
    publish(node, watched, audience=node.settings.member)
    until(lambda: detection(node, watched["id"]) == "live", "live")
    source = node.source("sensor")
    accepted = 0
    refusals: list[Any] = []

    def send() -> None:
        """One event as a shipper sends it: again until it is accepted."""
        nonlocal accepted
        event = connection("203.0.113.77", host="PC-07")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                accepted += source.send([event])["accepted"]
                return
            except NodeAnswered as error:
                refusals.append(error.params["status"])
            except Unavailable as error:
                refusals.append(error.params.get("detail", error.code))
            time.sleep(0.02)
        raise AssertionError(f"never accepted: {refusals}")

    before = {worker(node)["pid"]}
    for _ in range(2):
        for _ in range(10):
            send()
        pid = worker(node)["pid"]
        os.kill(pid, signal.SIGKILL)
        for _ in range(10):
            send()
        until(lambda: worker(node)["state"] == "ready", "a worker again")
        before.add(worker(node)["pid"])

    assert len(before) == 3, "each time a new worker"
    assert accepted == 40
    assert set(refusals) <= {"ConnectError", "ReadError", "RemoteProtocolError", 503}, refusals
    until(lambda: is_idle(node), "everything looked at")
    found = until(lambda: alerts(node, watched["id"]), "an alert")
    assert len(found) == 1, "one story"
    # An event whose answer was lost may stand twice in the store, as at-least-once senders have it;
    # of what was stored, each is told exactly once.
    stored = worker(node)["stored"]
    assert 40 <= stored <= 42
    until(lambda: alerts(node, watched["id"])[0]["count"] == stored, "each event once")
