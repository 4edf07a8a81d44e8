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
from istmo.policy.actions import Action
from istmo.settings import Settings
from istmo.store.engine import Store
from istmo.store.jobs import Job, dead_jobs, retry_job
from istmo.web.permitting import require
from istmo.web.shapes import JobList, JobRetried, JobShape, NodeShape


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
    require(asker.principal, Action.JOB_MANAGE, federation.context())
    with store.write() as tx:
        if not retry_job(tx, id, clock.now()):
            raise NotFound("web.no_job", id=id)
        audit.record(tx, asker.principal, Action.JOB_MANAGE, str(id), audit.DONE, (), clock.now())
    return {"id": id, "state": "waiting"}


def _job(job: Job) -> JobShape:
    return {
        "id": job.id,
        "kind": job.kind,
        "attempts": job.attempts,
        "problem": job.problem,
        "created": instants.format(job.created),
    }


routes = [node, list_dead_jobs, retry]
