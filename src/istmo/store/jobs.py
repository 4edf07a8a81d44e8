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
    Connection,
    Index,
    Integer,
    String,
    Table,
    Text,
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
    Column("state", String(8), nullable=False, default="waiting"),
    Column("problem", Text, nullable=True),
    Column("created", Instant, nullable=False),
    Index("ix_jobs_state_due", "state", "due"),
)

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


def enqueue(
    tx: Transaction,
    kind: str,
    payload: Mapping[str, Any],
    now: datetime,
    *,
    delay: float = 0.0,
    key: str | None = None,
) -> None:
    """Add a job to the transaction. With ``key``, one that waits under the same key is enough."""
    if key is not None:
        known = tx.connection.execute(select(jobs.c.id).where(jobs.c.key == key)).first()
        if known:
            return
    tx.connection.execute(
        insert(jobs).values(
            kind=kind,
            key=key,
            payload=dict(payload),
            due=now + timedelta(seconds=delay),
            attempts=0,
            state="waiting",
            created=now,
        )
    )
    tx.notify("job", kind)


def dead_jobs(connection: Connection) -> list[Job]:
    """Jobs that ran out of attempts, oldest first."""
    rows = connection.execute(select(jobs).where(jobs.c.state == "dead").order_by(jobs.c.id))
    return [_job(row) for row in rows]


def retry_job(tx: Transaction, job_id: int, now: datetime) -> bool:
    """Give a dead job a fresh set of attempts; False when there is no such job."""
    done = tx.connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.state == "dead")
        .values(state="waiting", attempts=0, due=now)
    )
    tx.notify("job", str(job_id))
    return done.rowcount == 1


def _job(row: Any) -> Job:
    return Job(row.id, row.kind, row.payload, row.due, row.attempts, row.state, row.problem)


class JobRunner:
    """Runs due jobs one after another; retries with exponential backoff, then buries."""

    def __init__(self, store: Store, clock: Clock, *, attempts: int = 8, backoff: float = 2.0) -> None:
        self._store, self._clock = store, clock
        self._attempts, self._backoff = attempts, backoff
        self._handlers: dict[str, Handler] = {}
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def handle(self, kind: str, handler: Handler) -> None:
        """``handler(payload)`` does jobs of this kind; an exception means: try again later."""
        self._handlers[kind] = handler

    def run_due(self) -> int:
        """Run every job that is due now; the number that ran (well or not)."""
        ran = 0
        while job := self._next():
            self._run(job)
            ran += 1
        return ran

    def _next(self) -> Job | None:
        with self._store.read() as connection:
            row = connection.execute(
                select(jobs)
                .where(
                    jobs.c.state == "waiting",
                    jobs.c.due <= self._clock.now(),
                    jobs.c.kind.in_(list(self._handlers)),
                )
                .order_by(jobs.c.due, jobs.c.id)
                .limit(1)
            ).first()
        return _job(row) if row else None

    def _run(self, job: Job) -> None:
        try:
            self._handlers[job.kind](job.payload)
        except Exception as error:
            attempts = job.attempts + 1
            dead = attempts >= self._attempts
            log.warning(
                "job_failed", kind=job.kind, id=job.id, attempts=attempts, dead=dead, error=repr(error)
            )
            with self._store.write() as tx:
                tx.connection.execute(
                    update(jobs)
                    .where(jobs.c.id == job.id)
                    .values(
                        attempts=attempts,
                        state="dead" if dead else "waiting",
                        problem=repr(error)[:2000],
                        due=self._clock.now() + timedelta(seconds=self._backoff**attempts),
                    )
                )
                if dead:
                    tx.notify("job_dead", str(job.id))
        else:
            with self._store.write() as tx:
                tx.connection.execute(delete(jobs).where(jobs.c.id == job.id))

    def start(self) -> None:
        """Run jobs in a thread until ``stop``: at once when one is enqueued, and when one falls due."""
        self._unsubscribe = self._store.changes.subscribe(lambda _: self._wake.set(), "job")
        self._thread = threading.Thread(target=self._loop, name="jobs", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()
        if self._thread:
            self._thread.join(10)
            self._unsubscribe()

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self.run_due()
            except Exception:
                log.exception("job_loop_failed")
            self._wake.wait(self._seconds_to_next())

    def _seconds_to_next(self) -> float:
        with self._store.read() as connection:
            due: datetime | None = connection.execute(
                select(func.min(jobs.c.due)).where(jobs.c.state == "waiting")
            ).scalar()
        if due is None:
            return 60.0
        return min(60.0, max(0.05, (due - self._clock.now()).total_seconds()))
