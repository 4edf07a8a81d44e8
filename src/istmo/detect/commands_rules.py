"""``istmo rules``: what istmo makes of Sigma rules, before they are given to a node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import click

from istmo.detect.normalise.known import known_logsource
from istmo.detect.sigma import (
    Correlation,
    Filter,
    Problem,
    ReadPart,
    ReadRule,
    Rule,
    RuleFile,
    combine,
    read_rules,
)
from istmo.detect.sigma.lints import Linter, Remark
from istmo.detect.triage.rule_paths import files_of, load_pipelines, problem_told
from istmo.kit.cli import CATALOGUE, Teller, argument, command, group, option, say, spoken, told_apart

SHOWN: Final = 40
"""Warnings that are named where nobody asked for all of them."""

Told = dict[str, Any]
Source = RuleFile | Problem


@group("rules", help="detect.command.rules")
def rules() -> None:
    """Sigma rules in files."""


@command("check", help="detect.command.rules.check")
@argument("paths", metavar="PATH…", nargs=-1, required=True, type=click.Path(path_type=Path))
@option(
    "--pipeline",
    "pipelines",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="detect.command.pipeline",
)
@option("--strict", is_flag=True, help="detect.command.rules.strict")
@option("--all", "is_whole", is_flag=True, help="detect.command.rules.all")
@told_apart
def check(
    teller: Teller, paths: tuple[Path, ...], pipelines: tuple[Path, ...], strict: bool, is_whole: bool
) -> None:
    """Read rules and say what is wrong with them; status 1 where one was refused."""
    loaded: list[Told] = []
    refused: list[Told] = []
    warnings: list[Told] = []
    rules: list[Rule] = []
    correlations: list[Correlation] = []
    filters: list[Filter] = []
    linter = Linter(known_logsource)
    with teller.progress("detect.rules.progress") as done:
        for one in read_rules(_counted(files_of(paths), done), pipelines=load_pipelines(pipelines)):
            if isinstance(one, ReadRule):
                rule = one.rule
                place = {"file": rule.file, "line": rule.line}
                loaded.append({"id": rule.id, "title": rule.title, "level": rule.level, **place})
                warnings += map(_remark, linter.look(one))
                rules.append(rule)
            elif isinstance(one, ReadPart):
                part = one.part
                loaded.append({"id": part.id, "title": part.title, "file": part.file, "line": part.line})
                if isinstance(part, Correlation):
                    correlations.append(part)
                else:
                    filters.append(part)
            else:
                refused.append(problem_told(one))
    refused += map(problem_told, combine(rules, correlations, filters).problems)
    if teller.json:
        teller.print_json({"loaded": loaded, "refused": refused, "warnings": warnings})
    else:
        _show(teller, refused, warnings, is_whole)
        teller.tell("detect.rules.done", n=len(loaded), refused=len(refused), warnings=len(warnings))
    if refused or not loaded or (strict and warnings):
        raise SystemExit(1)


def _counted(
    files: Iterable[RuleFile | Problem], done: Callable[[float], None]
) -> Iterator[RuleFile | Problem]:
    for file in files:
        yield file
        done(1)


def _remark(remark: Remark) -> Told:
    return {
        "code": remark.code,
        "file": remark.file,
        "line": remark.line,
        "rule": remark.rule,
        "message": say(remark.key, **remark.params),
    }


def _show(teller: Teller, refused: list[Told], warnings: list[Told], is_whole: bool) -> None:
    for one in refused:
        teller.line(f"{say('detect.rules.refused')}  {_place(one)}  {_named(one)}{one['message']}")
    for one in warnings if is_whole else warnings[:SHOWN]:
        teller.line(f"{say('detect.rules.warning')}  {_place(one)}  {_named(one)}{one['message']}")
    if not is_whole and len(warnings) > SHOWN:
        teller.note("detect.rules.more", n=len(warnings) - SHOWN)
    kinds = (("refused", refused), ("warning", warnings))
    counts = Counter((kind, one["code"]) for kind, found in kinds for one in found)
    if counts:
        teller.rows(
            None,
            ["detect.rules.head.kind", "detect.rules.head.count", "detect.rules.head.reason"],
            [
                (say(f"detect.rules.{kind}"), n, CATALOGUE.outline(spoken(), f"sigma.{_ROOM[kind]}.{code}"))
                for (kind, code), n in sorted(counts.items(), key=lambda one: (one[0][0], -one[1]))
            ],
            "detect.rules.none",
        )


_ROOM: Final = {"refused": "problem", "warning": "lint"}


def _place(one: Told) -> str:
    return f"{one['file']}:{one['line']}" if one["line"] else str(one["file"])


def _named(one: Told) -> str:
    return f"«{one['rule']}» " if one["rule"] else ""


rules.add_command(check)

commands = [rules]
