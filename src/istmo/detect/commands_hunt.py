"""``istmo hunt``: rules and indicators over files, on a machine that has nothing else installed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

import click

from istmo.detect.normalise.times import read_time
from istmo.detect.reading import FORMS
from istmo.detect.sigma import LEVELS, RuleSet
from istmo.detect.triage.findings import rank
from istmo.detect.triage.hunting import STDIN, Hunt, Wanted, list_parts
from istmo.detect.triage.indicator_files import ReadIndicator, read_indicators
from istmo.detect.triage.outcome import Outcome
from istmo.detect.triage.parts import is_among
from istmo.detect.triage.rule_paths import load_all, load_pipelines, problem_told, words_of
from istmo.errors import InvalidInput
from istmo.kit.cli import Teller, argument, command, option, told_apart
from istmo.kit.streams import standard_input
from istmo.settings import Limits

LEVEL = click.Choice(LEVELS)
INTERRUPTED: Final = 130
PATH = click.Path(path_type=Path)


@command("hunt", help="detect.command.hunt")
@argument("files", metavar="FILE…", nargs=-1, required=True)
@option(
    "--rules",
    multiple=True,
    type=PATH,
    metavar="PATH",
    help="detect.command.hunt.rules",
)
@option(
    "--indicators",
    multiple=True,
    type=PATH,
    metavar="FILE",
    help="detect.command.hunt.indicators",
)
@option("--pipeline", "pipelines", multiple=True, type=PATH, metavar="FILE", help="detect.command.pipeline")
@option(
    "--format",
    "log_form",
    type=click.Choice(FORMS),
    default=None,
    metavar="FORMAT",
    help="detect.command.hunt.format",
)
@option("--level", type=LEVEL, default=None, help="detect.command.hunt.level")
@option("--since", default="", metavar="TIME", help="detect.command.hunt.since")
@option("--until", default="", metavar="TIME", help="detect.command.hunt.until")
@option("--host", default="", metavar="HOST", help="detect.command.hunt.host")
@option(
    "--by",
    type=click.Choice(["rule", "host", "technique"]),
    default="rule",
    show_default=True,
    help="detect.command.hunt.by",
)
@option("--timeline", "form", flag_value="timeline", help="detect.command.hunt.timeline")
@option("--csv", "form", flag_value="csv", help="detect.command.hunt.csv")
@option("--timesketch", "form", flag_value="timesketch", help="detect.command.hunt.timesketch")
@option("--html", "form", flag_value="html", help="detect.command.hunt.html")
@option(
    "--output",
    type=PATH,
    default=None,
    metavar="FILE",
    help="detect.command.hunt.output",
)
@option("--limit", type=click.IntRange(min=1), default=None, help="detect.command.hunt.limit")
@option("--problems", "all_problems", is_flag=True, help="detect.command.hunt.problems")
@option("--fail-on", type=LEVEL, default=None, help="detect.command.hunt.fail_on")
@told_apart
def hunt(
    teller: Teller,
    files: tuple[str, ...],
    rules: tuple[Path, ...],
    indicators: tuple[Path, ...],
    pipelines: tuple[Path, ...],
    log_form: str | None,
    level: str | None,
    since: str,
    until: str,
    host: str,
    by: str,
    form: str | None,
    output: Path | None,
    limit: int | None,
    all_problems: bool,
    fail_on: str | None,
) -> None:
    """Look through files; status 1 where nothing could be read, or ``--fail-on`` found something."""
    if teller.json and form:
        raise InvalidInput("detect.hunt_two_forms")
    if output is not None and is_among(output, files):
        raise InvalidInput("detect.hunt_output_is_input", file=str(output))
    limits, started = Limits(), time.monotonic()
    wanted = Wanted(_instant(since), _instant(until), host)
    looked_for = _indicators(indicators, limits)
    ruleset = _rules(teller, rules, pipelines, looked_for)
    chosen = _at_least(ruleset, level)
    work = Hunt(
        chosen,
        looked_for,
        wanted,
        limits,
        words_of,
        lambda: 0,
        standard_input().buffer if STDIN in files else None,
        keeps_rows=form is not None,
        form=log_form or "",
    )
    parts = list_parts(files, lambda name, error: work.findings.tell(name, 0, words_of(error)))

    @contextmanager
    def progress() -> Iterator[Callable[[float], None]]:
        size = sum(one.size for one in parts) if all(one.path for one in parts) else None
        with teller.progress("detect.hunt.progress", size, is_bytes=True) as done:
            yield done

    try:
        work.run(parts, progress)
        outcome = Outcome(teller, work, ruleset, time.monotonic() - started, by, limit)
        outcome.show(form, output, all_problems=all_problems)
    finally:
        work.spool.close()
    if work.is_cut_short:
        raise SystemExit(INTERRUPTED)
    found = work.findings
    is_found = fail_on and any(rank(group.level) >= rank(fail_on) for group in found.groups.values())
    if is_found or not found.events:
        raise SystemExit(1)


def _instant(text: str) -> datetime | None:
    if not text:
        return None
    found = read_time(text)
    if found is None:
        raise InvalidInput("detect.hunt_not_a_time", text=text[:100])
    return found[0]


def _indicators(paths: tuple[Path, ...], limits: Limits) -> tuple[ReadIndicator, ...]:
    return tuple(one for path in paths for one in read_indicators(path, limits).indicators)


def _rules(
    teller: Teller,
    paths: tuple[Path, ...],
    pipelines: tuple[Path, ...],
    indicators: tuple[ReadIndicator, ...],
) -> RuleSet:
    if not paths:
        if not indicators:
            raise InvalidInput("detect.hunt_nothing_to_look_for")
        return RuleSet()
    with teller.working("detect.hunt.loading"):
        ruleset = load_all(paths, load_pipelines(pipelines))
    if not ruleset.rules:
        reason = problem_told(ruleset.problems[0])["message"] if ruleset.problems else ""
        raise InvalidInput("detect.hunt_no_rules", refused=len(ruleset.problems), reason=reason)
    return ruleset


def _at_least(ruleset: RuleSet, level: str | None) -> RuleSet:
    if level is None:
        return ruleset
    shown = {one.id for one in ruleset.rules if rank(one.level) >= rank(level)}
    shown |= {one.id for one in ruleset.correlations if rank(one.level) >= rank(level)}
    parts: set[str] = set()
    for one in reversed(ruleset.correlations):  # parts come before what is made of them
        if one.id in shown or one.id in parts:
            parts.update(one.rule_ids)
    kept = ruleset.only(shown | parts)
    return replace(kept, silent=kept.silent | (parts - shown), by_id={})


commands = [hunt]
