"""House invariant 5: an accepted write is never lost. Invariant 8 where one event meets another."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import http.client
import itertools
import random
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from istmo.detect.eventstore.folder import EventFolder, folder_of
from istmo.detect.eventstore.sealing import make_key_file
from istmo.detect.search.stored import Unreadable, open_closed, read_ahead
from istmo.detect.wire import Position, WireIndicator
from istmo.settings import Retention, save_settings
from machine import missing

from .conftest import SECRET, Rig

_END = Position(1 << 40, 0)


def stored_lines(folder: EventFolder) -> list[bytes]:
    """Every line on disk, read without the program's own log."""
    lines: list[bytes] = []
    waiting = folder.wal_segments()
    for segment in waiting:
        lines += [line for block in read_ahead(folder, segment, _END) for _, line in block]
    for closed, reader in open_closed(folder, _END, Unreadable()):
        assert closed.first not in waiting
        lines += [line for block in reader for line in block]
    return lines


class Load:
    """Several senders that post small batches, each with values of its own, until the worker dies."""

    def __init__(self, port: int, names: itertools.count[int]) -> None:
        self.acknowledged: list[int] = []
        self._port = port
        self._names = names
        self._lock = threading.Lock()
        self._senders = [threading.Thread(target=self._send) for _ in range(6)]
        for sender in self._senders:
            sender.start()

    def _send(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            while True:
                with self._lock:
                    mine = [next(self._names) for _ in range(20)]
                body = b"\n".join(b'{"n":%d,"padding":"%b"}' % (n, b"x" * (n % 300)) for n in mine)
                connection.request("POST", "/api/v1/events", body, {"Authorization": f"Bearer {SECRET}"})
                answer = connection.getresponse()
                assert orjson.loads(answer.read())["accepted"] == 20
                with self._lock:
                    self.acknowledged += mine
        except (OSError, http.client.HTTPException):
            return

    def wait(self, count: int) -> None:
        deadline = time.monotonic() + 30
        while len(self.acknowledged) < count and time.monotonic() < deadline:
            time.sleep(0.005)  # the pace of polling
        assert len(self.acknowledged) >= count

    def join(self) -> list[int]:
        for sender in self._senders:
            sender.join()
        return self.acknowledged


def kill_again_and_again(rig: Rig, times: int, segment_bytes: int = 64 << 20) -> None:
    names, acknowledged, chance = itertools.count(), [], random.Random(7)
    folder = folder_of(rig.settings)
    for _ in range(times):
        rig.start(segment_bytes=segment_bytes)
        rig.accept()
        load = Load(rig.port, names)
        load.wait(chance.randrange(20, 600))
        rig.kill()
        acknowledged += load.join()
    rig.start()
    ready = rig.accept()
    lines = stored_lines(folder)
    found = [orjson.loads(line) for line in lines]
    values = [one["event"]["n"] for one in found]
    assert len(set(values)) == len(values), "an event is stored twice"
    assert set(acknowledged) <= set(values), "an acknowledged event is lost"
    assert len({one["id"] for one in found}) == len(found)
    assert ready.head.segment > 1 or ready.head.line == len(lines)
    assert rig.stats().events == len(lines)


def test_nothing_acknowledged_is_lost_when_the_worker_is_killed_under_load(
    make_rig: Callable[..., Rig],
) -> None:
    """Invariant 5: after a 2xx the event survives ``kill -9``; none is stored twice."""
    kill_again_and_again(make_rig(), 10)


def test_nothing_is_lost_when_the_worker_is_killed_while_segments_close(
    make_rig: Callable[..., Rig],
) -> None:
    """Invariant 5, with segments of a few thousand events that end and are closed all the while."""
    kill_again_and_again(make_rig(), 5, segment_bytes=20_000)


@pytest.mark.long
def test_nothing_sealed_is_lost_when_the_worker_is_killed_while_segments_close(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    """Invariant 5, with sealed events."""
    rig = make_rig()
    make_key_file(tmp_path / "keys")
    rig.settings = dataclasses.replace(rig.settings, retention=Retention(key_file=str(tmp_path / "keys")))
    save_settings(rig.settings)
    kill_again_and_again(rig, 5, segment_bytes=20_000)


def test_segments_close_by_themselves_and_are_searched_and_hunted(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.start(segment_bytes=100_000)
    rig.accept()
    folder = EventFolder(rig.settings.events)
    for start in range(0, 4000, 200):
        rig.send(*({"n": n, "DestinationIp": f"10.1.{n >> 8}.{n & 255}"} for n in range(start, start + 200)))
    deadline = time.monotonic() + 60
    while len(folder.closed()) < 3 or len(folder.wal_segments()) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)  # the pace of polling
    rig.settle_stored()
    rows, problem = rig.search("DestinationIp:10.1.2.3")
    assert problem is None
    assert [orjson.loads(row.raw)["n"] for row in rows] == [515]
    rig.put(WireIndicator("indicator--1", [("ipv4", "10.1.2.0/24")]))
    assert len(rig.hunt("indicator--1")) == 256
    assert len(stored_lines(folder)) == 4000


@pytest.mark.long
def test_nothing_acknowledged_is_lost_in_a_hundred_kills(make_rig: Callable[..., Rig]) -> None:
    """Invariant 5, a hundred times."""
    kill_again_and_again(make_rig(), 100)


@pytest.mark.strace
def test_the_event_log_is_on_disk_before_the_answer(make_rig: Callable[..., Rig], tmp_path: Path) -> None:
    """Invariant 5: ``strace`` sees the ``fdatasync`` of the event log before the 2xx is sent."""
    if not shutil.which("strace"):
        missing("needs strace")
    trace = tmp_path / "trace"
    rig = make_rig()
    calls = "trace=fdatasync,write,sendto,sendmsg,writev"
    rig.start("strace", "-f", "-y", "-s", "256", "-e", calls, "-o", str(trace))
    rig.accept()
    for number in range(5):
        rig.send({"marker": f"event-{number}"})
    assert rig.end() == 0
    said = trace.read_text(errors="replace")
    synced: set[str] = set()
    written: dict[str, str] = {}
    answers = 0
    for line in said.splitlines():
        if "write(" in line and ".ndjson" in line and (found := re.search(r"event-\d", line)):
            written[found[0]] = line
        elif "fdatasync" in line and "unfinished" not in line:
            synced |= set(written)
        elif "HTTP/1.1 200" in line:
            answers += 1
            assert f"event-{answers - 1}" in synced, "answered before the sync"
    assert answers == 5


def test_a_full_disk_stops_intake_cleanly_and_it_resumes_by_itself(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    """Invariant 5: what was accepted before the disk filled up is intact."""
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(mount)], capture_output=True, check=False
    )
    if done.returncode:
        missing("needs the right to mount a tmpfs")
    try:
        rig = make_rig(mount / "d")
        rig.start()
        rig.accept()
        accepted, status, answer = [], 200, {}
        while status == 200 and len(accepted) < 40:
            number = len(accepted)
            status, answer = rig.post(b'{"n":%d,"x":"%b"}' % (number, b"x" * 500_000))
            if status == 200:
                accepted.append(number)
        assert status == 507, "the disk should be full by now"
        assert answer["error"]["code"] == "detect.disk_full"
        assert rig.stats().intake == "detect.disk_full"
        rows, _ = rig.search("", limit=1000)
        assert sorted(orjson.loads(row.raw)["n"] for row in rows) == accepted
        subprocess.run(["mount", "-o", "remount,size=32m", str(mount)], check=True)
        rig.send({"n": 1000})
        assert rig.stats().intake == "open"
        rig.kill()
        rig.start()
        rig.accept()
        rows, _ = rig.search("", limit=1000)
        assert sorted(orjson.loads(row.raw)["n"] for row in rows) == [*accepted, 1000]
        rig.close()
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=False)


