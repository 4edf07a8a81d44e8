"""Whole patterns in a running node: in force, and out of it again, within a second while events flow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from istmo.cli.demo.region import RunningNode
from istmo.model import instants

from .asking import alerts, connection, detection, indicator, publish, signed_in, until, worker

ADDRESS = "203.0.113.90"
TOGETHER = f"[ipv4-addr:value = '{ADDRESS}' AND network-traffic:dst_port = 443]"
IN_TIME = (
    f"([network-traffic:dst_ref.value = '{ADDRESS}'] FOLLOWEDBY"
    " [process:image_ref.name LIKE 'expl%' AND ipv4-addr:value ISSUBSET '203.0.113.0/24'])"
    " REPEATS 2 TIMES WITHIN 3600 SECONDS"
)
WITHIN = 1.0


class Flow:
    """Events that come one after the other, without a pause but where ``held``."""

    def __init__(self, node: RunningNode) -> None:
        self._node, self._source = node, node.source("flow")
        self._is_over = False
        self._turn = threading.Lock()
        self.accepted = 0

    def _send(self) -> None:
        while not self._is_over:
            with self._turn:
                self.accepted += self._source.send([connection(ADDRESS)])["accepted"]

    def more(self) -> None:
        """Return when ten more have come."""
        goal = self.accepted + 10
        until(lambda: self.accepted >= goal, "events flow")

    @contextmanager
    def held(self) -> Iterator[None]:
        """None comes; all that came has been looked at."""
        with self._turn:
            until(lambda: worker(self._node)["indicator_lag"] == 0, "all was looked at")
            yield

    @contextmanager
    def flowing(self) -> Iterator[None]:
        sender = threading.Thread(target=self._send)
        sender.start()
        try:
            yield
        finally:
            self._is_over = True
            sender.join(10)


def whole(pattern: str, **fields: Any) -> dict[str, Any]:
    """An indicator of a pattern that is more than one value."""
    return indicator("192.0.2.1", **fields) | {"pattern": pattern}


def count(node: RunningNode, id: str) -> int:
    return sum(one["count"] for one in alerts(node, id))


def goes_silent(node: RunningNode, flow: Flow, *ids: str) -> None:
    """Of the events that come from now on none is told."""
    with flow.held():
        told = [count(node, id) for id in ids]
    flow.more()
    with flow.held():
        assert [count(node, id) for id in ids] == told


def test_patterns_come_into_force_and_go_out_of_it_within_a_second_while_events_flow(
    region: Callable[..., list[RunningNode]],
) -> None:
    (node,) = region(1, joined=False)
    here = node.settings.member
    flow = Flow(node)
    with flow.flowing():
        flow.more()
        revoked, retracted, ordered = whole(TOGETHER), whole(TOGETHER), whole(IN_TIME)
        ids = [one["id"] for one in (revoked, retracted, ordered)]

        publish(node, revoked, retracted, ordered, audience=here)
        began = time.monotonic()
        until(lambda: all(detection(node, id) == "live" for id in ids), "in force")
        assert time.monotonic() - began < WITHIN
        until(lambda: all(count(node, id) > 2 for id in ids), "events are told")

        later = instants.format(datetime.now(UTC) + timedelta(seconds=1))
        publish(node, revoked | {"modified": later, "revoked": True}, audience=here)
        for id in ids[1:]:
            node.operator.post(f"/api/v1/objects/{id}/retract", {"reason": "error", "note": "x"})
        began = time.monotonic()
        until(lambda: all(detection(node, id) == "off" for id in ids), "out of force")
        assert time.monotonic() - began < WITHIN
        goes_silent(node, flow, *ids)

        # The time of its end passes while it is in force.
        ends = datetime.now(UTC) + timedelta(seconds=2)
        expiring = whole(TOGETHER, valid_until=instants.format(ends))
        publish(node, expiring, audience=here)
        until(lambda: count(node, expiring["id"]) > 0, "events are told until then")
        until(lambda: datetime.now(UTC) > ends, "the end has come")
        goes_silent(node, flow, expiring["id"])


def test_a_warning_list_is_told_when_publishing_on_the_indicator_and_on_the_alert(
    region: Callable[..., list[RunningNode]],
) -> None:
    (node,) = region(1, joined=False)
    kept = {"name": "Public resolvers", "type": "string", "list": ["8.8.8.8"]}
    told = node.operator.post("/api/v1/warning-lists", orjson.dumps(kept))
    assert (told["entries"], told["type"]) == (1, "string")
    assert node.operator.get("/api/v1/warning-lists")["total"] == 1
    common = indicator("8.8.8.8", confidence=90, indicator_types=["malicious-activity"])
    done = publish(node, common, audience=node.settings.member)
    assert done["items"][0]["warning_lists"] == {"8.8.8.8": ["Public resolvers"]}
    until(lambda: detection(node, common["id"]) == "live", "in force")
    about = node.operator.get(f"/api/v1/objects/{common['id']}/detection")
    assert (about["level"], about["warning_lists"]) == ("critical", {"8.8.8.8": ["Public resolvers"]})

    node.source("flow").send([connection("8.8.8.8")])
    until(lambda: count(node, common["id"]) == 1, "it is told")
    (alert,) = alerts(node, common["id"])
    assert alert["level"] == "informational"
    weighed = node.operator.get(f"/api/v1/alerts/{alert['id']}")["weighed"]
    assert (weighed["confidence"], weighed["warning_lists"]) == (90, ["Public resolvers"])
    assert "Public resolvers" in weighed["text"]
    for page in (f"/alerts/{alert['id']}", f"/objects/{common['id']}"):
        with signed_in(node) as browser:
            assert "Public resolvers" in browser.get(page).text

    node.operator.call("DELETE", "/api/v1/warning-lists", None, {"name": "Public resolvers"})
    node.source("more").send([connection("8.8.8.8")])
    until(lambda: count(node, common["id"]) == 2, "it is told again")
    assert alerts(node, common["id"])[0]["level"] == "critical"
    assert node.operator.call("PUT", "/api/v1/warning-lists/reserved", None, {})["total"] == 3
