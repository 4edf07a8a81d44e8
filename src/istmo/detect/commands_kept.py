"""``istmo events``: what stored events take, how long they are kept, and how they are sealed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import click

from istmo.detect.eventstore.sealing import make_key_file
from istmo.errors import InvalidInput
from istmo.kit.cli import Command, Group, Teller, argument, told, told_apart
from istmo.kit.client import NodeClient

_SIZE = re.compile(r"(\d{1,12})(?:\.(\d))?\s*(|[KMGT])I?B?", re.IGNORECASE)
_UNITS: Final = {"": 1, "K": 1_000, "M": 1_000_000, "G": 1_000_000_000, "T": 1_000_000_000_000}


@click.group(
    "events",
    cls=Group,
    help="detect.command.events",
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
)
@told
def events(teller: Teller) -> None:
    """The oldest event, what each source takes, for how many days there is room, and how they are sealed."""
    if click.get_current_context().invoked_subcommand is not None:
        return
    with teller.client() as node:
        found = node.get("/api/v1/events/kept")
    _tell(teller, found)


@events.command("key", cls=Command, help="detect.command.events.key")
@argument("file", type=click.Path(path_type=Path))
@told_apart
def key(teller: Teller, file: Path) -> None:
    """Make a key file."""
    made = make_key_file(file)
    teller.show({"file": str(file), "key": made}, "detect.seal.key_made", file=str(file), key=made)
    teller.note("detect.seal.key_kept")


def keep(node: NodeClient, source: str, days: int | None, budget: str | None) -> None:
    """Say how long, and in how much room, a source's events are kept; what is not given stays as it is."""
    room = None if budget is None else read_size(budget)
    kept = node.get("/api/v1/events/kept")["sources"]
    before = next(one for one in kept if one["id"] == source)
    wanted = {
        "keep_days": before["keep_days"] if days is None else days,
        "budget_bytes": before["budget_bytes"] if room is None else room,
    }
    node.call("PUT", f"/api/v1/sources/{source}/kept", wanted, {})


def read_size(text: str) -> int:
    """``20GB`` in bytes, by thousands. Raises InvalidInput("detect.keep_budget")."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise InvalidInput("detect.keep_budget")
    unit = _UNITS[found[3].upper()]
    return int(found[1]) * unit + int(found[2] or 0) * unit // 10


def _tell(teller: Teller, found: dict[str, Any]) -> None:
    heads = ("name", "id", "bytes", "days", "budget")
    teller.rows(
        found,
        [f"detect.kept.{head}" for head in heads],
        [
            (
                one["name"] or "–",
                one["id"],
                _size(one["bytes"]),
                one["keep_days"] or found["keep_days"] or "–",
                _size(one["budget_bytes"]) if one["budget_bytes"] else "–",
            )
            for one in found["sources"]
        ],
        "detect.kept.none",
    )
    if not teller.json and found["oldest"]:
        key = "detect.kept.summary" if found["days_left"] is not None else "detect.kept.summary_new"
        days = found["days_left"]
        teller.tell(key, oldest=found["oldest"], size=_size(found["bytes"]), n=days or 0)
    if not teller.json and found["sealed"]:
        _tell_sealed(teller, found["sealed"])


def _tell_sealed(teller: Teller, sealed: dict[str, Any]) -> None:
    sizes = {name: _size(sealed[f"{name}_bytes"]) for name in ("sealed", "older_key", "plain")}
    teller.tell("detect.seal.state" if sealed["key"] else "detect.seal.state_off", key=sealed["key"], **sizes)
    if sealed["shut"]:
        teller.tell("detect.seal.shut", n=sealed["shut"])


def _size(number: int) -> str:
    for unit in ("TB", "GB", "MB", "kB"):
        size = {"TB": 1e12, "GB": 1e9, "MB": 1e6, "kB": 1e3}[unit]
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} B"


commands = [events]