def test_a_file_size_limit_tears_no_event(make_rig: Callable[..., Rig]) -> None:
    """Invariant 5: a write that stopped half-way is taken back, and the log goes on."""
    rig = make_rig()
    rig.start("prlimit", f"--fsize={300_000}", "--")
    rig.accept()
    accepted = []
    status = 200
    while status == 200:
        status, answer = rig.post(b'{"n":%d,"x":"%b"}' % (len(accepted), b"x" * 70_000))
        if status == 200:
            accepted.append(len(accepted))
    assert (status, answer["error"]["code"], len(accepted)) == (507, "detect.disk_full", 4)
    rig.send({"n": 4})  # there is still room for a small one
    rig.kill()
    lines = stored_lines(EventFolder(rig.settings.events))
    assert [orjson.loads(line)["event"]["n"] for line in lines] == [0, 1, 2, 3, 4]


def test_senders_at_once_share_their_syncs(make_rig: Callable[..., Rig], tmp_path: Path) -> None:
    """Group commit: many answers, fewer syncs."""
    if not shutil.which("strace"):
        missing("needs strace")
    trace = tmp_path / "trace"
    rig = make_rig()
    rig.start("strace", "-f", "-c", "-e", "trace=fdatasync", "-o", str(trace))
    rig.accept()
    with concurrent.futures.ThreadPoolExecutor(16) as senders:
        list(senders.map(lambda n: rig.send({"n": n}), range(400)))
    assert rig.end() == 0
    counted = re.search(r"(\d+)\s+fdatasync", trace.read_text())
    assert counted is not None
    assert 0 < int(counted[1]) < 400
