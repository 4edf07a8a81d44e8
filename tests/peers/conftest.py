"""A real worker with its listeners open, and real senders that may be killed."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from detect.intake.listeners.test_tls import Holder
from detect.worker.conftest import Rig
from istmo.detect import wire
from istmo.detect.eventstore.folder import EventFolder
from istmo.settings import save_settings
from machine import find_program, missing, wait_for_port

OPT = Path("/opt/syslog-ng")
"""Where ``.ci/run`` unpacks syslog-ng: Debian lets a machine have one of it and rsyslog."""
_NUMBER = re.compile(rb'"message":"[^"]* number (\d+)"')


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


class Receiver(Rig):
    """A worker that listens for syslog from this machine."""

    def __init__(self, folder: Path, **sources: Any) -> None:
        super().__init__(folder)
        self.syslog_tcp, self.syslog_tls, self.gelf_tcp, intake = (free_port() for _ in range(4))
        self.settings = replace(
            self.settings,
            intake_port=intake,
            syslog_tcp=self.syslog_tcp,
            syslog_tls=self.syslog_tls,
            gelf_tcp=self.gelf_tcp,
        )
        save_settings(self.settings)
        self.holder: Holder | None = None
        """Of the certificate that the node shows, where it has one."""
        networks = [] if "certificate" in sources else ["127.0.0.0/8"]
        known = {"id": "s2", "name": "peer", "digest": b"1" * 32, "scopes": ["submit"], "addresses": networks}
        self.sources.append(wire.WireSource(**known | sources))

    def listen(self) -> None:
        """Start, or start again, and take events."""
        shown = self.holder
        self.start(
            options=["--certificate", str(shown.certificate), "--key", str(shown.key)] if shown else []
        )
        self.accept()
        for port in (self.syslog_tcp, self.gelf_tcp, *([self.syslog_tls] if self.holder else [])):
            wait_for_port(port)

    def numbers(self) -> Counter[int]:
        """The number at the end of each stored message, and how often it is there."""
        folder = EventFolder(self.settings.events)
        found: Counter[int] = Counter()
        for segment in folder.wal_segments():
            found.update(map(int, _NUMBER.findall(folder.wal_path(segment).read_bytes())))
        return found

    def wait_for_text(self, text: str) -> bool:
        """Whether a text comes to be stored."""
        rows: list[wire.WireRow] = []
        deadline = time.monotonic() + 20
        while not rows and time.monotonic() < deadline:
            rows, _ = self.search(f'"{text}"')
        return bool(rows)

    def wait_for(self, number: int, seconds: float = 900.0) -> Counter[int]:
        """What is stored, once so many different messages are, or no more have come for twenty seconds."""
        deadline, quiet_until, before = time.monotonic() + seconds, time.monotonic() + 20, -1
        while True:
            found = self.numbers()
            now = time.monotonic()
            if len(found) != before:
                quiet_until, before = now + 20, len(found)
            if len(found) >= number or now > deadline or now > quiet_until:
                return found
            time.sleep(0.05)  # the pace of polling, not a wait for luck


class Sender:
    """A program that runs in the foreground until it is stopped, or killed."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._command, self._log = list(command), log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as said:
            self._process = subprocess.Popen(self._command, stdout=said, stderr=said, cwd=self._log.parent)

    def kill(self) -> None:
        """As ``kill -9`` does."""
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text("utf-8", "replace")[-3000:]
        self._process.kill()
        self._process.wait(20)

    def end(self) -> None:
        """In good order."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def write_lines(path: Path, begin: int, end: int) -> None:
    """A log's lines, each with its number."""
    with path.open("a") as log:
        log.writelines(f"worker finished a piece of its work, number {one}\n" for one in range(begin, end))


@pytest.fixture
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    made = Receiver(tmp_path_factory.mktemp("n") / "d")
    made.listen()
    yield made
    made.close()


@pytest.fixture
def run_sender(tmp_path: Path) -> Iterator[Callable[[Sequence[str]], Sender]]:
    senders: list[Sender] = []

    def run(command: Sequence[str]) -> Sender:
        senders.append(Sender(command, tmp_path / "sender.log"))
        senders[-1].start()
        return senders[-1]

    yield run
    for one in senders:
        one.end()


@pytest.fixture(scope="session")
def rsyslogd() -> str:
    program = find_program("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin")
    if not program:
        missing("needs rsyslog")
    return program


@pytest.fixture(scope="session")
def syslog_ng() -> list[str]:
    """The command, with where its modules are."""
    program = shutil.which("syslog-ng", path=f"/usr/sbin:{OPT / 'usr/sbin'}")
    if not program:
        missing("needs syslog-ng")
    if not program.startswith(str(OPT)):
        return [program]
    libraries = OPT / "usr" / "lib" / "syslog-ng"
    (modules,) = (one for one in libraries.iterdir() if one.is_dir())
    return ["env", f"LD_LIBRARY_PATH={libraries}", program, "--module-path", str(modules)]
