"""kill -9 in the middle: no notice lost; none doubled but under the key by which its receiver knows it."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

from istmo.clock import SystemClock
from istmo.node import create_node
from istmo.policy.principals import Operator
from istmo.settings import load_settings

from .conftest import Telling
from .receivers import hook

WORKER = """
import os, sys
from dataclasses import replace
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from istmo.clock import SystemClock
from istmo.node import create_node
from istmo.settings import load_settings
from notices.conftest import Telling
clock = SystemClock()
telling = Telling(create_node(load_settings(Path(sys.argv[1])), clock), clock)
telling.node.notices.jobs.start()
for number in range(1000):
    os.write(1, telling.alert(sys.argv[2] + str(number)).encode() + b"\\n")
"""


def kill_while_telling(folder: Path, url: str, kills: int, seed: int) -> set[str]:
    """Alerts that a node's process said were stored before it was killed, over and over."""
    chance, stored = random.Random(seed), set()
    tests = Path(__file__).resolve().parent.parent
    for number in range(kills):
        command = [sys.executable, "-c", WORKER, str(folder), f"n{number}-", str(tests), str(tests.parent)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as worker:
            assert worker.stdout is not None
            until = 0.0
            for line in worker.stdout:
                until = until or time.monotonic() + chance.uniform(0.05, 0.6)
                stored.add(line.strip())
                if time.monotonic() >= until:
                    break
            worker.kill()
    return {one for one in stored if one}


@pytest.mark.parametrize("kills", [2, pytest.param(25, marks=pytest.mark.long)])
def test_nothing_is_lost_and_nothing_doubled_unknowingly(founded: Path, tmp_path: Path, kills: int) -> None:
    folder = Path(shutil.copytree(founded, tmp_path / "node"))
    (folder / "istmo.toml").open("a").write("\n[notices]\nprivate_addresses = true\n")
    with hook() as heard:
        telling = Telling(create_node(load_settings(folder), SystemClock()), SystemClock())  # type: ignore[arg-type]
        telling.way(address=heard.url)
        telling.node.store.close()
        stored = kill_while_telling(folder, heard.url, kills, seed=3)
        node = create_node(load_settings(folder), SystemClock())
        telling = Telling(node, SystemClock())  # type: ignore[arg-type]
        ends = time.monotonic() + 60
        while node.notices.jobs._seconds_to_next() < 50 and time.monotonic() < ends:
            telling.run()
        told = defaultdict(set)
        for headers, body in heard.got:
            for item in json.loads(body)["items"]:
                told[item["link"].rpartition("/")[2]].add(headers["Idempotency-Key"])
        shown: list[str] = []
        before = None
        while page := node.notices.list_notices(telling.person("ana"), before=before, limit=200):
            shown += [one.notice.subject for one in page]
            before = page[-1].notice.id
        found = {one.id for one in _alerts(telling)}
        node.store.close()
    assert len(stored) >= kills and stored <= found
    assert sorted(shown) == sorted(found), "in the console each exactly once"
    assert set(told) == found and all(len(keys) == 1 for keys in told.values())


def _alerts(telling: Telling) -> list[object]:
    found: list[object] = []
    cursor = None
    while True:
        page = telling.node.detect.list_alerts(Operator(), cursor=cursor, limit=200)
        found += page.items
        cursor = page.next
        if cursor is None:
            return found
