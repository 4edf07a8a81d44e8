"""What must still be done after a restart: a table of jobs, written with the change that causes them.

A job is enqueued inside the transaction of its cause, so both happen or neither. A handler must be
idempotent: a crash between its work and the removal of its row runs it again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    String,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from istmo.clock import Clock
from istmo.store.columns import BigId, Instant, Json
from istmo.store.engine import Store, Transaction, metadata

log = structlog.get_logger(__name__)

jobs = Table(
    "jobs",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("kind", String(64), nullable=False),
    Column("key", String(256), nullable=True, unique=True),
    Column("payload", Json, nullable=False),
    Column("due", Instant, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("asked", Integer, nullable=False, default=1),
    Column("state", String(8), nullable=False, default="waiting"),
    Column("problem", Text, nullable=True),
    Column("created", Instant, nullable=False),
    Index("ix_jobs_state_due", "state", "due"),
)

_BY_KEY = select(jobs).where(jobs.c.key == bindparam("key"))

_LONGEST_WAIT = 3600.0
_PAUSE_AFTER_TROUBLE = 5.0
_HEAD_START = 0.03
"""Seconds for which a job that has just been enqueued leaves the interpreter to whoever caused it."""

Handler = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Job:
    """One thing to do. ``state`` is ``waiting`` or ``dead`` (out of attempts, an administrator's turn)."""

    id: int
    kind: str
    payload: Mapping[str, Any]
    due: datetime
    attempts: int
    state: str
    problem: str | None
    created: datetime
    asked: int
    """How often it was asked for under its key; work begun before the last asking does not settle it."""


def enqueue(
    tx: Transaction,
    kind: str,
    payload: Mapping[str, Any],
    now: datetime,
    *,
    delay: float = 0.0,
    key: str | None = None,
) -> None:
    """Add a job to the transaction.

    With ``key``, one job under that key is enough: one that waits takes the new payload; one that is
    running now runs once more, since it may have read what this transaction changes; a dead one
    gets a fresh set of attempts.
    """
    due = now + timedelta(seconds=delay)
    if key is not None and _ask_again(tx.connection, kind, key, payload, due):
        tx.notify("job", kind)
        return
    tx.connection.execute(
        insert(jobs),
        {
            "kind": kind,
            "key": key,
            "payload": dict(payload),
            "due": due,
            "attempts": 0,
            "asked": 1,
            "state": "waiting",
            "created": now,
        },
    )
    tx.notify("job", kind)


def _ask_again(
    connection: Connection, kind: str, key: str, payload: Mapping[str, Any], due: datetime
) -> bool:
    row = connection.execute(_BY_KEY, {"key": key}).first()
    if row is None:
        return False
    was_dead = row.state == "dead"
    connection.execute(
        update(jobs)
        .where(jobs.c.id == row.id)
        .values(
            kind=kind,
            payload=dict(payload),
            asked=row.asked + 1,
            due=due if was_dead else min(row.due, due),
            attempts=0 if was_dead else row.attempts,
            state="waiting",
        )
    )
    return True


def dead_jobs(connection: Connection, *, after: int = 0, limit: int | None = None) -> list[Job]:
    """Jobs that ran out of attempts, oldest first, past the job of this number."""
    asked = select(jobs).where(jobs.c.state == "dead", jobs.c.id > after).order_by(jobs.c.id)
    return [_job(row) for row in connection.execute(asked.limit(limit))]


@dataclass(frozen=True)
class JobCounts:
    """How many jobs there are: due or waiting for their time, failed at least once and waiting, dead."""

    waiting: int
    failing: int
    dead: int


def count_jobs(connection: Connection) -> JobCounts:
    """How much there is to do."""
    asked = select(jobs.c.state, jobs.c.attempts, func.count().label("number")).group_by(
        jobs.c.state, jobs.c.attempts
    )
    counts = {"waiting": 0, "failing": 0, "dead": 0}
    for row in connection.execute(asked):
        counts["dead" if row.state == "dead" else "failing" if row.attempts else "waiting"] += row.number
    return JobCounts(**counts)


def waiting_jobs(connection: Connection, limit: int) -> list[Job]:
    """Jobs that are to run, the next due first."""
    rows = connection.execute(
        select(jobs).where(jobs.c.state == "waiting").order_by(jobs.c.due, jobs.c.id).limit(limit)
    )
    return [_job(row) for row in rows]


def retry_job(tx: Transaction, job_id: int, now: datetime) -> bool:
    """Give a dead job a fresh set of attempts; False when there is no such job."""
    if not 0 < job_id < 1 << 63:  # people write any number; a database takes none that is longer
        return False
    done = tx.connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.state == "dead")
        .values(state="waiting", attempts=0, due=now)
    )
    if done.rowcount:
        tx.notify("job", str(job_id))
    return done.rowcount == 1


def discard_job(tx: Transaction, job_id: int) -> bool:
    """Give up a dead job for good; False when there is no such job."""
    if not 0 < job_id < 1 << 63:
        return False
    done = tx.connection.execute(delete(jobs).where(jobs.c.id == job_id, jobs.c.state == "dead"))
    return done.rowcount == 1


