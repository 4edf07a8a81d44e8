"""A real worker at a port that stays, and senders in processes of their own; either may be killed."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from detect.worker.conftest import SECRET, Rig
from istmo.detect.eventstore.folder import EventFolder
from istmo.settings import save_settings
from peers.http.sending import PLACE

_NUMBER = re.compile(rb'\\?"number\\?":(\d+)')
_PACE = 0.02


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


class Node(Rig):
    """A worker; its port is the same after each start."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.settings = replace(self.settings, intake_port=free_port())
        save_settings(self.settings)

    def listen(self) -> None:
        """Start, or start again, and take events."""
        self.start()
        self.accept()

    def numbers(self) -> Counter[int]:
        """The number in each stored event, and how often it is there."""
        folder = EventFolder(self.settings.events)
        found: Counter[int] = Counter()
        for segment in folder.wal_segments():
            for line in folder.wal_path(segment).read_bytes().splitlines():
                found.update(
                    {int(one) for one in _NUMBER.findall(line)}
                )  # a text stands there twice: read and kept
        return found


class Sender:
    """One of ``sending``'s clients in a process of its own."""

    def __init__(self, client: str, node: Node, folder: Path, number: int) -> None:
        here = [client, str(node.settings.intake_port), SECRET, str(folder), str(number)]
        self._command = [sys.executable, "-m", "peers.http.sending", *here]
        self._place = folder / PLACE
        self._log = folder / "sender.log"
        self._number = number
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin, or go on where it was."""
        tests = Path(__file__).resolve().parents[2]
        with self._log.open("ab") as said:
            self._process = subprocess.Popen(
                self._command, cwd=tests, stdout=said, stderr=said, env=os.environ | {"NO_PROXY": "*"}
            )

    def wait_for(self, number: int, seconds: float = 600.0) -> None:
        """Until so many are confirmed."""
        deadline = time.monotonic() + seconds
        while (int(self._place.read_text()) if self._place.exists() else 0) < number:
            assert self._process is not None
            assert self._process.poll() in (None, 0), self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(_PACE)  # the pace of polling, not a wait for luck

    def kill(self) -> None:
        """As ``kill -9`` does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def finish(self, seconds: float = 900.0) -> None:
        """Until all is sent."""
        assert self._process is not None
        assert self._process.wait(seconds) == 0, self.said()

    def said(self) -> str:
        return self._log.read_text("utf-8", "replace")[-3000:]

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()


@pytest.fixture
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = Node(tmp_path_factory.mktemp("n") / "d")
    made.listen()
    yield made
    made.close()
