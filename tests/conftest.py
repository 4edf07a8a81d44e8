"""What every test may ask for: the recordings, a database of each kind, a clock."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import pytest

from istmo.clock import ManualClock
from istmo.store import migrations
from istmo.store.engine import Store
from machine import DATABASES, find_program, missing, roomy_memory, wait_for_port
from tables import with_tables

# No deadline: a busy machine is no defect. The same cases each time: a red run can be looked at twice.
hypothesis.settings.register_profile("istmo", deadline=None, derandomize=True)
hypothesis.settings.load_profile("istmo")

ROOT = Path(__file__).resolve().parent.parent

# A node waits for its disk at each write, and the nodes of tests live a few seconds: whatever is temporary
# stands in memory, where there is enough. The programs that tests start inherit it.
if "TMPDIR" not in os.environ and (memory := roomy_memory(6 << 30)):
    os.environ["TMPDIR"] = str(memory)
    tempfile.tempdir = None  # to be looked for anew
# And they are hundreds: what one has compiled the next reads, also where Python is told to keep nothing.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What commands keep for a person's next run is no business of the person who runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


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
    where = roomy_memory(4 << 30)  # every database takes 8 MB, and each commit waits for its disk
    with tempfile.TemporaryDirectory(prefix="istmo-pg-", dir=where, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o777)
        data = folder / "data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        made_with = ["-U", "istmo", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(
            [*as_user, initdb, "-D", str(data), *made_with],
            check=True,
            capture_output=True,
        )
        # Nothing here outlives the run: no checkpoint meanwhile (each writes out every database there is),
        # and nobody who goes round hundreds of databases to tidy up.
        quiet = ["-c", "checkpoint_timeout=1d", "-c", "max_wal_size=8GB", "-c", "autovacuum=off"]
        running = subprocess.Popen(
            [*as_user, server, "-D", str(data), "-p", str(port), "-k", name, "-h", "127.0.0.1", *quiet],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for_port(port)
            yield f"postgresql+psycopg://istmo@127.0.0.1:{port}"
        finally:
            # And none at the end: SIGQUIT is PostgreSQL's immediate shutdown.
            os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
            running.wait(20)


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: str) -> str:
    """A database with every table in it: to copy it takes a tenth of the time that making them does."""
    url = _create_database(postgresql_server, "with_tables")
    store = Store(url)
    migrations.upgrade(store)
    store.close()
    return url.rpartition("/")[2]


@pytest.fixture
def database_kind() -> str:
    """The kind that ``make_database`` makes; ``@both_databases`` runs a test once with each."""
    return "sqlite"


@pytest.fixture
def make_database(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Make a database of the test's kind, with its tables, by a name; its URL."""
    if database_kind == "sqlite":
        return lambda name: with_tables(f"sqlite:///{tmp_path / f'{name}.db'}")
    server: str = request.getfixturevalue("postgresql_server")
    template: str = request.getfixturevalue("postgresql_template")
    return lambda name: _create_database(server, name, template)


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database: the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'node.db'}"
    return _create_database(request.getfixturevalue("postgresql_server"), "t")


def _create_database(server: str, name: str, template: str = "template1") -> str:
    import psycopg

    unique = f"{name}_{time.monotonic_ns()}_{os.getpid()}"
    with psycopg.connect(server.replace("+psycopg", "") + "/postgres", autocommit=True) as connection:
        # In memory as files, since otherwise all of it stands in the log as well; before 15 there is no
        # other way. On a disk that would wait for every file.
        (data,) = connection.execute("SHOW data_directory").fetchone() or ("",)
        is_copied = connection.info.server_version >= 150_000 and data.startswith("/dev/shm/")
        how = "STRATEGY FILE_COPY" if is_copied else ""
        connection.execute(f"CREATE DATABASE {unique} TEMPLATE {template} {how}")
    return f"{server}/{unique}"


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at a known instant until the test moves it."""
    return ManualClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
