"""``istmo ingest --follow`` against a real worker: both are killed, and every line is there once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from istmo.cli.demo.region import free_ports

from .conftest import SECRET, Rig


class Following:
    """The command as it is typed."""

    def __init__(self, folder: Path, port: int) -> None:
        self.logs, self._port, self._folder = folder / "logs", port, folder
        self.logs.mkdir()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "istmo", "ingest", "--follow", str(self.logs), "--lang", "en"]
        command += ["--intake", f"http://127.0.0.1:{self._port}"]
        command += ["--bookmarks", str(self._folder / "state" / "bookmarks.json")]
        environment = {**os.environ, "ISTMO_SOURCE_TOKEN": SECRET}
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=(self._folder / "said").open("ab")
        )

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(30)

    @property
    def said(self) -> str:
        return (self._folder / "said").read_text()


@pytest.fixture
def following(tmp_path: Path) -> Iterator[Callable[[int], Following]]:
    made: list[Following] = []

    def make(port: int) -> Following:
        made.append(Following(tmp_path, port))
        return made[-1]

    yield make
    for one in made:
        if one.process is not None and one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def wait_for(rig: Rig, events: int) -> None:
    deadline = time.monotonic() + 40
    while rig.stats().events < events and time.monotonic() < deadline:
        time.sleep(0.05)  # the pace of polling


def test_what_is_followed_while_all_are_killed_is_there_once(
    make_rig: Callable[..., Rig], following: Callable[[int], Following]
) -> None:
    (port,) = free_ports(1)
    rig = make_rig(port=port)
    rig.start()
    rig.accept()
    follower = following(port)
    log = follower.logs / "app.log"
    written = 0

    def write(count: int) -> None:
        nonlocal written
        with log.open("a") as file:
            for _ in range(count):
                file.write(f"Mar  1 09:00:00 web1 app: line {written}\n")
                written += 1

    write(4000)
    follower.start()
    wait_for(rig, 2000)
    follower.end(signal.SIGKILL)
    follower.start()
    write(4000)
    rig.kill()
    log.rename(follower.logs / "app.log.1")
    write(10)
    rig.start()
    rig.accept()
    wait_for(rig, written)
    assert follower.end(signal.SIGTERM) == 0, follower.said
    assert rig.stats().events == written
    rows, problem = rig.search("program:app", limit=20_000)
    assert problem is None
    assert len({orjson.loads(row.raw)["event.original"] for row in rows}) == len(rows) == written


def test_a_node_that_is_not_there_is_told_once_and_when_it_is_back(
    make_rig: Callable[..., Rig], following: Callable[[int], Following]
) -> None:
    (port,) = free_ports(1)
    rig = make_rig(port=port)
    follower = following(port)
    (follower.logs / "a.csv").write_text("time,user,action\n2026-03-02 09:00:00,ana,login\n")
    follower.start()
    deadline = time.monotonic() + 30
    while "nothing is lost" not in follower.said and time.monotonic() < deadline:
        time.sleep(0.05)
    rig.start()
    rig.accept()
    wait_for(rig, 1)
    while "works again" not in follower.said and time.monotonic() < deadline:
        time.sleep(0.05)
    assert follower.end(signal.SIGINT) == 0
    assert follower.said.count("nothing is lost") == follower.said.count("works again") == 1
    rows, _ = rig.search("user:ana", limit=10)
    assert orjson.loads(rows[0].raw)["action"] == "login"
