"""An accepted write is never lost: after the answer the data survives kill -9 and power loss."""

from __future__ import annotations

import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from istmo.store.engine import Store
from machine import missing

WRITER = """
import os, sys
from pathlib import Path
from sqlalchemy import text
from istmo.store.engine import Store
from istmo.store.blobs import Blobs
store = Store(f"sqlite:///{sys.argv[1]}/node.db")
blobs = Blobs(Path(sys.argv[1]) / "blobs")
with store.write() as tx:
    tx.connection.execute(text("CREATE TABLE IF NOT EXISTS written (n INTEGER PRIMARY KEY, blob TEXT)"))
with store.read() as connection:
    n = connection.execute(text("SELECT coalesce(max(n), 0) FROM written")).scalar()
for n in range(n + 1, n + 1 + int(sys.argv[2])):
    name = blobs.put(str(n).encode())
    with store.write() as tx:
        tx.connection.execute(text("INSERT INTO written VALUES (:n, :b)"), {"n": n, "b": name})
    os.write(1, b"answered %d\\n" % n)
"""


@pytest.mark.strace
def test_the_database_and_the_blob_are_synced_before_the_answer(tmp_path: Path) -> None:
    """kill -9 alone proves little: here the kernel is seen to be told, before the answer, to write."""
    strace = shutil.which("strace")
    if not strace:
        missing("needs strace")
    trace = tmp_path / "trace"
    traced = [str(strace), "-f", "-y", "-o", str(trace), "-e", "trace=fsync,fdatasync,write,pwrite64,rename"]
    subprocess.run(
        [*traced, sys.executable, "-c", WRITER, str(tmp_path), "5"], check=True, stdout=subprocess.DEVNULL
    )
    pending: set[str] = set()
    answers = 0
    since: list[str] = []
    for line in trace.read_text().splitlines():
        call = re.search(r"\b(fsync|fdatasync|write|pwrite64|rename)\((?:(\d+)<([^>]*)>|\")", line)
        if not call:
            continue
        kind, path = call[1], call[3] or ""
        if kind in ("write", "pwrite64") and call[2] == "1":
            assert not pending, f"answered before {pending} was on disk"
            assert any(one.endswith("node.db-wal") for one in since), since
            assert any(".partial-" in one for one in since), since
            assert any(re.search(r"blobs/[0-9a-f]{2}$", one) for one in since), since
            answers, since = answers + 1, []
        elif kind in ("write", "pwrite64") and str(tmp_path) in path and not path.endswith("-shm"):
            pending.add(path)
        elif kind in ("fsync", "fdatasync"):
            pending.discard(path)
            since.append(path)
    assert answers == 5


def kill_while_writing(folder: Path, times: int, seed: int) -> int:
    """Start a writer, kill it at a random moment, and look for every write that it answered for."""
    chance, answered = random.Random(seed), 0
    for _ in range(times):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), "1000000"], stdout=subprocess.PIPE
        )
        assert writer.stdout
        for _ in range(chance.randint(1, 40)):
            answered = int(writer.stdout.readline().split()[1])
        deadline = time.monotonic() + chance.random() * 0.01
        while time.monotonic() < deadline:
            pass
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        for line in writer.stdout.read().splitlines():
            if line.startswith(b"answered ") and line[9:].isdigit():
                answered = max(answered, int(line[9:]))
        writer.stdout.close()
        store = Store(f"sqlite:///{folder / 'node.db'}")
        with store.read() as connection:
            found = {n for (n,) in connection.execute(text("SELECT n FROM written"))}
            assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
        store.close()
        assert found >= set(range(1, answered + 1))
    return answered


def test_no_answered_write_is_lost_by_ten_kills(tmp_path: Path) -> None:
    """An accepted write is never lost (kill -9 under load, ten times)."""
    assert kill_while_writing(tmp_path, 10, seed=1) > 10


@pytest.mark.long
def test_no_answered_write_is_lost_by_a_hundred_kills(tmp_path: Path) -> None:
    """An accepted write is never lost (kill -9 under load, a hundred times)."""
    assert kill_while_writing(tmp_path, 100, seed=2) > 100
