"""``istmo ledger``: check, export and look at the log, and erase what must not stay.

It stands here and not in ``istmo.ledger`` because commands speak through ``kit``, which is above it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from istmo.errors import InvalidInput, NotFound
from istmo.kit.cli import Teller, argument, command, group, option, say, told, told_here
from istmo.ledger import keys as node_keys
from istmo.ledger import records
from istmo.ledger.entry import Entry, entry_of
from istmo.ledger.export import export_log
from istmo.ledger.report import Report
from istmo.ledger.stored import open_stored
from istmo.ledger.verify import verify_folder
from istmo.ledger.verify_node import verify_settings
from istmo.model import instants
from istmo.settings import load_settings


@group("ledger", help="ledger.help")
def ledger() -> None:
    """The group; its commands follow."""


@command("verify", help="ledger.help.verify")
@argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False)
@option("--fingerprint", help="ledger.option.fingerprint")
@told_here
def verify(teller: Teller, folder: Path | None, fingerprint: str | None) -> None:
    """Check this node, or an exported folder; exit status 1 when anything is wrong."""
    with teller.progress("ledger.progress.verify") as advance:
        if folder is not None:
            report = verify_folder(folder, expected=fingerprint, progress=advance)
        else:
            report = verify_settings(load_settings(teller.data), progress=advance)
    _tell_report(teller, report)
    if not report.is_good:
        raise SystemExit(1)


def _tell_report(teller: Teller, report: Report) -> None:
    if teller.json:
        teller.print_json(report.to_json())
        return
    for one in report.problems:
        teller.tell(f"ledger.problem.{one.code}", **one.params)
    if report.problems:
        teller.tell("ledger.verify.bad", n=len(report.problems))
        return
    teller.tell("ledger.verify.good", n=report.size, root=report.root, fingerprint=report.fingerprint)
    if report.received:
        teller.tell("ledger.verify.received", n=report.received)
    if report.erased:
        teller.tell("ledger.verify.erased", n=report.erased)
    if report.sealed:
        teller.note("ledger.verify.sealed", n=report.sealed)


@command("export", help="ledger.help.export")
@argument("folder", type=click.Path(file_okay=False, path_type=Path))
@told_here
def export(teller: Teller, folder: Path) -> None:
    """Write the node's own log as plain files."""
    settings = load_settings(teller.data)
    loaded = node_keys.load(settings.keys)
    with open_stored(settings) as store, store.read() as connection:
        total = records.last_sequence(connection, settings.member)
        with teller.progress("ledger.progress.export", total) as advance:
            size = export_log(connection, loaded, settings.member, folder, advance)
    result = {"folder": str(folder), "size": size, "fingerprint": loaded.fingerprint}
    teller.show(result, "ledger.export.done", n=size, folder=str(folder), fingerprint=loaded.fingerprint)


@command("show", help="ledger.help.show")
@argument("entry", required=False)
@told_here
def show(teller: Teller, entry: str | None) -> None:
    """The last entries of the log, or one entry by ``sequence`` or ``origin/sequence``."""
    settings = load_settings(teller.data)
    loaded = node_keys.load(settings.keys)
    with open_stored(settings) as store, store.read() as connection:
        if entry is None:
            last = records.last_sequence(connection, settings.member)
            rows = records.entries_of(connection, settings.member, max(0, last - 20), 20)
            entries = [_plain(entry_of(row, loaded)) for row in rows]
        else:
            origin, sequence = _place(entry, settings.member)
            row = records.find_entry(connection, origin, sequence)
            if row is None:
                raise NotFound("ledger.no_entry", origin=origin, sequence=sequence)
            found = _plain(entry_of(row, loaded))
            lines = [(say(f"ledger.field.{name}"), _line(value)) for name, value in found.items()]
            teller.rows(found, ("ledger.field.field", "ledger.field.value"), lines, "ledger.show.empty")
            return
    heads = [f"ledger.field.{name}" for name in ("sequence", "type", "created", "state", "audience")]
    table = [
        (one["sequence"], one["type"], one["created"], one["state"], len(one["audience"])) for one in entries
    ]
    teller.rows(entries, heads, table, "ledger.show.empty")


@command("erase", help="ledger.help.erase")
@argument("entry")
@option("--reason", required=True, help="ledger.option.reason")
@option("--yes", "is_sure", is_flag=True, help="ledger.option.yes")
@told
def erase(teller: Teller, entry: str, reason: str, is_sure: bool) -> None:
    """Erase the content of one entry, named as ``show`` names it, on the running node."""
    with teller.client() as client:
        own = client.get("/api/v1/node")
        origin, sequence = _place(entry, own["member"])
        if not is_sure:
            teller.note("ledger.erase.remains")
            teller.confirm("ledger.erase.confirm", sequence=sequence, origin=origin)
        path = f"/api/v1/ledger/entries/{quote(origin, safe='')}/{sequence}/erase"
        done = client.post(path, {"reason": reason})
    left = {name: done[name] for name in ("sequence", "record", "commitment")}
    teller.show(done, "ledger.erase.done", **left)


def _place(text: str, member: str) -> tuple[str, int]:
    origin, _, number = text.rpartition("/")
    if not number.isascii() or not number.isdigit():
        raise InvalidInput("ledger.bad_place", text=text)
    return origin or member, int(number)


def _line(value: Any) -> str:
    return "\n".join(value) if isinstance(value, list) else "" if value is None else str(value)


def _plain(entry: Entry) -> dict[str, Any]:
    return {
        "origin": entry.origin,
        "sequence": entry.sequence,
        "type": entry.type,
        "created": instants.format(entry.header.created),
        "received": instants.format(entry.received),
        "state": entry.state,
        "refusal": entry.refusal,
        "audience": list(entry.header.audience),
        "markings": list(entry.header.markings),
        "seal": entry.header.seal,
        "commitment": entry.commitment.hex(),
    }


for _one in (verify, export, show, erase):
    ledger.add_command(_one)

commands = [ledger]
