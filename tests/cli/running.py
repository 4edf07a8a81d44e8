"""The ``istmo`` command as a person runs it, and what it leaves behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from istmo.cli.demo.region import make_node

WAIT = 60.0
ISTMO = (sys.executable, "-m", "istmo")


def istmo(
    *arguments: str | Path, stdin: str | None = None, lang: str = "en", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*ISTMO, *map(str, arguments)],
        input=stdin if stdin is not None else "",
        capture_output=True,
        text=True,
        env={**os.environ, "ISTMO_LANG": lang},
        cwd=cwd,
        timeout=WAIT,
        check=False,
    )


def new_node(folder: Path) -> tuple[int, int]:
    """What ``istmo init`` leaves, on free ports; the ports of console and intake."""
    settings = make_node(folder, "CSIRT Prueba", "GT").settings
    return settings.port, settings.intake_port


class Started:
    """A command that runs on; ``lines`` are what it has printed on both streams."""

    def __init__(self, *arguments: str | Path, lang: str = "en", program: tuple[str, ...] = ISTMO) -> None:
        self.process = subprocess.Popen(
            [*program, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "ISTMO_LANG": lang, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def says(self, pattern: str, seconds: float = WAIT) -> str:
        """Wait until a line matches; that line."""
        deadline = time.monotonic() + seconds
        while True:
            found = next((line for line in self.lines if re.search(pattern, line)), None)
            if found is not None:
                return found
            assert self.process.poll() is None, "\n".join(self.lines)
            assert time.monotonic() < deadline, "\n".join(self.lines)
            time.sleep(0.02)  # the pace of looking

    def signal(self, number: int, *, group: bool = False) -> tuple[int, float]:
        """Send a signal; exit status and the seconds until the end."""
        began = time.monotonic()
        if group:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        status = self.process.wait(WAIT)
        self._reader.join(5)
        return status, time.monotonic() - began

    def family(self) -> set[int]:
        """Every living process of the command's session."""
        return {pid for pid, session in sessions() if session == self.process.pid}


def sessions() -> Iterator[tuple[int, int]]:
    """(process, session) of everything that runs, zombies left out."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended while we looked
            if fields[0] != "Z":
                yield int(entry.name), int(fields[3])


@contextmanager
def started(*arguments: str | Path, lang: str = "en", program: tuple[str, ...] = ISTMO) -> Iterator[Started]:
    """A command that runs on until the block ends."""
    command = Started(*arguments, lang=lang, program=program)
    try:
        yield command
    finally:
        for pid in command.family():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        command.process.wait(10)
