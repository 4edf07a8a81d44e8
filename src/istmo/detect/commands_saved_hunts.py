"""``istmo hunts``: questions about stored events that are kept, run by themselves, and handed on as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import click
import orjson
import yaml

from istmo.detect.commands_rule_hunt import tell_matches
from istmo.detect.commands_sql import tell_table
from istmo.errors import InvalidInput, NotFound, TooLarge
from istmo.kit.cli import Teller, argument, command, group, option, say, told
from istmo.kit.client import NodeClient
from istmo.kit.streams import standard_input
from istmo.kit.visible import printable_json

FORMAT: Final = "istmo-hunt"
"""The key of a file that holds a hunt; its value is the version of the form."""
VERSION: Final = 1
ALL: Final = "all"
"""What the node says of a window of everything."""
HANDED_ON: Final = ("name", "description", "kind", "text", "window", "every", "alert", "level")
LONGEST_FILE: Final = 1 << 20
LEVELS = click.Choice(["informational", "low", "medium", "high", "critical"])
LIMIT = click.IntRange(min=1)
NEVER: Final = "never"
STDIN: Final = "-"
ITSELF: Final = "system:detect"
OPERATOR: Final = "operator"


@group("hunts", help="detect.command.hunts")
def hunts() -> None:
    """The saved hunts of a node."""


@command("list", help="detect.command.hunts.list")
@told
def list_(teller: Teller) -> None:
    """Every hunt that one may see, how often it runs, and what its last run found."""
    with teller.client() as node:
        found = node.get("/api/v1/hunts")
    heads = ("name", "kind", "every", "owner", "last", "found", "state")
    teller.rows(
        found,
        [f"detect.hunts.{head}" for head in heads],
        [_row(one) for one in found["items"]],
        "detect.hunts.none",
    )


@command("save", help="detect.command.hunts.save")
@argument("name")
@option("--query", default="", help="detect.command.hunts.query")
@option("--rules", default="", metavar="FILE|all", help="detect.command.hunts.rules")
@option("--pattern", default="", metavar="[…]", help="detect.command.hunts.pattern")
@option("--sql", default="", metavar="SELECT…", help="detect.command.hunts.sql")
@option("--description", default="", help="detect.command.hunts.description")
@option("--window", default="24h", show_default=True, metavar="DURATION", help="detect.command.hunts.window")
@option("--every", default="", metavar="DURATION", help="detect.command.hunts.every")
@option("--alert", is_flag=True, help="detect.command.hunts.alert")
@option("--level", type=LEVELS, default="medium", show_default=True, help="detect.command.hunts.level")
@option("--shared", is_flag=True, help="detect.command.hunts.shared")
@told
def save(
    teller: Teller,
    name: str,
    query: str,
    rules: str,
    pattern: str,
    sql: str,
    description: str,
    window: str,
    every: str,
    alert: bool,
    level: str,
    shared: bool,
) -> None:
    """Keep a question under a name."""
    given = {"query": query, "rules": rules, "pattern": pattern, "sql": sql}
    kinds = [kind for kind, text in given.items() if text.strip()]
    if len(kinds) != 1:
        raise InvalidInput("detect.hunts_one_question")
    asked = {
        "name": name,
        "description": description,
        "kind": kinds[0],
        "text": _rules_text(rules) if rules else given[kinds[0]],
        "window": window,
        "every": every,
        "alert": alert,
        "level": level,
        "shared": shared,
    }
    with teller.client() as node:
        kept = node.post("/api/v1/hunts", asked)
    teller.show(kept, "detect.hunts.saved_every" if kept["every"] else "detect.hunts.saved", **_named(kept))


@command("show", help="detect.command.hunts.show")
@argument("name")
@told
def show(teller: Teller, name: str) -> None:
    """One hunt: what it asks, and its last runs."""
    with teller.client() as node:
        hunt = _find(node, name)
        runs = node.get(f"{_path(hunt)}/runs")
    if teller.json:
        teller.print_json({**hunt, "runs": runs["items"]})
        return
    teller.tell("detect.hunts.shown", **_named(hunt), owner=_who(hunt["owner"], hunt["owner_name"]))
    if hunt["description"]:
        teller.line(hunt["description"])
    for line in hunt["text"].splitlines():
        teller.line(f"  {line}")
    if hunt["window"] == ALL:
        teller.tell("detect.hunts.window_is_all")
    else:
        teller.tell("detect.hunts.window_is", window=hunt["window"])
    if hunt["due"]:
        teller.tell("detect.hunts.due_is", every=hunt["every"], due=hunt["due"])
    if hunt["failing"]:
        teller.tell("detect.hunts.fails", n=hunt["failures"])
    heads = ("begun", "by", "found", "problem")
    teller.rows(
        runs,
        [f"detect.hunts.{head}" for head in heads],
        [
            (
                one["begun"],
                _who(one["by"], one["name"]),
                one["found"],
                one["problem"]["text"] if one["problem"] else "",
            )
            for one in runs["items"]
        ],
        "detect.hunts.no_runs",
    )


@command("run", help="detect.command.hunts.run")
@argument("name")
@option("--limit", type=LIMIT, default=100, show_default=True, help="detect.command.hunts.limit")
@told
def run(teller: Teller, name: str, limit: int) -> None:
    """Ask a hunt now, over its window; status 1 where not everything was seen."""
    with teller.client() as node:
        hunt = _find(node, name)
        rows = node.stream_post(f"{_path(hunt)}/run", {"limit": limit})
        if hunt["kind"] == "rules":
            tell_matches(teller, rows)
            return
        if hunt["kind"] == "sql":
            tell_table(teller, rows)
            return
        shown, problem = 0, None
        for row in rows:
            if teller.json:
                teller.print_json_line(row)
            elif not row.get("done"):
                event = printable_json(orjson.dumps(row["event"]).decode())
                teller.line(f"{row['time']}  {row['host']}  {event}")
            shown += not row.get("done")
            problem = row["problem"] if row.get("done") else None
    if not teller.json:
        teller.note("detect.search.done", n=shown)
    if problem:
        teller.note("detect.search.cut_short", message=problem["text"])
        raise SystemExit(1)


@command("share", help="detect.command.hunts.share")
@argument("name")
@option("--off", is_flag=True, help="detect.command.hunts.share.off")
@told
def share(teller: Teller, name: str, off: bool) -> None:
    """Let the people of the node who may search events see and run a hunt, or no more."""
    with teller.client() as node:
        hunt = _change(node, _find(node, name), shared=not off)
    teller.show(hunt, "detect.hunts.unshared" if off else "detect.hunts.is_shared", **_named(hunt))


@command("schedule", help="detect.command.hunts.schedule")
@argument("name")
@argument("every", metavar="DURATION")
@option("--alert/--no-alert", default=None, help="detect.command.hunts.schedule.alert")
@told
def schedule(teller: Teller, name: str, every: str, alert: bool | None) -> None:
    """Let a hunt run by itself every so often; ``never`` ends that, also for who may only stop it."""
    with teller.client() as node:
        hunt = _find(node, name)
        if every == NEVER:
            hunt = node.post(f"{_path(hunt)}/switch", {"on": False})
        else:
            changes = {} if alert is None else {"alert": alert}
            hunt = _change(node, hunt, every=every, on=True, **changes)
    key = "detect.hunts.unscheduled" if every == NEVER else "detect.hunts.scheduled"
    teller.show(hunt, key, **_named(hunt))


@command("delete", help="detect.command.hunts.delete")
@argument("name")
@told
def delete(teller: Teller, name: str) -> None:
    """Forget a hunt."""
    with teller.client() as node:
        hunt = _find(node, name)
        node.delete(_path(hunt))
    teller.show({"deleted": hunt["id"]}, "detect.hunts.deleted", name=hunt["name"])


@command("export", help="detect.command.hunts.export")
@argument("name")
@argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), required=False)
@told
def export(teller: Teller, name: str, file: Path | None) -> None:
    """Write a hunt as a file (YAML, or JSON with ``--json`` or by its name) that another node can import."""
    with teller.client() as node:
        hunt = _find(node, name)
    handed = {FORMAT: VERSION, **{key: hunt[key] for key in HANDED_ON}}
    is_json = teller.json or (file is not None and file.suffix == ".json")
    if file is None:
        if is_json:
            teller.print_json(handed)
        else:
            for line in yaml_of(handed).splitlines():
                teller.line(line)
        return
    text = orjson.dumps(handed, option=orjson.OPT_INDENT_2).decode() + "\n" if is_json else yaml_of(handed)
    file.write_text(text, "utf-8")
    teller.show({"file": str(file)}, "detect.hunts.exported", name=hunt["name"], file=str(file))


@command("import", help="detect.command.hunts.import")
@argument("file", metavar="FILE")
@option("--name", default="", help="detect.command.hunts.import.name")
@told
def import_(teller: Teller, file: str, name: str) -> None:
    """Keep the hunt of a file as one's own, switched off."""
    given = read_hunt_file(_read(file), file)
    with teller.client() as node:
        kept = node.post("/api/v1/hunts", {**given, "name": name or given["name"], "on": False})
    teller.show(kept, "detect.hunts.imported", **_named(kept))


