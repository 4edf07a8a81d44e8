"""Jobs: asked for with their cause, done after it, again when they fail, an administrator's turn at last."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, MetaData, String, Table, func, insert, select

from istmo.clock import ManualClock, SystemClock
from istmo.store import jobs as job_table
from istmo.store.engine import Store
from istmo.store.jobs import (
    JobCounts,
    JobRunner,
    count_jobs,
    dead_jobs,
    discard_job,
    enqueue,
    retry_job,
    waiting_jobs,
)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = Store(database_url)
    with store.write() as tx:
        job_table.jobs.create(tx.connection)
    yield store
    store.close()


@pytest.fixture
def runner(store: Store, clock: ManualClock) -> JobRunner:
    return JobRunner(store, clock, attempts=3, backoff=2.0)


def ask(store: Store, clock: ManualClock, kind: str = "send", key: str | None = None, **payload: Any) -> None:
    with store.write() as tx:
        enqueue(tx, kind, payload, clock.now(), key=key)


def waiting(store: Store) -> int:
    with store.read() as connection:
        return connection.execute(select(func.count()).select_from(job_table.jobs)).scalar_one()


def test_a_job_is_enqueued_with_its_cause_or_not_at_all(
    store: Store, runner: JobRunner, clock: ManualClock
) -> None:
    done: list[Mapping[str, Any]] = []
    runner.handle("send", done.append)
    with pytest.raises(ZeroDivisionError), store.write() as tx:
        enqueue(tx, "send", {"n": 1}, clock.now())
        raise ZeroDivisionError
    ask(store, clock, n=2)
    assert runner.run_due() == 1
    assert done == [{"n": 2}]
    assert waiting(store) == 0


def test_jobs_run_in_the_order_in_which_they_fall_due(
    store: Store, runner: JobRunner, clock: ManualClock
) -> None:
    done: list[int] = []
    runner.handle("send", lambda payload: done.append(payload["n"]))
    with store.write() as tx:
        enqueue(tx, "send", {"n": 1}, clock.now(), delay=60)
        enqueue(tx, "send", {"n": 2}, clock.now())
        enqueue(tx, "send", {"n": 3}, clock.now())
    runner.run_due()
    assert done == [2, 3]
    clock.advance(60)
    runner.run_due()
    assert done == [2, 3, 1]


def test_a_failing_job_waits_longer_each_time_and_then_is_dead(
    store: Store, runner: JobRunner, clock: ManualClock
) -> None:
    told: list[str] = []
    store.changes.subscribe(lambda change: told.append(change.topic), "job_dead")
    tries: list[float] = []

    def broken(_payload: Mapping[str, Any]) -> None:
        tries.append(clock.monotonic())
        raise ConnectionError("nobody answers")

    runner.handle("send", broken)
    ask(store, clock)
    for _ in range(20):
        runner.run_due()
        clock.advance(1)
    assert tries == [0.0, 2.0, 6.0]
    assert told == ["job_dead"]
    with store.read() as connection:
        (dead,) = dead_jobs(connection)
    assert dead.attempts == 3
    assert "nobody answers" in (dead.problem or "")


def test_an_administrator_gives_a_dead_job_another_chance(
    store: Store, runner: JobRunner, clock: ManualClock
) -> None:
    up = threading.Event()

    def send(_payload: Mapping[str, Any]) -> None:
        if not up.is_set():
            raise ConnectionError

    runner.handle("send", send)
    ask(store, clock)
    for _ in range(3):
        runner.run_due()
        clock.advance(60)
    with store.read() as connection:
        (dead,) = dead_jobs(connection)
    up.set()
    assert runner.run_due() == 0
    with store.write() as tx:
        assert retry_job(tx, dead.id, clock.now())
        assert not retry_job(tx, dead.id + 1, clock.now())
    assert runner.run_due() == 1
    assert waiting(store) == 0


def test_an_administrator_gives_a_dead_job_up(store: Store, clock: ManualClock) -> None:
    runner = JobRunner(store, clock, attempts=1)
    runner.handle("send", lambda payload: payload["missing"])
    ask(store, clock)
    runner.run_due()
    with store.read() as connection:
        (dead,) = dead_jobs(connection)
        assert count_jobs(connection) == JobCounts(waiting=0, failing=0, dead=1)
        assert waiting_jobs(connection, 10) == []
    with store.write() as tx:
        assert discard_job(tx, dead.id)
    assert waiting(store) == 0


def test_it_is_told_how_much_there_is_to_do(store: Store, runner: JobRunner, clock: ManualClock) -> None:
    runner.handle("send", lambda payload: payload["missing"])
    ask(store, clock)
    runner.run_due()
    ask(store, clock, kind="other")
    with store.read() as connection:
        assert count_jobs(connection) == JobCounts(waiting=1, failing=1, dead=0)
        assert [one.kind for one in waiting_jobs(connection, 10)] == ["other", "send"]


def test_one_job_a_key_with_the_newest_payload(store: Store, runner: JobRunner, clock: ManualClock) -> None:
    done: list[int] = []
    runner.handle("send", lambda payload: done.append(payload["n"]))
    for n in range(3):
        ask(store, clock, key="peer:hn", n=n)
    runner.run_due()
    assert done == [2]


def test_a_job_asked_for_while_it_runs_runs_once_more(
    store: Store, runner: JobRunner, clock: ManualClock
) -> None:
    """The running one may have read what the second asking changed: its work does not settle that."""
    done: list[int] = []

    def send(payload: Mapping[str, Any]) -> None:
        done.append(payload["n"])
        if payload["n"] == 1:
            ask(store, clock, key="peer:hn", n=2)

    runner.handle("send", send)
    ask(store, clock, key="peer:hn", n=1)
    runner.run_due()
    assert done == [1, 2]
    assert waiting(store) == 0


def test_asking_again_brings_a_dead_job_back(store: Store, clock: ManualClock) -> None:
    runner = JobRunner(store, clock, attempts=1)
    runner.handle("send", lambda payload: payload["good"])
    ask(store, clock, key="k")
    runner.run_due()
    ask(store, clock, key="k", good=1)
    assert runner.run_due() == 1
    assert waiting(store) == 0


def test_kinds_that_nobody_handles_are_left_alone(
    store: Store, runner: JobRunner, clock: ManualClock
) -> None:
    ask(store, clock, kind="of another part")
    assert runner.run_due() == 0
    assert runner._seconds_to_next() == 60.0
    assert waiting(store) == 1


def test_one_bad_job_does_not_stop_the_others(store: Store, runner: JobRunner, clock: ManualClock) -> None:
    done: list[int] = []
    runner.handle("bad", lambda payload: payload["missing"])
    runner.handle("send", lambda payload: done.append(1))
    ask(store, clock, kind="bad")
    ask(store, clock)
    assert runner.run_due() == 2
    assert done == [1]


def test_a_job_that_hangs_does_not_stop_the_others(store: Store) -> None:
    runner = JobRunner(store, SystemClock(), threads=2)
    release, done = threading.Event(), threading.Event()
    runner.handle("hang", lambda payload: release.wait(30) and None)
    runner.handle("send", lambda payload: done.set())
    runner.start()
    try:
        with store.write() as tx:
            enqueue(tx, "hang", {}, SystemClock().now())
        with store.write() as tx:
            enqueue(tx, "send", {}, SystemClock().now())
        assert done.wait(20)
    finally:
        release.set()
        runner.stop()


KILLED = """
import os, signal, sys
from sqlalchemy import Column, MetaData, String, Table, insert
from istmo.clock import SystemClock
from istmo.store.engine import Store
from istmo.store.jobs import JobRunner
sent = Table("sent", MetaData(), Column("what", String(20), primary_key=True))
store = Store(sys.argv[1])
runner = JobRunner(store, SystemClock())
def send(payload):
    with store.write() as tx:
        tx.connection.execute(insert(sent).values(what=payload["what"]))
    os.kill(os.getpid(), signal.SIGKILL)
