"""The line between two real nodes: cut in mid-stream, saying everything twice, saying old things again.

Whatever happens to it, both nodes hold the same entries afterwards, byte for byte, with no gap between
them and equal heads of the delivery chain; what was sent is acknowledged.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from istmo.cli.demo.region import RunningNode, join_region, make_node, running
from istmo.kit.client import NodeAnswered
from istmo.settings import save_settings
from line import Recorder

from .asking import bundle, detection, indicator, publish, report, settle, side_by_side, until

OBJECTS, BATCH = 200, 5
SEEN_BY_BOTH = ("header", "keyid", "signature", "commitment", "type", "audience", "markings")


@pytest.fixture(scope="module")
def line() -> Iterator[Recorder]:
    made = Recorder()
    yield made
    made.close()


def two_nodes(folder: Path) -> list[RunningNode]:
    """Guatemala and Honduras, not running yet."""
    nations = (("CSIRT Guatemala", "GT"), ("CSIRT Honduras", "HN"))
    return [make_node(folder / country, name, country) for name, country in nations]


@pytest.fixture(scope="module")
def joined(
    tmp_path_factory: pytest.TempPathFactory, line: Recorder
) -> Iterator[tuple[RunningNode, RunningNode]]:
    """Guatemala, which Honduras reaches over the line alone; and Honduras."""
    gt, hn = two_nodes(tmp_path_factory.mktemp("line"))
    line.target = ("127.0.0.1", gt.settings.port)
    gt.settings = replace(gt.settings, url=line.url)
    save_settings(gt.settings)
    with running([gt, hn]):
        join_region([gt, hn], "Centroamérica")
        yield gt, hn


def log_of(origin: RunningNode, node: RunningNode, size: int) -> dict[int, dict[str, Any]]:
    """What ``node`` holds of the origin's log, by sequence, as its API shows it."""
    found = {}
    for sequence in range(1, size + 1):
        try:
            path = f"/api/v1/ledger/entries/{origin.settings.member}/{sequence}"
            found[sequence] = node.operator.get(path)
        except NodeAnswered as error:
            if error.params["status"] != 404:
                raise
    return found


def check_same_log(origin: RunningNode, receiver: RunningNode) -> int:
    """The receiver holds of the origin's log exactly what is meant for it; how many entries that is."""
    size = origin.operator.get("/api/v1/ledger/checkpoint")["size"]
    there, here = side_by_side(
        lambda: log_of(origin, origin, size), lambda: log_of(origin, receiver, size + 5)
    )
    assert sorted(there) == list(range(1, size + 1)), "the origin's own log has no gap"
    meant = {n: one for n, one in there.items() if receiver.settings.member in one["audience"]}
    assert sorted(here) == sorted(meant), "no entry missing, none too many"
    for sequence, one in meant.items():
        assert {name: here[sequence][name] for name in SEEN_BY_BOTH} == {
            name: one[name] for name in SEEN_BY_BOTH
        }
        assert here[sequence]["state"] == "accepted"
    counts = [here[sequence]["chain"]["count"] for sequence in sorted(here)]
    assert counts == list(range(1, len(meant) + 1)), "each delivered once, in turn"
    told, heard = report(origin, receiver), report(receiver, origin)
    assert told["sent"] == told["acknowledged"] == heard["received"] == heard["stated"] == len(meant)
    assert heard["received_head_equal"], "equal heads of the chain"
    assert told["sent_head_equal"] or not meant, "and the origin has been told so"
    assert (told["refused_there"], heard["refused_here"]) == (0, 0)
    return len(meant)


class Publishing:
    """A busy analyst: ``OBJECTS`` indicators, a few at a time, from a thread of its own."""

    def __init__(self, node: RunningNode) -> None:
        self.ids: list[str] = []
        self._node = node
        self._go_on = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        for number in range(0, OBJECTS, BATCH):
            objects = [indicator(f"10.{number}.{n}.9", f"Number {number + n}") for n in range(BATCH)]
            told = self._node.operator.post(
                "/api/v1/objects/publish", bundle(*objects), tlp="amber", audience="region"
            )
            assert told["counts"]["refused"] == 0
            self.ids += [one["id"] for one in objects]
            self._go_on.wait(0.1)  # the pace of publishing, until nothing more happens to the line

    def hurry(self) -> None:
        """Publish what is left at once."""
        self._go_on.set()
        self._thread.join(60)
        assert len(self.ids) == OBJECTS

    def __enter__(self) -> Publishing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._go_on.set()
        self._thread.join(60)


