"""``istmo import``, ``istmo publish`` and ``istmo retract``."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from istmo.errors import InvalidInput
from istmo.intel.objects import RetractionReason
from istmo.kit.cli import Teller, argument, command, option, told
from istmo.kit.client import NodeAnswered, NodeClient

_RULES = (".yml", ".yaml")
_BUNDLES = (".json", ".stix", ".stix2")
_SHOWN = 30
"""Lines of each kind before the rest is only counted."""


@command("import", help="intel.command.import")
@argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@option("--tlp", default="", help="intel.command.import.tlp")
@told
def import_files(teller: Teller, files: tuple[Path, ...], tlp: str) -> None:
    """Keep STIX bundles and Sigma rules in this node."""
    results: list[Any] = []
    with teller.client() as client, teller.progress("intel.command.import.progress", len(files)) as advance:
        for file in files:
            for path, body in _contents(file):
                if path == "rules":
                    answer = client.post("/api/v1/rules/import", body)
                    results.append({"file": str(file), "kind": "rules", **answer})
                    if not teller.json:
                        problems = answer["problems"]
                        teller.tell(
                            "intel.command.import.rules",
                            file=file.name,
                            n=answer["accepted"],
                            refused=len(problems),
                        )
                        _tell_lines(teller, [(_place(one), one["text"]) for one in problems])
                else:
                    answer = client.post("/api/v1/objects/import", body, tlp=tlp or None)
                    results.append({"file": str(file), "kind": "objects", **answer})
                    if not teller.json:
                        _tell_counts(teller, "intel.command.import.objects", answer, file=file.name)
                        _tell_problems(teller, answer)
            advance(1)
    if teller.json:
        teller.print_json({"files": results})


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
            plan = client.post("/api/v1/objects/preview", body, audience=audience, tlp=tlp or None)
            _tell_plan(teller, plan)
            if not plan["counts"]["publish"]:
                teller.note("intel.command.publish.nothing")
                if teller.json:
                    teller.print_json(plan)
                _end(plan)
                return
            teller.confirm("intel.command.publish.confirm")
        done = client.post("/api/v1/objects/publish", body, **asked)
    if teller.json:
        teller.print_json(done)
    else:
        _tell_counts(teller, "intel.command.publish.done", done)
        _tell_problems(teller, done)
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


def _contents(file: Path) -> list[tuple[str, bytes]]:
    """What is to be imported: (``rules`` or ``objects``, bytes), told by looking at it, not by its name."""
    if file.is_dir():
        return _folder(file)
    if file.suffix.lower() in _RULES:
        return [("rules", file.read_bytes())]
    with file.open("rb") as opened:
        start = opened.read(4)
    return [("rules" if start.startswith(b"PK\x03\x04") else "objects", file.read_bytes())]


def _folder(folder: Path) -> list[tuple[str, bytes]]:
    """A folder: its rules as one zip, each bundle by itself. Links are not followed out of it."""
    found = sorted(one for one in folder.rglob("*") if one.is_file() and not one.is_symlink())
    rules = [one for one in found if one.suffix.lower() in _RULES]
    contents = [("objects", one.read_bytes()) for one in found if one.suffix.lower() in _BUNDLES]
    if rules:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for rule in rules:
                archive.writestr(rule.relative_to(folder).as_posix(), rule.read_bytes())
        contents.append(("rules", packed.getvalue()))
    if not contents:
        raise InvalidInput("intel.empty_folder", folder=str(folder))
    return contents


def _tell_plan(teller: Teller, plan: dict[str, Any]) -> None:
    """Who will see what, and why, as a person reads it: one line a member for equal objects."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for item in plan["items"]:
        if item["outcome"] == "publish":
            key = repr([(one["member"]["id"], one["allowed"], one["reasons"]) for one in item["sees"]])
            groups.setdefault(item["tlp"] + key, []).append(item)
    for items in groups.values():
        teller.note("intel.command.publish.group", n=len(items), tlp=items[0]["tlp"])
        for item in items[:_SHOWN]:
            teller.note("intel.command.publish.item", type=item["type"], name=item["name"])
        if len(items) > _SHOWN:
            teller.note("intel.command.more", n=len(items) - _SHOWN)
        for one in items[0]["sees"]:
            key = "intel.command.publish.sees" if one["allowed"] else "intel.command.publish.sees_not"
            why = " ".join(reason["text"] for reason in one["reasons"])
            teller.note(key, member=one["member"]["name"], why=why)
    _tell_problems(teller, plan)


def _end(plan: dict[str, Any]) -> None:
    """Exit status 1 where something was refused and nothing went out: a script must not take it for done."""
    counts = plan["counts"]
    if (counts["refused"] or plan["problems"]) and not counts["publish"] and not counts["already"]:
        raise SystemExit(1)


def _tell_problems(teller: Teller, plan: dict[str, Any]) -> None:
    refused = [item for item in plan["items"] if item["problem"]]
    lines = [(item["id"], item["problem"]["text"]) for item in refused]
    lines += [(f"{one['id'] or one['index']} {one['path']}".strip(), one["text"]) for one in plan["problems"]]
    _tell_lines(teller, lines)


def _tell_lines(teller: Teller, lines: list[tuple[str, str]]) -> None:
    for where, text in lines[:_SHOWN]:
        teller.note("intel.command.problem", where=where, text=text)
    if len(lines) > _SHOWN:
        teller.note("intel.command.more", n=len(lines) - _SHOWN)


def _place(problem: dict[str, Any]) -> str:
    """Where in an archive a rule stands that was left out."""
    where = [str(problem[name]) for name in ("file", "line") if problem.get(name)]
    return ":".join(where) or str(problem.get("rule", ""))


def _tell_counts(teller: Teller, key: str, plan: dict[str, Any], **params: Any) -> None:
    counts = plan["counts"]
    teller.tell(
        key,
        n=counts["publish"],
        already=counts["already"],
        refused=counts["refused"],
        **params,
    )
