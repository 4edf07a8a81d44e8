"""What every test may ask for: the recordings, a database of each kind, a clock."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import pytest

from istmo.clock import ManualClock
from machine import find_program, missing, wait_for_port

# No deadline: a busy machine is no defect. The same cases each time: a red run can be looked at twice.
hypothesis.settings.register_profile("istmo", deadline=None, derandomize=True)
hypothesis.settings.load_profile("istmo")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings, rules and STIX bundles that live beside the repository."""
    folder = Path(os.environ.get("ISTMO_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "README.md").exists():
        missing(f"needs the shared recordings in {folder}")
    return folder


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """A real PostgreSQL server in a temporary folder; gives the URL prefix without a database name."""
    initdb, server = find_program("initdb"), find_program("postgres")
    if not initdb or not server:
        missing("needs PostgreSQL's initdb and postgres")
    assert initdb and server
    as_user = ["runuser", "-u", "postgres", "--"] if getpass.getuser() == "root" else []
    with tempfile.TemporaryDirectory(prefix="istmo-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o777)
        data = folder / "data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        subprocess.run(
            [*as_user, initdb, "-D", str(data), "-U", "istmo", "-A", "trust", "-E", "UTF8", "--locale=C"],
            check=True,
            capture_output=True,
        )
        running = subprocess.Popen(
            [*as_user, server, "-D", str(data), "-p", str(port), "-k", name, "-h", "127.0.0.1"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for_port(port)
            yield f"postgresql+psycopg://istmo@127.0.0.1:{port}"
        finally:
            running.terminate()
            running.wait(20)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database: the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'node.db'}"
    server: str = request.getfixturevalue("postgresql_server")
    import psycopg

    name = f"t{time.monotonic_ns()}_{os.getpid()}"
    with psycopg.connect(server.replace("+psycopg", "") + "/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{server}/{name}"


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at a known instant until the test moves it."""
    return ManualClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
