"""``istmo peer``: found a region, invite and join, look at the links, carry files."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from istmo.kit.cli import Teller, argument, command, group, option, say, told


@group("peer", help="federation.command")
def peer() -> None:
    """The region and its members."""


@command("found", help="federation.command.found")
@argument("name")
@told
def found(teller: Teller, name: str) -> None:
    """Found a region with this node as its first member."""
    region = teller.client().post("/api/v1/peers/region", {"name": name})
    teller.show(region, "federation.command.found.done", name=region["name"])


@command("invite", help="federation.command.invite")
@argument("name")
@option("--fingerprint", default="", help="federation.command.invite.fingerprint")
@told
def invite(teller: Teller, name: str, fingerprint: str) -> None:
    """Make a one-time code for a node."""
    client = teller.client()
    invitation = client.post("/api/v1/peers/invitations", {"name": name, "fingerprint": fingerprint})
    if teller.json:
        teller.print_json(invitation)
        return
    teller.tell("federation.command.invite.done", name=name, expires=invitation["expires"])
    teller.line(invitation["code"])
    if not fingerprint:
        teller.tell("federation.command.invite.then_confirm")


@command("accept", help="federation.command.accept")
@argument("code", nargs=-1, required=True)
@told
def accept(teller: Teller, code: tuple[str, ...]) -> None:
    """Join a region with a one-time code."""
    client = teller.client()
    answer = client.post("/api/v1/peers/accept", {"code": " ".join(code)})
    if teller.json:
        teller.print_json(answer)
        return
    if answer["state"] == "joined":
        region = client.get("/api/v1/peers")["region"]
        teller.tell("federation.command.accept.joined", name=region["name"], n=len(region["members"]))
        return
    own = client.get("/api/v1/peers")["self"]["fingerprint"]
    teller.tell("federation.command.accept.pending", fingerprint=own)


@command("confirm", help="federation.command.confirm")
@argument("member")
@argument("fingerprint")
@told
def confirm(teller: Teller, member: str, fingerprint: str) -> None:
    """Let in a node whose fingerprint was compared."""
    region = teller.client().post(
        f"/api/v1/peers/{quote(member, safe='')}/confirm", {"fingerprint": fingerprint}
    )
    teller.show(region, "federation.command.confirm.done", n=len(region["members"]))


@command("list", help="federation.command.list")
@told
def list_peers(teller: Teller) -> None:
    """Members, links and reconciliation; who waits to be let in."""
    client = teller.client()
    found_ = client.get("/api/v1/peers")
    if teller.json:
        teller.print_json(found_)
        return
    if found_["region"]:
        teller.tell("federation.command.list.region", name=found_["region"]["name"])
    teller.rows(
        found_,
        [
            "federation.column.name",
            "federation.column.state",
            "federation.column.sent",
            "federation.column.received",
            "federation.column.refused",
            "federation.column.problem",
            "federation.column.member",
        ],
        [_row(one) for one in found_["items"]],
        "federation.command.list.empty",
    )
    waiting = [one for one in client.get("/api/v1/peers/invitations")["items"] if one["state"] == "pending"]
    for one in waiting:
        teller.tell(
            "federation.command.list.pending",
            name=one["name"],
            member=one["member"],
            fingerprint=one["fingerprint"],
        )


_LINK = {"connected": "connected", "connecting": "connecting", "catching_up": "connecting"}
"""What a link's state is called, as on the console's pages; every other state is ``away``."""


def _row(one: dict[str, Any]) -> tuple[Any, ...]:
    problem = one["problem"] or {}
    return (
        one["name"],
        say(f"console.link.{_LINK.get(one['state'], 'away')}"),
        f"{one['acknowledged']}/{one['sent']}",
        f"{one['received']}/{'?' if one['stated'] is None else one['stated']}",
        one["refused_there"] + one["refused_here"],
        problem.get("message", problem.get("code", "")),
        one["member"],
    )


@command("remove", help="federation.command.remove")
@argument("member")
@option("--yes", "is_sure", is_flag=True, help="cli.option.yes")
@told
def remove(teller: Teller, member: str, is_sure: bool) -> None:
    """Remove a member from the region, once that is confirmed."""
    if not is_sure:
        teller.confirm("federation.command.remove.confirm", member=member)
    region = teller.client().delete(f"/api/v1/peers/{quote(member, safe='')}")
    teller.show(region, "federation.command.remove.done", n=len(region["members"]))


@command("export", help="federation.command.export")
@argument("member")
@argument("file", type=click.Path(dir_okay=False, path_type=Path))
@told
def export(teller: Teller, member: str, file: Path) -> None:
    """Write a file to carry to a peer that no line reaches."""
    content = teller.client().raw(f"/api/v1/peers/{quote(member, safe='')}/frames")
    file.write_bytes(content)
    teller.show({"file": str(file), "bytes": len(content)}, "federation.command.export.done", file=str(file))


@command("import", help="federation.command.import")
@argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@told
def import_file(teller: Teller, file: Path) -> None:
    """Take in a file that a peer sent by hand."""
    answer = teller.client().post("/api/v1/peers/frames", file.read_bytes())
    teller.show(
        answer,
        "federation.command.import.done",
        name=answer["name"],
        n=answer["new"],
        refused=len(answer["refused"]),
    )
    if answer["problem"]:
        teller.note(
            "federation.command.import.problem",
            message=answer["problem"].get("message", answer["problem"]["code"]),
        )
        raise SystemExit(1)


for one in (found, invite, accept, confirm, list_peers, remove, export, import_file):
    peer.add_command(one)

commands = [peer]
