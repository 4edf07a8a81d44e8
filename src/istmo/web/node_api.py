"""The node about itself: who it is, how it is doing, jobs that gave up."""

from __future__ import annotations

from litestar import get, post

import istmo
from istmo.clock import Clock
from istmo.detect.service import Detect
from istmo.errors import NotFound
from istmo.federation.service import Federation
from istmo.identity import audit
from istmo.intel.service import Intel
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.model import instants
from istmo.notices.service import Notices
from istmo.policy.actions import Action
from istmo.settings import Settings
from istmo.store.engine import Store
from istmo.store.jobs import Job, JobRunner, count_jobs, dead_jobs, discard_job, retry_job, waiting_jobs
from istmo.web.permitting import require
from istmo.web.shapes import (
    JobDiscarded,
    JobList,
    JobQueue,
    JobRetried,
    JobShape,
    NodeShape,
    QueuedJob,
)


@get("/api/v1/node", opt=PEOPLE, sync_to_thread=True, tags=["node"])
def node(
    asker: Asker, settings: Settings, federation: Federation, intel: Intel, detect: Detect, clock: Clock
) -> NodeShape:
    """Name, fingerprint, member id, the detection worker's state, how many live objects there are."""
    worker = detect.worker(asker.principal)
    return {
        "name": settings.name,
        "country": settings.country,
        "member": intel.member,
        "fingerprint": federation.keys.fingerprint,
        "url": settings.url,
        "languages": list(settings.languages),
        "space": settings.space,
        "version": istmo.__version__,
        "now": instants.format(clock.now()),
        "objects": intel.counts(asker.principal),
        "worker": {
            "state": worker.state,
            "pid": worker.pid,
            "intake": worker.intake,
            "intake_problem": worker.intake_problem,
            "stored": worker.stored,
            "bytes": worker.bytes,
            "rate": worker.rate,
            "indicators": worker.indicators,
            "rules": worker.rules,
            "indicator_lag": worker.indicator_lag,
            "sigma_lag": worker.sigma_lag,
            "hunting": worker.hunting,
            "correlations": dict(worker.correlations),
            "patterns": dict(worker.patterns),
            "notices": [
                {"code": one.code, "params": dict(one.params), "at": instants.format(one.at)}
                for one in worker.notices
            ],
        },
    }


@get("/api/v1/jobs/dead", opt=PEOPLE, sync_to_thread=True, tags=["node"])
def list_dead_jobs(asker: Asker, store: Store, federation: Federation) -> JobList:
    """Background work that ran out of attempts, oldest first."""
    require(asker.principal, Action.JOB_MANAGE, federation.context())
    with store.read() as connection:
        items = [_job(one) for one in dead_jobs(connection)]
    return {"items": items, "next": None, "total": len(items)}


@post("/api/v1/jobs/{id:int}/retry", opt=PEOPLE, status_code=200, sync_to_thread=True, tags=["node"])
def retry(id: int, asker: Asker, store: Store, federation: Federation, clock: Clock) -> JobRetried:
    """Give a job that gave up a fresh set of attempts."""
    try_again(id, asker, store, federation, clock)
    return {"id": id, "state": "waiting"}


@post("/api/v1/jobs/{id:int}/discard", opt=PEOPLE, status_code=200, sync_to_thread=True, tags=["node"])
def discard(id: int, asker: Asker, store: Store, federation: Federation, clock: Clock) -> JobDiscarded:
    """Let go of a job that gave up: it is not done any more."""
    give_up(id, asker, store, federation, clock)
    return {"discarded": id}


@get("/api/v1/jobs", opt=PEOPLE, sync_to_thread=True, tags=["node"])
def list_jobs(
    asker: Asker, store: Store, federation: Federation, jobs: JobRunner, notices: Notices
) -> JobQueue:
    """How much background work there is, and the first hundred that wait or run, the next due first."""
    require(asker.principal, Action.JOB_MANAGE, federation.context())
    running = jobs.running | notices.jobs.running
    with store.read() as connection:
        counts, found = count_jobs(connection), waiting_jobs(connection, 100)
    items: list[QueuedJob] = [
        {
            **_job(one),
            "state": "running" if one.id in running else "waiting",
            "due": instants.format(one.due),
        }
        for one in found
    ]
    return {
        "items": items,
        "next": None,
        "total": counts.waiting + counts.failing,
        "failing": counts.failing,
        "dead": counts.dead,
    }


def try_again(id: int, asker: Asker, store: Store, federation: Federation, clock: Clock) -> None:
    """A fresh set of attempts for a job that gave up. Raises NotAllowed, NotFound("web.no_job")."""
    require(asker.principal, Action.JOB_MANAGE, federation.context())
    with store.write() as tx:
        if not retry_job(tx, id, clock.now()):
            raise NotFound("web.no_job", id=id)
        audit.record(tx, asker.principal, Action.JOB_MANAGE, str(id), audit.DONE, (), clock.now())


def give_up(id: int, asker: Asker, store: Store, federation: Federation, clock: Clock) -> None:
    """The end of a job that gave up. Raises NotAllowed, NotFound("web.no_job")."""
    require(asker.principal, Action.JOB_MANAGE, federation.context())
    with store.write() as tx:
        if not discard_job(tx, id):
            raise NotFound("web.no_job", id=id)
        audit.record(tx, asker.principal, Action.JOB_MANAGE, f"{id} discarded", audit.DONE, (), clock.now())


def _job(job: Job) -> JobShape:
    return {
        "id": job.id,
        "kind": job.kind,
        "attempts": job.attempts,
        "problem": job.problem,
        "created": instants.format(job.created),
    }


routes = [node, list_dead_jobs, list_jobs, retry, discard]
