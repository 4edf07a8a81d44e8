from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx

from istmo.detect.supervise import Supervisor
from istmo.ledger import keys
from istmo.settings import save_settings

from .conftest import SECRET, Rig


def wait_until(is_so: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)  # the pace of polling


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked for its status does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def test_a_worker_that_dies_is_started_again(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    ended, statuses = threading.Event(), []

    def on_exit(status: int) -> None:
        statuses.append(status)
        ended.set()

    supervisor = Supervisor(rig.settings.data, on_exit=on_exit)
    supervisor.start()
    try:
        first = rig.accept().pid
        rig.send({"n": 1})
        os.kill(first, signal.SIGKILL)
        assert ended.wait(30)
        second = rig.accept().pid
        assert second == supervisor.pid != first
        assert rig.stats().events == 1
        assert statuses == [-signal.SIGKILL]
    finally:
        supervisor.stop()
    assert supervisor.pid is None
    assert not is_running(second)
    assert statuses == [-signal.SIGKILL]  # an end that was asked for is none to tell


def test_the_worker_ends_when_its_supervisor_is_killed(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    program = """
import sys, threading
from pathlib import Path
from istmo.detect.supervise import Supervisor
Supervisor(Path(sys.argv[1])).start()
threading.Event().wait()
"""
    parent = subprocess.Popen([sys.executable, "-c", program, str(rig.settings.data)])
    try:
        worker = rig.accept().pid
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not is_running(worker))


def test_the_intake_speaks_tls_with_the_nodes_own_certificate(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    settings = replace(rig.settings, tls="own")
    save_settings(settings)
    own = keys.create(settings.keys, url="https://127.0.0.1:8443")
    supervisor = Supervisor(settings.data, certificate=own.tls_certificate, key=own.tls_key)
    supervisor.start()
    try:
        rig.accept()
        trust = ssl.create_default_context(cafile=str(own.tls_certificate))
        trust.check_hostname = False
        answer = httpx.post(
            f"https://127.0.0.1:{rig.port}/api/v1/events",
            content=b'{"n":1}',
            headers={"Authorization": f"Bearer {SECRET}"},
            verify=trust,
        )
        assert answer.json()["accepted"] == 1
    finally:
        supervisor.stop()
