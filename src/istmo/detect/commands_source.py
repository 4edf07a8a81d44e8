"""``istmo source``: who may send events to this node."""

from __future__ import annotations

from istmo.kit.cli import Teller, argument, command, group, option, told
from istmo.model import instants


@group("source", help="detect.command.source")
def source() -> None:
    """The sources of events."""


@command("add", help="detect.command.source.add")
@argument("name")
@option("--expires", default=None, help="detect.command.source.expires")
@told
def add(teller: Teller, name: str, expires: str | None) -> None:
    """A new source; its token is told this once."""
    with teller.client() as node:
        until = instants.format(instants.parse(expires)) if expires else None
        made = node.post("/api/v1/sources", {"name": name, "expires": until})
        intake = node.get("/api/v1/node")["worker"]["intake"]
    teller.show(made, "detect.source.added", name=name, secret=made["secret"], intake=intake)


@command("list", help="detect.command.source.list")
@told
def list_sources(teller: Teller) -> None:
    """Every source: what it has sent, what was refused, and when it last sent something."""
    with teller.client() as node:
        found = node.get("/api/v1/sources")
    heads = ("name", "id", "accepted", "refused", "last", "revoked")
    teller.rows(
        found,
        [f"detect.source.{head}" for head in heads],
        [
            (one["name"], one["id"], one["accepted"], one["refused"], one["last_event"], one["revoked"])
            for one in found["items"]
        ],
        "detect.source.none",
    )


@command("revoke", help="detect.command.source.revoke")
@argument("id")
@told
def revoke(teller: Teller, id: str) -> None:
    """Refuse what this source sends from now on."""
    with teller.client() as node:
        node.delete(f"/api/v1/sources/{id}")
    teller.show({"revoked": id}, "detect.source.revoke_done", id=id)


for one in (add, list_sources, revoke):
    source.add_command(one)

commands = [source]
