"""``istmo source``: who may send events to this node, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from istmo.clock import SystemClock
from istmo.detect.commands_kept import keep
from istmo.detect.explaining import lag_text
from istmo.detect.service.source_settings import LONGEST_PEM
from istmo.errors import InvalidInput, NotFound
from istmo.kit.cli import Teller, argument, command, group, option, say, told
from istmo.kit.client import NodeClient
from istmo.model import durations, instants

F = TypeVar("F", bound=Callable[..., Any])


@group("source", help="detect.command.source")
def source() -> None:
    """The sources of events."""


def _settings_options(function: F) -> F:
    """What both ``add`` and ``set`` take."""
    for name, many, help in (
        ("--silent-after", False, "detect.command.source.silent_after"),
        ("--rate", False, "detect.command.source.rate"),
        ("--zone", False, "detect.command.source.zone"),
        ("--format", False, "detect.command.source.format"),
        ("--certificate", False, "detect.command.source.certificate"),
        ("--network", True, "detect.command.source.network"),
    ):
        function = option(name, multiple=many, default=None, help=help)(function)
    return function


@command("add", help="detect.command.source.add")
@argument("name")
@option("--expires", default=None, help="detect.command.source.expires")
@_settings_options
@told
def add(teller: Teller, name: str, expires: str | None, **given: Any) -> None:
    """A new source; its token is told this once."""
    body = {"name": name, "expires": _until(expires), **_settings(given)}
    with teller.client() as node:
        made = node.post("/api/v1/sources", body)
        intake = node.get("/api/v1/node")["worker"]["intake"]
    teller.show(made, "detect.source.added", name=name, secret=made["secret"], intake=intake)


@command("set", help="detect.command.source.set")
@argument("source", metavar="SOURCE")
@_settings_options
@option("--keep-days", default=None, type=int, help="detect.command.source.keep_days")
@option("--budget", default=None, help="detect.command.source.budget")
@told
def set_(teller: Teller, source: str, keep_days: int | None, budget: str | None, **given: Any) -> None:
    """Give settings of a source anew, and how long its events are kept."""
    changes = _settings(given)
    says_how_long = keep_days is not None or budget is not None
    if not changes and not says_how_long:
        raise InvalidInput("detect.source_nothing_given")
    with teller.client() as node:
        id = _named(node, source)
        if says_how_long:
            keep(node, id, keep_days, budget)
        found = node.post(f"/api/v1/sources/{id}", changes) if changes else node.get(f"/api/v1/sources/{id}")
    _show(teller, found)


@command("show", help="detect.command.source.show")
@argument("source", metavar="SOURCE")
@told
def show(teller: Teller, source: str) -> None:
    """One source: its settings, what it sent, what was refused and why."""
    with teller.client() as node:
        found = node.get(f"/api/v1/sources/{_named(node, source)}")
    _show(teller, found)


@command("list", help="detect.command.source.list")
@told
def list_sources(teller: Teller) -> None:
    """Every source: how it does, how much it sends, what was refused, and when it last sent something."""
    with teller.client() as node:
        found = node.get("/api/v1/sources")
    heads = ("name", "state", "rate", "lag", "last", "accepted", "unreadable", "refused", "id")
    teller.rows(
        found,
        [f"detect.source.{head}" for head in heads],
        [
            (
                one["name"],
                say(f"detect.source.state.{one['state']}"),
                f"{one['rate']:g}/s",
                _lag(one["lag"]),
                one["last_event"],
                one["accepted"],
                f"{one['unreadable']} ({one['unreadable_share']:.1%})",
                one["refused"],
                one["id"],
            )
            for one in found["items"]
        ],
        "detect.source.none",
    )


@command("revoke", help="detect.command.source.revoke")
@argument("source", metavar="SOURCE")
@told
def revoke(teller: Teller, source: str) -> None:
    """Refuse what this source sends from now on."""
    with teller.client() as node:
        id = _named(node, source)
        node.delete(f"/api/v1/sources/{id}")
    teller.show({"revoked": id}, "detect.source.revoke_done", id=id)


# --- what is given ---------------------------------------------------------------------------


def _until(text: str | None) -> str | None:
    """An instant, or as long from now as a length of time says."""
    if not text:
        return None
    seconds = durations.parse(text)
    if seconds is not None:
        return instants.format(SystemClock().now() + timedelta(seconds=seconds))
    return instants.format(instants.parse(text))


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    found = {
        "networks": list(given["network"]) or None,
        "certificate": _certificate(given["certificate"]),
        "form": given["format"],
        "zone": given["zone"],
        "rate": given["rate"],
        "silent_after": given["silent_after"],
    }
    return {name: value for name, value in found.items() if value is not None}


def _certificate(text: str | None) -> str | None:
    """A fingerprint, or what a PEM file holds."""
    if not text or not (path := Path(text)).is_file():
        return text
    with path.open("rb") as file:
        return file.read(LONGEST_PEM).decode("ascii", "replace")


def _named(node: NodeClient, text: str) -> str:
    """The id of a source that is named by its id or by its name; of the same name, one that may send."""
    items = node.get("/api/v1/sources")["items"]
    if any(one["id"] == text for one in items):
        return text
    called = [one for one in items if one["name"].casefold() == " ".join(text.split()).casefold()]
    called.sort(key=lambda one: one["revoked"] is not None)
    if not called:
        raise NotFound("detect.unknown_source", source=text[:80])
    id: str = called[0]["id"]
    return id


# --- what is shown ---------------------------------------------------------------------------


def _show(teller: Teller, found: dict[str, Any]) -> None:
    rows = [(say(f"detect.source.{name}"), value) for name, value in _facts(found)]
    teller.rows(found, ("detect.source.fact", "detect.source.value"), rows, "detect.source.none")
    if not teller.json:
        for reason in found["reasons"]:
            words = {"n": reason["count"], "text": reason["text"], "remedy": reason["remedy"]}
            teller.tell("detect.source.reason", **words)


def _facts(found: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    settings, hour = found["settings"], found["last_hour"]
    yield from ((name, found[name]) for name in ("name", "id"))
    yield "state", say(f"detect.source.state.{found['state']}")
    if found["expires"]:
        yield "expires", found["expires"]
    yield "rate", f"{found['rate']:g}/s"
    yield "lag", _lag(found["lag"])
    yield "first", found["first_event"]
    yield "last", found["last_event"]
    for name in ("accepted", "doubled", "unreadable", "refused"):
        yield name, found[name]
    counts = {name: hour[name] for name in ("accepted", "unreadable", "refused")}
    yield "hour", say("detect.source.hour.told", **counts)
    silent_after = settings["silent_after"]
    for name, value in (
        ("networks", ", ".join(settings["networks"])),
        ("certificate", settings["certificate"]),
        ("form", settings["form"]),
        ("zone", settings["zone"]),
        ("bound", f"{settings['rate']}/s" if settings["rate"] else ""),
        ("silent_after", durations.format(silent_after) if silent_after else ""),
    ):
        yield name, value or "—"


def _lag(seconds: float | None) -> str:
    return "—" if seconds is None else lag_text(seconds)


for one in (add, set_, show, list_sources, revoke):
    source.add_command(one)

commands = [source]
