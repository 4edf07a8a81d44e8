"""``istmo publish`` and ``istmo retract``; ``istmo import`` has a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from istmo.intel.commands_import import import_files
from istmo.intel.commands_words import SHOWN, is_refused, tell_counts, tell_problems
from istmo.intel.objects import RetractionReason
from istmo.kit.cli import Teller, argument, command, option, told
from istmo.kit.client import NodeAnswered, NodeClient


@command("publish", help="intel.command.publish")
@argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@option("--audience", required=True, help="intel.command.publish.audience")
@option("--tlp", default="", help="intel.command.publish.tlp")
@option("--purpose", default="", help="intel.command.publish.purpose")
@option("--yes", "is_sure", is_flag=True, help="cli.option.yes")
@told
def publish(teller: Teller, file: Path, audience: str, tlp: str, purpose: str, is_sure: bool) -> None:
    """Show who will see a bundle and why; then, confirmed, publish it."""
    body = file.read_bytes()
    asked = {"audience": audience, "tlp": tlp or None, "purpose": purpose or None}
    with teller.client() as client:
        if not is_sure:
            plan = client.post_long("/api/v1/objects/preview", body, audience=audience, tlp=tlp or None)
            _tell_plan(teller, plan)
            if not plan["counts"]["publish"]:
                teller.note("intel.command.publish.nothing")
                if teller.json:
                    teller.print_json(plan)
                _end(plan)
                return
            teller.confirm("intel.command.publish.confirm")
        done = client.post_long("/api/v1/objects/publish", body, **asked)
    if teller.json:
        teller.print_json(done)
    else:
        tell_counts(teller, "intel.command.publish.done", done)
        tell_problems(teller, done)
    _end(done)


@command("retract", help="intel.command.retract")
@argument("id")
@option(
    "--reason",
    required=True,
    type=click.Choice([str(one) for one in RetractionReason]),
    help="intel.command.retract.reason",
)
@option("--note", default="", help="intel.command.retract.note")
@option("--yes", "is_sure", is_flag=True, help="cli.option.yes")
@told
def retract(teller: Teller, id: str, reason: str, note: str, is_sure: bool) -> None:
    """Take back an object that this node has published, once that is confirmed."""
    path = f"/api/v1/objects/{quote(id, safe='')}"
    with teller.client() as client:
        if not is_sure:
            teller.confirm("intel.command.retract.confirm", name=_name(client, path) or id)
        answer = client.post(f"{path}/retract", {"reason": reason, "note": note})
    teller.show(answer, "intel.command.retract.done", id=id, n=len(answer["recipients"]))


commands = [import_files, publish, retract]


def _name(client: NodeClient, path: str) -> str:
    """What an object is called; nothing where the asker may retract and not read."""
    try:
        return str(client.get(path)["name"])
    except NodeAnswered as answered:
        if answered.params["status"] != 403:
            raise
        return ""


def _tell_plan(teller: Teller, plan: dict[str, Any]) -> None:
    """Who will see what, and why, as a person reads it: one line a member for equal objects."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for item in plan["items"]:
        if item["outcome"] == "publish":
            key = repr([(one["member"]["id"], one["allowed"], one["reasons"]) for one in item["sees"]])
            groups.setdefault(item["tlp"] + key, []).append(item)
    for items in groups.values():
        teller.note("intel.command.publish.group", n=len(items), tlp=items[0]["tlp"])
        for item in items[:SHOWN]:
            teller.note("intel.command.publish.item", type=item["type"], name=item["name"])
        if len(items) > SHOWN:
            teller.note("intel.command.more", n=len(items) - SHOWN)
        for one in items[0]["sees"]:
            key = "intel.command.publish.sees" if one["allowed"] else "intel.command.publish.sees_not"
            why = " ".join(reason["text"] for reason in one["reasons"])
            teller.note(key, member=one["member"]["name"], why=why)
    tell_problems(teller, plan)


def _end(plan: dict[str, Any]) -> None:
    """Exit status 1 where anything was refused, as with ``import``: a script must not take it for done."""
    if is_refused(plan):
        raise SystemExit(1)
