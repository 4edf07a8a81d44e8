"""What this machine has, and what tests do where it lacks something."""

from __future__ import annotations

import os
import shutil
import socket
import time
from pathlib import Path
from typing import NoReturn

import pytest

REQUIRE_ALL = os.environ.get("ISTMO_REQUIRE_ALL") == "1"

DATABASES = ("sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql))
both_databases = pytest.mark.parametrize("database_kind", DATABASES)
"""Run a test once with every database that it makes on SQLite, and once on PostgreSQL."""
on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"])
"""Where the tests around it run on both: this one makes too many databases, or is about SQLite's file."""


def missing(what: str) -> NoReturn:
    """Skip, by name, what this machine cannot run; where everything is required, fail."""
    if REQUIRE_ALL:
        pytest.fail(f"could not run: {what} (ISTMO_REQUIRE_ALL=1)")
    pytest.skip(f"could not run: {what}")


def find_program(name: str) -> str | None:
    """A program on PATH, or in Debian's folder of PostgreSQL server programs."""
    found = shutil.which(name)
    if found:
        return found
    return next((str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None)


def roomy_memory(size: int) -> Path | None:
    """A folder in memory with ``size`` bytes free, from which programs may run, where there is one."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK) or os.statvfs(shared).f_flag & os.ST_NOEXEC:
        return None
    return shared if shutil.disk_usage(shared).free >= size else None


def wait_for_port(port: int, seconds: float = 30.0) -> None:
    """Return once something listens on a loopback port; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)  # the pace of polling, not a wait for luck
    raise AssertionError(f"nothing listens on port {port} after {seconds} s")
