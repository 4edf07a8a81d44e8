"""``istmo case``: cases from the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from istmo.kit.cli import Command, Teller, argument, group, option, say, told
from istmo.kit.cli import command as kit_command
from istmo.kit.streams import standard_input

PATH = "/api/v1/cases"
LIMIT = click.IntRange(1, 200)


@group("case", help="respond.command.case")
def case() -> None:
    """Cases."""


def _command(name: str, key: str) -> Callable[[Callable[..., Any]], Command]:
    def register(function: Callable[..., Any]) -> Command:
        made = kit_command(name, help=key)(function)
        case.add_command(made)
        return made

    return register


@_command("list", "respond.command.list")
@option("--q", default="", help="respond.command.list.q")
@option("--status", default="", help="respond.command.list.status")
@option("--severity", default="", help="respond.command.list.severity")
@option("--limit", type=LIMIT, default=50, show_default=True, help="respond.command.list.limit")
@told
def list_cases(teller: Teller, q: str, status: str, severity: str, limit: int) -> None:
    """A table of cases."""
    answer = teller.client().get(
        PATH, q=q or None, status=status or None, severity=severity or None, limit=limit
    )
    heads = [f"respond.column.{name}" for name in ("id", "title", "status", "severity", "marking", "entries")]
    rows = [
        (
            one["id"],
            one["title"] or say("respond.invitation"),
            say(f"console.case.status.{one['status']}"),
            say(f"kit.level.{one['severity']}"),
            one["tlp"],
            one["entries"],
        )
        for one in answer["items"]
    ]
    teller.rows(answer, heads, rows, "respond.no_cases")


@_command("show", "respond.command.show")
@argument("case_id", metavar="ID")
@told
def show(teller: Teller, case_id: str) -> None:
    """One case with its timeline."""
    found = teller.client().get(f"{PATH}/{case_id}")
    if teller.json:
        teller.print_json(found)
        return
    teller.tell(
        "respond.command.show.head",
        title=found["title"],
        status=say(f"console.case.status.{found['status']['value']}"),
        severity=say(f"kit.level.{found['severity']['value']}"),
        tlp=found["tlp"],
        members=[one["member"] for one in found["participants"]],
    )
    if found["is_disputed"]:
        teller.tell("respond.disputed")
    heads = [f"respond.column.{name}" for name in ("when", "who", "kind", "what")]
    rows = [(one["created"], _author(one), _kind(one), _gist(one)) for one in found["timeline"]]
    teller.rows(found, heads, rows, "respond.no_entries")
    if found["pending"]:
        teller.note("respond.pending", n=len(found["pending"]))


@_command("open", "respond.command.open")
@option("--title", default="", help="respond.command.open.title")
@option("--severity", default="", help="respond.command.open.severity")
@option("--tlp", default="TLP:AMBER", show_default=True, help="respond.command.open.tlp")
@option("--note", default="", help="respond.command.open.note")
@option("--alert", default="", help="respond.command.open.alert")
@told
def open_case(teller: Teller, title: str, severity: str, tlp: str, note: str, alert: str) -> None:
    """Open a case."""
    wanted = {"title": title, "severity": severity, "tlp": tlp, "note": note, "alert": alert}
    found = teller.client().post(PATH, wanted)
    teller.show(found, "respond.command.open.done", id=found["id"], title=found["title"])


@_command("note", "respond.command.note")
@argument("case_id", metavar="ID")
@argument("text")
@told
def note(teller: Teller, case_id: str, text: str) -> None:
    """Add a note; ``-`` reads it from standard input."""
    said = standard_input().read() if text == "-" else text
    found = teller.client().post(f"{PATH}/{case_id}/entries", {"kind": "note", "text": said})
    teller.show(found, "respond.command.note.done", members=found["readers"])


@_command("share", "respond.command.share")
@argument("case_id", metavar="ID")
@argument("member")
@option("--leave-out", multiple=True, help="respond.command.share.leave_out")
@option("--preview", is_flag=True, help="respond.command.share.preview")
@option("--seen", default="", help="respond.command.share.seen")
@told
def share(
    teller: Teller, case_id: str, member: str, leave_out: tuple[str, ...], preview: bool, seen: str
) -> None:
    """Share a case, or only say what sharing would send."""
    wanted = {"member": member, "leave_out": list(leave_out), "seen": seen or None}
    path = f"{PATH}/{case_id}/share"
    if not preview:
        teller.show(teller.client().post(path, wanted), "respond.command.share.done", member=member)
        return
    plan = teller.client().post(path, wanted, preview="1")
    teller.show(plan, "respond.command.share.plan", n=len(plan["sends"]), member=member)
    if teller.json:
        return
    heads = [f"respond.column.{name}" for name in ("kind", "what", "marking", "when", "who")]
    rows = [
        (
            say("respond.share.new", kind=_kind(one)) if one["id"] in plan["new"] else _kind(one),
            _gist(one)[:120],
            one["tlp"],
            one["created"],
            _author(one),
        )
        for one in plan["sends"]
    ]
    teller.rows(plan, heads, rows, "respond.no_entries")
    teller.tell("respond.command.share.confirm", seen=plan["seen"])
    for one in plan["refused"]:
        why = " ".join(say(f"policy.{reason['code']}", **reason["params"]) for reason in one["reasons"])
        teller.tell("respond.command.share.refused", entry=one["entry"], title=one["title"], why=why)


def _author(entry: dict[str, Any]) -> str:
    name = entry["author"]["name"]
    return f"{name} ({entry['author']['node']})" if name else str(entry["author"]["node"])


def _kind(entry: dict[str, Any]) -> str:
    return say(f"respond.kind.{entry['kind']}")


def _gist(entry: dict[str, Any]) -> str:
    for field in ("text", "title", "name", "object", "member", "task"):
        if entry.get(field):
            return str(entry[field])
    if entry["kind"] == "withheld":
        return str(entry["tlp"])
    if entry["kind"] == "status":
        return say(f"console.case.status.{entry['value']}")
    if entry["kind"] == "severity":
        return say(f"kit.level.{entry['value']}")
    owner = entry.get("owner")
    return (owner["name"] or owner["node"]) if owner else ""


commands = [case]