def test_a_line_cut_and_a_peer_killed_while_200_objects_are_published_lose_and_double_nothing(
    joined: tuple[RunningNode, RunningNode], line: Recorder
) -> None:
    """House invariant 4: complete is what both say, and what both hold."""
    gt, hn = joined
    with Publishing(gt) as publishing:
        line.cut_after = 4_000  # in the middle of a frame
        line.cut()
        until(lambda: line.cuts >= 3, "cut in mid-stream, again and again")
        line.cut_after = None
        line.cut()
        hn.kill()
        hn.start()
        until(lambda: report(hn, gt)["state"] == "connected", "it dials again")
        line.cut()
        publishing.hurry()
    settle([gt, hn])
    assert check_same_log(gt, hn) >= OBJECTS
    check_same_log(hn, gt)
    until(lambda: detection(hn, publishing.ids[-1]) == "live", "and the last one is watched for")
    assert report(gt, hn)["complete"] and report(hn, gt)["complete"]


def test_a_line_that_says_everything_twice_and_old_things_again_changes_nothing(
    joined: tuple[RunningNode, RunningNode], line: Recorder
) -> None:
    """House invariant 3: a delivery made twice is one delivery, and a recorded one is none."""
    gt, hn = joined
    with Publishing(gt) as publishing:
        line.times = 2
        until(lambda: len(line.events) > 5, "said twice")
        assert report(hn, gt)["problem"] is None, "a repetition is no fault"
        line.replay()
        line.cut()
        until(lambda: line.replayed, "old events in a new stream")
        publishing.hurry()
    until(lambda: report(hn, gt)["state"] == "connected", "it dials again")
    statuses = {path: line.ask_again(path) for path in ("/federation/v1/feed", "/federation/v1/acks")}
    for path, told in statuses.items():
        assert told and set(told) == {401}, f"{path}: a recorded request opens nothing"
    settle([gt, hn])
    assert check_same_log(gt, hn) >= OBJECTS
    check_same_log(hn, gt)


AHEAD_BY_AN_HOUR = """
from datetime import timedelta
from istmo import clock

class Ahead(clock.SystemClock):
    def now(self):
        return super().now() + timedelta(hours=1)

clock.SystemClock = Ahead
"""


@pytest.mark.long
def test_a_node_whose_clock_is_an_hour_off_is_flagged_and_loses_nothing(tmp_path: Path) -> None:
    """Every process of the node has a clock that is off: Python reads ``sitecustomize`` before all else.

    The machine's own clock stays: what is off is the clock that istmo is given, from which alone it reads
    the hour.
    """
    patch = tmp_path / "patch"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(AHEAD_BY_AN_HOUR)
    gt, hn = two_nodes(tmp_path)
    path = os.pathsep.join(filter(None, (str(patch), os.environ.get("PYTHONPATH"))))
    hn.launch({"PYTHONPATH": path})
    with running([gt]):
        try:
            hn.wait_ready()
            join_region([gt, hn], "Centroamérica")
            watched = {node.settings.member: indicator("203.0.113.90") for node in (gt, hn)}
            for node in (gt, hn):
                publish(node, watched[node.settings.member])
            for node, other in ((gt, hn), (hn, gt)):
                until(
                    lambda n=node, id=watched[other.settings.member]["id"]: detection(n, id) == "live", "live"
                )
            until(lambda: report(gt, hn)["has_skewed_clock"], "flagged")
            assert abs(report(gt, hn)["clock_skew_seconds"] - 3600) < 60
            settle([gt, hn])
            check_same_log(gt, hn)
            check_same_log(hn, gt)
            assert report(gt, hn)["complete"]
        finally:
            hn.stop()
