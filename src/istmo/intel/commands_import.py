"""``istmo import``: STIX bundles and Sigma rules from files and folders into this node.

Each file stands for itself: one that cannot be used costs the others nothing, and has a result of its own.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from istmo.errors import InvalidInput, IstmoError
from istmo.intel.commands_words import is_refused, tell_counts, tell_lines, tell_problems
from istmo.kit.cli import Teller, argument, command, machine_refused, option, told, told_of
from istmo.kit.client import NodeClient
from istmo.kit.visible import printable

_RULES = (".yml", ".yaml")
_BUNDLES = (".json", ".stix", ".stix2")
_UNNAMED = "rules"
"""What the node calls an upload of rules that is one file: it was sent without its name."""

Result = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """What is sent at once: a file, or all the rules of a folder. ``kind`` is ``rules`` or ``objects``."""

    file: str
    kind: str
    read: Callable[[], bytes]


@command("import", help="intel.command.import")
@argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@option("--tlp", default="", help="intel.command.import.tlp")
@told
def import_files(teller: Teller, files: tuple[Path, ...], tlp: str) -> None:
    """Keep STIX bundles and Sigma rules in this node; status 1 where anything was refused or failed."""
    results: list[Result] = []
    with teller.client() as client:
        for part in (part for file in files for part in _parts(file)):
            with teller.working("intel.command.import.progress", file=part.file):
                results.append(_sent(client, part, tlp))
            if not teller.json:
                _tell(teller, results[-1])
    if teller.json:
        teller.print_json({"files": results})
    if not all(_is_whole(one) for one in results):
        raise SystemExit(1)


def _sent(client: NodeClient, part: Part, tlp: str) -> Result:
    """The node's answer, or ``error``."""
    result: Result = {"file": part.file, "kind": part.kind}
    try:
        body = part.read()
        if part.kind == "objects":
            return {**result, **client.post_long("/api/v1/objects/import", body, tlp=tlp or None)}
        answer = client.post_long("/api/v1/rules/import", body)
    except IstmoError as error:
        return result | {"error": told_of(error)}
    except OSError as error:
        return result | {"error": told_of(machine_refused(error))}
    problems = [
        one | {"file": part.file if one["file"] == _UNNAMED else one["file"]} for one in answer["problems"]
    ]
    return {**result, **answer, "problems": problems}


def _is_whole(result: Result) -> bool:
    """Whether all that the file holds is in the node.

    A release of Sigma rules always has some of a kind that no node serves; those alone are no failure, and
    neither are rules that are kept and wait for others.
    """
    if "error" in result:
        return False
    if result["kind"] == "objects":
        return not is_refused(result)
    problems = result["problems"]
    is_bearable = all(one.get("not_served") or one.get("kept") for one in problems)
    return is_bearable and bool(result["accepted"] or not problems)


def _tell(teller: Teller, result: Result) -> None:
    if "error" in result:
        error = result["error"]
        tell_lines(teller, [(result["file"], f"{error['message']} {error['remedy']}".strip())])
    elif result["kind"] == "rules":
        problems = result["problems"]
        teller.tell(
            "intel.command.import.rules", file=result["file"], n=result["accepted"], refused=len(problems)
        )
        tell_lines(teller, [(_place(one), one["text"]) for one in problems])
    else:
        tell_counts(teller, "intel.command.import.objects", result, file=result["file"])
        if result["unmarked"]:
            teller.tell("intel.command.import.unmarked", n=result["unmarked"])
        tell_problems(teller, result)


def _place(problem: dict[str, Any]) -> str:
    """Where a rule stands that was left out."""
    where = [str(problem[name]) for name in ("file", "line") if problem.get(name)]
    return ":".join(where) or str(problem.get("rule", ""))


# --- what there is to send -------------------------------------------------------------------


def _parts(path: Path) -> Iterator[Part]:
    """What a file or a folder holds; a bundle or rules is told by looking at the file, not by its name."""
    if path.is_dir():
        yield from _folder(path)
    else:
        yield _part(path, "rules" if _has_rules(path) else "objects")


def _part(path: Path, kind: str) -> Part:
    # a name that is no UTF-8 would fit into no JSON document
    return Part(printable(str(path)), kind, path.read_bytes)


def _has_rules(path: Path) -> bool:
    if path.suffix.lower() in _RULES:
        return True
    try:
        with path.open("rb") as opened:
            return opened.read(4) == b"PK\x03\x04"
    except OSError:
        return False  # why, is told when it is read


def _folder(folder: Path) -> Iterator[Part]:
    """A folder: each bundle by itself, its rules as one zip. Links are not followed out of it."""
    found = sorted(one for one in folder.rglob("*") if one.is_file() and not one.is_symlink())
    bundles = [one for one in found if one.suffix.lower() in _BUNDLES]
    rules = [one for one in found if one.suffix.lower() in _RULES]
    readable = [one for one in rules if os.access(one, os.R_OK)]
    for one in bundles:
        yield _part(one, "objects")
    for one in rules:
        if one not in readable:
            yield _part(one, "rules")  # to be told by itself: it must not cost the others
    if readable:
        yield Part(printable(str(folder)), "rules", partial(_packed, folder, readable))
    elif not bundles and not rules:
        yield Part(printable(str(folder)), "objects", partial(_nothing_in, folder))


def _packed(folder: Path, rules: list[Path]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for rule in rules:
            archive.writestr(rule.relative_to(folder).as_posix(), rule.read_bytes())
    return packed.getvalue()


def _nothing_in(folder: Path) -> bytes:
    raise InvalidInput("intel.empty_folder", folder=str(folder))
