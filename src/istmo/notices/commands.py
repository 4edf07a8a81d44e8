"""``istmo notices``: who is told of what outside of the console, from the command line."""

from __future__ import annotations

import sys
from urllib.parse import quote

import click

from istmo.kit.cli import Teller, argument, command, group, option, say, told
from istmo.notices.objects import KINDS, LEVELS

KIND = click.Choice([str(kind) for kind in KINDS])


@group("notices", help="notices.command")
def notices() -> None:
    """The group; its commands follow."""


@command("list", help="notices.command.list")
@told
def list_ways(teller: Teller) -> None:
    """Every way out, with how it went the last time."""
    with teller.client() as client:
        found = client.get("/api/v1/notice-ways")
    heads = [f"notices.column.{name}" for name in ("id", "person", "notifier", "address", "kinds", "state")]
    rows = [
        (
            one["id"],
            one["person"],
            one["notifier"],
            one["address"],
            ", ".join(one["kinds"]),
            _state(one),
        )
        for one in found["items"]
    ]
    teller.rows(found, heads, rows, "notices.command.none")


@command("add", help="notices.command.add")
@argument("person")
@argument("address")
@option("--by", "notifier", default="mail", show_default=True, help="notices.command.by")
@option("--kind", "kinds", multiple=True, required=True, type=KIND, help="notices.command.kind")
@option("--level", default="high", show_default=True, type=click.Choice(LEVELS), help="notices.command.level")
@option("--quiet", default="", metavar="22:00-06:00", help="notices.command.quiet")
@option("--every", default=0, show_default=True, type=int, help="notices.command.every")
@told
def add_way(
    teller: Teller,
    person: str,
    address: str,
    notifier: str,
    kinds: tuple[str, ...],
    level: str,
    quiet: str,
    every: int,
) -> None:
    """Tell a person by mail or webhook; the secret of a webhook is told once, on stdout alone."""
    wanted = {
        "person": person,
        "address": address,
        "notifier": notifier,
        "kinds": list(kinds),
        "level": level,
        "quiet": quiet,
        "every": every,
    }
    with teller.client() as client:
        made = client.post("/api/v1/notice-ways", wanted)
    if teller.json:
        teller.print_json(made)
        return
    if "secret" in made:
        teller.note("notices.command.add.secret", id=made["id"])
        sys.stdout.write(made["secret"] + "\n")
    else:
        teller.show(made, "notices.command.add.done", id=made["id"])


@command("test", help="notices.command.test")
@argument("way_id", metavar="ID")
@told
def test_way(teller: Teller, way_id: str) -> None:
    """Send a test by a way out, now."""
    with teller.client() as client:
        done = client.post(f"/api/v1/notice-ways/{quote(way_id, safe='')}/test")
    teller.show(done, "notices.notice.tested")


@command("delete", help="notices.command.delete")
@argument("way_id", metavar="ID")
@told
def drop_way(teller: Teller, way_id: str) -> None:
    """Take a way out away."""
    with teller.client() as client:
        done = client.delete(f"/api/v1/notice-ways/{quote(way_id, safe='')}")
    teller.show(done if done else {"deleted": way_id}, "notices.notice.way_gone")


def _state(one: dict[str, object]) -> str:
    problem = one["problem"]
    if not one["is_on"]:
        return say("notices.way.off")
    if isinstance(problem, dict):
        return str(problem["text"])
    return say("notices.way.well") if one["tried"] else say("notices.way.untried")


for _one in (list_ways, add_way, test_way, drop_way):
    notices.add_command(_one)

commands = [notices]
