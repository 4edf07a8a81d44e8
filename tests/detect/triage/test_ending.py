"""A hunt that somebody ends: what was read is matched, what was found is told, and no process stays."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
from array import array
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from istmo.detect.triage.stopping import Stop

from .test_hunt import event, lines, rule

EVENTS = 50_000
"""Of a file: seconds of work, of which the test waits for the first alone."""
SECONDS = 60


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    data = lines(event()) * EVENTS
    for name in "abcdef":
        (folder / f"{name}.jsonl").write_bytes(data)
    (tmp_path / "r.yml").write_text(rule(1, "uno"), "utf-8")
    return folder


def children(pid: int) -> list[int]:
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(one) for one in path.read_text().split()]
    return found


def read_by(pid: int) -> int:
    """Bytes that a process has read so far."""
    try:
        return int(Path(f"/proc/{pid}/io").read_text().split()[1])
    except OSError:
        return 0


@pytest.fixture
def begun(evidence: Path) -> Iterator[subprocess.Popen[str]]:
    """A hunt in a group of its own, each of whose processes has read some megabytes."""
    command = [sys.executable, "-m", "istmo", "--lang", "en", "hunt", str(evidence)]
    process = subprocess.Popen(
        [*command, "--rules", str(evidence.parent / "r.yml"), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        workers = children(process.pid)
        if len(workers) > 1 and all(read_by(one) > 4 << 20 for one in workers):
            break
        os.sched_yield()
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def is_gone(group: int) -> bool:
    """Whether none of a group's processes is left; they may take a moment."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if not any(_runs_in(group)):
            return True
        os.sched_yield()
    return False


def _runs_in(group: int) -> Iterator[bool]:
    """Of each process, whether it is one of the group that has not ended, reaped by somebody or not."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, of_group = path.read_text().rpartition(") ")[2].split()[:3]
            yield int(of_group) == group and state != "Z"


several = pytest.mark.skipif(
    sys.platform != "linux" or (os.cpu_count() or 1) < 2,
    reason="the work is shared on several cores of Linux",
)


@several
def test_ctrl_c_keeps_the_matches_of_the_parts_under_way(begun: subprocess.Popen[str]) -> None:
    os.killpg(begun.pid, signal.SIGINT)  # as a terminal does
    out, errors = begun.communicate(timeout=SECONDS)
    assert begun.returncode == 130, errors
    document = json.loads(out)
    assert document["summary"]["cut_short"] is True
    (group,) = document["matches"]
    assert 0 < group["count"] == document["summary"]["events"] < 6 * EVENTS
    assert group["count"] % EVENTS, "of a part that was not through"
    assert "Traceback" not in errors
    assert is_gone(begun.pid)


@several
def test_no_process_outlives_the_one_that_started_it(begun: subprocess.Popen[str]) -> None:
    begun.kill()
    begun.communicate(timeout=SECONDS)
    assert is_gone(begun.pid)


def test_the_second_ctrl_c_ends_it_at_once() -> None:
    stop = Stop()
    with stop.heeding():
        signal.raise_signal(signal.SIGINT)
        assert stop.is_set
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_waiting_for_input_ends_with_the_first_ctrl_c() -> None:
    stop = Stop()
    with stop.heeding(), pytest.raises(KeyboardInterrupt), stop.waiting():
        signal.raise_signal(signal.SIGINT)
    assert stop.is_set


def test_what_came_by_a_pipe_before_ctrl_c_is_told(tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text(rule(1, "uno"), "utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "istmo", "hunt", "-", "--rules", str(tmp_path / "r.yml"), "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(lines(event()) * 3000)
    process.stdin.flush()
    held = array("i", [1])
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and held[0]:  # until nothing of it is left in the pipe
        fcntl.ioctl(process.stdin.fileno(), termios.FIONREAD, held)
        os.sched_yield()
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, errors.decode()
    (group,) = json.loads(out)["matches"]
    assert 2500 < group["count"] <= 3000, "what was read, but for what it was at just then"
