"""``istmo job``: work in the background that gave up, and another try for it."""

from __future__ import annotations

from istmo.kit.cli import Teller, argument, command, group, told


@group("job", help="cli.job")
def job() -> None:
    """The group; its commands follow."""


@command("list", help="cli.job.list")
@told
def list_jobs(teller: Teller) -> None:
    """Every job that ran out of attempts, oldest first, with what stopped it the last time."""
    with teller.client() as client:
        found = client.get("/api/v1/jobs/dead")
    heads = [f"cli.job.{name}" for name in ("id", "kind", "created", "attempts", "problem")]
    rows = [
        (one["id"], one["kind"], one["created"], one["attempts"], one["problem"] or "—")
        for one in found["items"]
    ]
    teller.rows(found, heads, rows, "cli.job.none")


@command("retry", help="cli.job.retry")
@argument("id", type=int)
@told
def retry(teller: Teller, id: int) -> None:
    """Give one of them a fresh set of attempts, at once."""
    with teller.client() as client:
        done = client.post(f"/api/v1/jobs/{id}/retry")
    teller.show(done, "cli.job.retry.done", id=id)


for _one in (list_jobs, retry):
    job.add_command(_one)

commands = [job]