runner.handle("send", send)
runner.run_due()
"""


def test_a_job_whose_process_is_killed_after_its_work_runs_again(store: Store, database_url: str) -> None:
    """An idempotent handler finds its work done; nothing is lost and nothing is done twice."""
    sent = Table("sent", MetaData(), Column("what", String(20), primary_key=True))
    clock = SystemClock()
    with store.write() as tx:
        sent.create(tx.connection)
        enqueue(tx, "send", {"what": "indicator"}, clock.now())
    killed = subprocess.run([sys.executable, "-c", KILLED, database_url], check=False, env=dict(os.environ))
    assert killed.returncode == -signal.SIGKILL
    assert waiting(store) == 1

    def send(payload: Mapping[str, Any]) -> None:
        with store.write() as tx:
            known = tx.connection.execute(select(sent).where(sent.c.what == payload["what"])).first()
            if not known:
                tx.connection.execute(insert(sent).values(what=payload["what"]))

    runner = JobRunner(store, clock)
    runner.handle("send", send)
    assert runner.run_due() == 1
    assert waiting(store) == 0
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(sent)).scalar() == 1


def test_a_thread_wakes_at_once_when_a_job_is_enqueued(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'node.db'}")
    with store.write() as tx:
        job_table.jobs.create(tx.connection)
    runner, done = JobRunner(store, SystemClock()), threading.Event()
    runner.handle("send", lambda payload: done.set())
    runner.start()
    with store.write() as tx:
        enqueue(tx, "send", {}, SystemClock().now())
    assert done.wait(20)
    runner.stop()
    store.close()
