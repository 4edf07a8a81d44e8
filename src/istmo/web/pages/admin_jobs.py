"""Work in the background: how much waits, what gave up and why, another try for it or the end of it."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Any, Final

from litestar import Request, Response, get, post

from istmo.clock import Clock
from istmo.federation.service import Federation
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Sent
from istmo.kit.i18n import Catalogue
from istmo.kit.pages import back_to, page
from istmo.notices.service import Notices
from istmo.policy.actions import Action
from istmo.store.engine import Store
from istmo.store.jobs import Job, JobRunner, count_jobs, dead_jobs, waiting_jobs
from istmo.web.node_api import give_up, try_again
from istmo.web.permitting import require

ROWS: Final = 50
_FORESEEN = re.compile(r"\w+\('([a-z_.]{1,80})', (\{.*\})\)", re.DOTALL)


@dataclass(frozen=True)
class Row:
    """A job in words. ``raw``: what stopped it, as the program wrote it, where that says more."""

    job: Job
    state: str
    what: str
    problem: str
    remedy: str
    raw: str


@get("/administration/jobs", opt=PEOPLE, sync_to_thread=True)
def jobs_page(
    request: Request[Any, Any, Any],
    asker: Asker,
    store: Store,
    federation: Federation,
    jobs: JobRunner,
    notices: Notices,
    catalogue: Catalogue,
) -> Response[Any]:
    """What gave up first, then what runs and waits."""
    require(asker.principal, Action.JOB_MANAGE, federation.context())
    running = jobs.running | notices.jobs.running
    cursor = request.query_params.get("cursor", "")
    after = int(cursor) if cursor.isascii() and cursor.isdigit() and len(cursor) <= 18 else 0
    with store.read() as connection:
        counts, dead = count_jobs(connection), dead_jobs(connection, after=after, limit=ROWS + 1)
        waiting = waiting_jobs(connection, ROWS)
    return page(
        request,
        "web/admin_jobs.html",
        counts=counts,
        running=len(running),
        cursor=cursor,
        next=str(dead[ROWS - 1].id) if len(dead) > ROWS else "",
        dead=[row_of(one, "dead", catalogue, asker.language) for one in dead[:ROWS]],
        rows=[
            row_of(one, "running" if one.id in running else "waiting", catalogue, asker.language)
            for one in waiting
        ],
        json_path="/api/v1/jobs",
    )


@post("/administration/jobs/{id:int}/retry", opt=PEOPLE, sync_to_thread=True)
def retry(
    request: Request[Any, Any, Any],
    id: int,
    data: Sent,
    asker: Asker,
    store: Store,
    federation: Federation,
    clock: Clock,
) -> Response[Any]:
    """Give a job that gave up a fresh set of attempts."""
    try_again(id, asker, store, federation, clock)
    return back_to(request, "/administration/jobs", notice="web.notice.job.again")


@post("/administration/jobs/{id:int}/discard", opt=PEOPLE, sync_to_thread=True)
def discard(
    request: Request[Any, Any, Any],
    id: int,
    data: Sent,
    asker: Asker,
    store: Store,
    federation: Federation,
    clock: Clock,
) -> Response[Any]:
    """Let go of a job that gave up: it is not done any more."""
    give_up(id, asker, store, federation, clock)
    return back_to(request, "/administration/jobs", notice="web.notice.job.gone")


def row_of(job: Job, state: str, catalogue: Catalogue, language: str) -> Row:
    """A job in one language."""
    key = f"web.job.kind.{job.kind}"
    what = catalogue.text(language, key) if catalogue.has(language, key) else job.kind
    problem, remedy = problem_told(job.problem or "", catalogue, language)
    return Row(job, state, what, problem, remedy, "" if remedy else (job.problem or ""))


def problem_told(raw: str, catalogue: Catalogue, language: str) -> tuple[str, str]:
    """What stopped a job and what to do, where it is an error that the program foresaw; else empty."""
    found = _FORESEEN.fullmatch(raw)
    if found is None or not catalogue.has(language, f"error.{found[1]}"):
        return (catalogue.text(language, "web.job.unforeseen"), "") if raw else ("", "")
    try:
        params = ast.literal_eval(found[2])
        key = f"error.{found[1]}"
        return catalogue.text(language, key, **params), catalogue.text(language, f"{key}.remedy", **params)
    except (ValueError, SyntaxError, LookupError, TypeError, MemoryError, RecursionError):
        return catalogue.text(language, "web.job.unforeseen"), ""


routes = [jobs_page, retry, discard]