def read_hunt_file(data: bytes, file: str) -> dict[str, Any]:
    """What a file says of a hunt. Raises InvalidInput("detect.hunts_not_a_hunt")."""
    found = _document(data)
    if not isinstance(found, dict) or found.get(FORMAT) != VERSION:
        raise InvalidInput("detect.hunts_not_a_hunt", file=file)
    given = {key: found[key] for key in HANDED_ON if key in found}
    if not all(isinstance(one, bool if key == "alert" else str) for key, one in given.items()):
        raise InvalidInput("detect.hunts_not_a_hunt", file=file)
    if not {"name", "text"} <= given.keys():
        raise InvalidInput("detect.hunts_not_a_hunt", file=file)
    return given


def _document(data: bytes) -> Any:
    """JSON or YAML; None for anything else, and for what has more floors than the one of a hunt."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    collections = 0
    try:
        for event in yaml.parse(data, yaml.SafeLoader):
            collections += isinstance(event, yaml.CollectionStartEvent)
            if collections > 1 or isinstance(event, yaml.AliasEvent):
                return None
        return yaml.safe_load(data)
    except (yaml.YAMLError, ValueError):
        return None


def _read(file: str) -> bytes:
    try:
        if file == STDIN:
            data = standard_input().buffer.read(LONGEST_FILE + 1)
        else:
            with Path(file).open("rb") as opened:
                data = opened.read(LONGEST_FILE + 1)
    except OSError:
        raise NotFound("detect.no_such_file", file=file) from None
    if len(data) > LONGEST_FILE:
        raise TooLarge("detect.hunt_too_long", limit=LONGEST_FILE)
    return data


def _rules_text(rules: str) -> str:
    """The text of a hunt by rules: a file's, or ``all``, or ids of the node's rules with commas between."""
    if rules == "all":
        return rules
    if not Path(rules).exists() and "." not in rules and "/" not in rules:
        return "\n".join(one.strip() for one in rules.split(",") if one.strip())
    try:
        return _read(rules).decode()
    except UnicodeDecodeError:
        raise InvalidInput("detect.rule_hunt_not_text") from None


def _find(node: NodeClient, name: str) -> dict[str, Any]:
    """A hunt by its id or its name; one's own before another's."""
    items: list[dict[str, Any]] = node.get("/api/v1/hunts")["items"]
    by_id = [one for one in items if one["id"] == name]
    named = [one for one in items if one["name"] == name]
    found = by_id or [one for one in named if one["own"]] or named
    if not found:
        raise NotFound("detect.no_hunt", hunt=name[:100])
    if len(found) > 1:
        raise InvalidInput("detect.hunts_ambiguous", name=name, ids=", ".join(one["id"] for one in found[:5]))
    return found[0]


def _change(node: NodeClient, hunt: dict[str, Any], **changes: Any) -> dict[str, Any]:
    kept = {key: hunt[key] for key in (*HANDED_ON, "on", "shared", "version")}
    changed: dict[str, Any] = node.call("PUT", _path(hunt), {**kept, **changes}, {})
    return changed


def _path(hunt: dict[str, Any]) -> str:
    return f"/api/v1/hunts/{quote(hunt['id'], safe='')}"


def _named(hunt: dict[str, Any]) -> dict[str, Any]:
    return {"name": hunt["name"], "every": hunt["every"]}


def _row(hunt: dict[str, Any]) -> tuple[Any, ...]:
    last = hunt["last"]
    every = hunt["every"] if hunt["on"] else ""
    return (
        hunt["name"],
        say(f"detect.hunts.kind.{hunt['kind']}"),
        every,
        _who(hunt["owner"], hunt["owner_name"]),
        last["begun"] if last else "",
        last["found"] if last else "",
        say(f"detect.hunts.state.{_state(hunt)}"),
    )


def _who(told_as: str, name: str) -> str:
    if told_as == ITSELF:
        return say("console.hunt.by_itself")
    return say("detect.hunts.operator") if told_as == OPERATOR else name


def _state(hunt: dict[str, Any]) -> str:
    if hunt["failing"]:
        return "failing"
    if hunt["every"]:
        return "on" if hunt["on"] else "off"
    return "by_hand"


def yaml_of(handed: dict[str, Any]) -> str:
    """A hunt as YAML that people can read, wherever it is read back as it was."""
    text = yaml.safe_dump(handed, allow_unicode=True, sort_keys=False, width=100)
    if yaml.safe_load(text) == handed:
        return text
    return yaml.safe_dump(handed, sort_keys=False, width=100)  # line ends of other alphabets, escaped


for one in (list_, save, show, run, share, schedule, delete, export, import_):
    hunts.add_command(one)

commands = [hunts]
