"""``istmo lists``: what ``%name%`` stands for in the rules of a node."""

from __future__ import annotations

from typing import TextIO
from urllib.parse import quote

import click

from istmo.kit.cli import Teller, argument, command, group, told

READS = click.File("r", encoding="utf-8")


@group("lists", help="detect.command.lists")
def lists() -> None:
    """The value lists of a node."""


@command("show", help="detect.command.lists.show")
@told
def show(teller: Teller) -> None:
    """Every list: how many values, and when it changed last."""
    with teller.client() as node:
        found = node.get("/api/v1/value-lists")
    heads = ("name", "count", "changed")
    teller.rows(
        found,
        [f"detect.lists.{head}" for head in heads],
        [(one["name"], len(one["values"]), one["changed"]) for one in found["items"]],
        "detect.lists.none",
    )


@command("put", help="detect.command.lists.put")
@argument("name")
@argument("file", metavar="FILE", type=READS)
@told
def put(teller: Teller, name: str, file: TextIO) -> None:
    """A new list, or the new values of one: one value a line."""
    values = [line.strip() for line in file if line.strip()]
    with teller.client() as node:
        kept = node.call("PUT", f"/api/v1/value-lists/{quote(name, safe='')}", {"values": values}, {})
    teller.show(kept, "detect.lists.kept", name=kept["name"], n=len(kept["values"]))


@command("delete", help="detect.command.lists.delete")
@argument("name")
@told
def delete(teller: Teller, name: str) -> None:
    """Forget a list."""
    with teller.client() as node:
        node.delete(f"/api/v1/value-lists/{quote(name, safe='')}")
    teller.show({"deleted": name}, "detect.lists.deleted", name=name)


for one in (show, put, delete):
    lists.add_command(one)

commands = [lists]
