"""``istmo warning-lists``: values too common to be alarmed by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from istmo.errors import InvalidInput, IstmoError
from istmo.kit.cli import Teller, argument, command, group, option, told, told_of


@group("warning-lists", help="detect.command.warning_lists")
def warning_lists() -> None:
    """The warning lists of a node."""


@command("show", help="detect.command.warning_lists.show")
@told
def show(teller: Teller) -> None:
    """Every list: of which type, how many entries, since when."""
    with teller.client() as node:
        found = node.get("/api/v1/warning-lists")
    heads = ("name", "type", "entries", "changed")
    teller.rows(
        found,
        [f"detect.warning_lists.{head}" for head in heads],
        [tuple(one[head] for head in heads) for one in found["items"]],
        "detect.warning_lists.none",
    )


@command("put", help="detect.command.warning_lists.put")
@argument("paths", metavar="PATH…", nargs=-1, type=click.Path(path_type=Path, exists=True))
@option("--reserved", is_flag=True, help="detect.command.warning_lists.reserved")
@told
def put(teller: Teller, paths: tuple[Path, ...], reserved: bool) -> None:
    """Files in MISP's format, or folders of them; one that cannot be used costs no other."""
    files = [file for path in paths for file in _files(path)]
    if not files and not reserved:
        raise InvalidInput("detect.no_warning_files")
    kept: list[dict[str, Any]] = []
    refused = 0
    with teller.client() as node:
        if reserved:
            kept += node.call("PUT", "/api/v1/warning-lists/reserved", None, {})["items"]
        for file in files:
            try:
                kept.append(node.post_long("/api/v1/warning-lists", file.read_bytes()))
            except IstmoError as error:
                if error.status in (401, 403) or error.status >= 500:
                    raise
                refused += 1
                teller.note("detect.warning_lists.refused", file=str(file), message=told_of(error)["message"])
    teller.rows(
        {"items": kept, "refused": refused},
        [f"detect.warning_lists.{head}" for head in ("name", "type", "entries", "unusable")],
        [(one["name"], one["type"], one["entries"], one["unusable"]) for one in kept],
        "detect.warning_lists.none_kept",
    )
    if refused:
        raise SystemExit(1)


@command("delete", help="detect.command.warning_lists.delete")
@argument("name")
@told
def delete(teller: Teller, name: str) -> None:
    """Forget a list."""
    with teller.client() as node:
        node.call("DELETE", "/api/v1/warning-lists", None, {"name": name})
    teller.show({"deleted": name}, "detect.warning_lists.deleted", name=name)


def _files(path: Path) -> Iterator[Path]:
    """The lists below a folder: MISP's own stand in ``lists/NAME/list.json``."""
    if path.is_dir():
        yield from sorted(one for one in path.rglob("*.json") if one.is_file())
    else:
        yield path


for one in (show, put, delete):
    warning_lists.add_command(one)

commands = [warning_lists]