def _job(row: Any) -> Job:
    return Job(
        id=row.id,
        kind=row.kind,
        payload=row.payload,
        due=row.due,
        attempts=row.attempts,
        state=row.state,
        problem=row.problem,
        created=row.created,
        asked=row.asked,
    )


class JobRunner:
    """Runs due jobs; retries with exponential backoff, then buries.

    ``threads`` jobs run side by side, so that one that hangs does not stop the others. There is one
    runner a database: claims live in memory, and a crash lets every job run again.
    """

    def __init__(
        self, store: Store, clock: Clock, *, attempts: int = 8, backoff: float = 2.0, threads: int = 2
    ) -> None:
        self._store, self._clock = store, clock
        self._attempts, self._backoff = attempts, backoff
        self._handlers: dict[str, Handler] = {}
        self._claims = threading.Lock()
        self._claimed: set[int] = set()
        self._wakes = [threading.Event() for _ in range(threads)]
        self._resting: list[threading.Event] = []
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._unsubscribe: Callable[[], None] | None = None

    def handle(self, kind: str, handler: Handler) -> None:
        """``handler(payload)`` does jobs of this kind; an exception means: try again later."""
        self._handlers[kind] = handler
        self._wake_all()

    @property
    def running(self) -> frozenset[int]:
        """Numbers of the jobs that run at this moment."""
        with self._claims:
            return frozenset(self._claimed)

    def run_due(self) -> int:
        """Run every job that is due now; the number that ran (well or not)."""
        ran = 0
        while not self._stopping.is_set() and (job := self._claim()):
            try:
                self._run(job)
            finally:
                with self._claims:
                    self._claimed.discard(job.id)
            ran += 1
        return ran

    def _claim(self) -> Job | None:
        with self._claims, self._store.read() as connection:
            row = connection.execute(
                select(jobs)
                .where(self._mine(), jobs.c.due <= self._clock.now())
                .order_by(jobs.c.due, jobs.c.id)
                .limit(1)
            ).first()
            if row is None:
                return None
            self._claimed.add(row.id)
        return _job(row)

    def _mine(self) -> ColumnElement[bool]:
        return and_(
            jobs.c.state == "waiting",
            jobs.c.kind.in_(list(self._handlers)),
            jobs.c.id.not_in(list(self._claimed)),
        )

    def _run(self, job: Job) -> None:
        try:
            self._handlers[job.kind](job.payload)
        except Exception as error:
            self._failed(job, error)
        else:
            with self._store.write() as tx:
                done = tx.connection.execute(
                    delete(jobs).where(jobs.c.id == job.id, jobs.c.asked == job.asked)
                )
                if not done.rowcount:  # asked for again while it ran: it may have read the old state
                    tx.connection.execute(update(jobs).where(jobs.c.id == job.id).values(attempts=0))

    def _failed(self, job: Job, error: Exception) -> None:
        attempts = job.attempts + 1
        dead = attempts >= self._attempts
        log.warning("job_failed", kind=job.kind, id=job.id, attempts=attempts, dead=dead, error=repr(error))
        with self._store.write() as tx:
            changed = tx.connection.execute(
                update(jobs)
                .where(jobs.c.id == job.id, jobs.c.asked == job.asked)
                .values(
                    attempts=attempts,
                    state="dead" if dead else "waiting",
                    problem=repr(error)[:2000],
                    due=self._clock.now() + timedelta(seconds=min(self._backoff**attempts, _LONGEST_WAIT)),
                )
            )
            if dead and changed.rowcount:
                tx.notify("job_dead", str(job.id), kind=job.kind)

    def start(self) -> None:
        """Run jobs in threads until ``stop``: at once when one is enqueued, and when one falls due."""
        self._unsubscribe = self._store.changes.subscribe(lambda _: self._wake_one(), "job")
        for number, wake in enumerate(self._wakes):
            thread = threading.Thread(target=self._loop, args=(wake,), name=f"jobs-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, seconds: float = 10.0) -> None:
        """Take no further job and wait up to ``seconds`` for those that run."""
        self._stopping.set()
        self._wake_all()
        for thread in self._threads:
            thread.join(seconds)
        if self._unsubscribe:
            self._unsubscribe()

    def _wake_all(self) -> None:
        for wake in self._wakes:
            wake.set()

    def _wake_one(self) -> None:
        """Wake one that rests; where none does, let all look again before they rest."""
        with self._claims:
            resting = self._resting.pop() if self._resting else None
        if resting is None:
            self._wake_all()
        else:
            resting.set()

    def _loop(self, wake: threading.Event) -> None:
        while not self._stopping.is_set():
            wake.clear()
            pause = _PAUSE_AFTER_TROUBLE
            try:
                self.run_due()
                pause = self._seconds_to_next()
            except Exception:
                log.exception("job_loop_failed")
            with self._claims:
                self._resting.append(wake)
            if wake.wait(pause):
                self._stopping.wait(_HEAD_START)
            with self._claims:
                self._resting = [one for one in self._resting if one is not wake]

    def _seconds_to_next(self) -> float:
        with self._claims, self._store.read() as connection:
            due: datetime | None = connection.execute(
                select(func.min(jobs.c.due)).where(self._mine())
            ).scalar()
        if due is None:
            return 60.0
        return min(60.0, max(0.05, (due - self._clock.now()).total_seconds()))
