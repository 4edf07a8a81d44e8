"""``istmo ingest`` and ``istmo search``: events in from files, and found again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import orjson

from istmo.clock import SystemClock
from istmo.detect.commands_follow import follow
from istmo.detect.commands_rule_hunt import hunt_by_rules
from istmo.detect.commands_sql import ask_by_sql
from istmo.detect.ingesting import TOKEN, Outcome, Sender
from istmo.detect.reading import FORMS, JSON, FileProblem, Found, LineLogs, open_events, open_stream
from istmo.errors import Conflict, InvalidInput, IstmoError
from istmo.kit import times
from istmo.kit.cli import CATALOGUE, Teller, argument, command, option, say, spoken, told
from istmo.kit.client import NodeAnswered, NodeClient, checked_url
from istmo.kit.streams import standard_input
from istmo.kit.visible import printable_json
from istmo.model import instants
from istmo.settings import Limits, Settings, load_settings

STDIN = "-"
SHOWN = 20
LIMIT = click.IntRange(min=1)
_BAR = 30
"""Characters of the longest bar."""
_LONGEST = timedelta(days=2)
_AT_ONCE = 100


@command("ingest", help="detect.command.ingest")
@argument("files", metavar="FILE…", nargs=-1, required=True)
@option("--intake", default="", help="detect.command.ingest.intake")
@option(
    "--format",
    "log_form",
    type=click.Choice(FORMS),
    default=None,
    metavar="FORMAT",
    help="detect.command.ingest.format",
)
@option("--follow", "is_followed", is_flag=True, help="detect.command.ingest.follow")
@option(
    "--bookmarks",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE",
    help="detect.command.ingest.bookmarks",
)
@told
def ingest(
    teller: Teller,
    files: tuple[str, ...],
    intake: str,
    log_form: str | None,
    is_followed: bool,
    bookmarks: Path | None,
) -> None:
    """Read events from files and send them to the node's intake port."""
    # following asks nothing of a node but its intake, and so runs where there is no data folder
    is_elsewhere = teller.url or (is_followed and intake)
    settings = None if is_elsewhere else load_settings(teller.data)
    limits = settings.limits if settings else Limits()
    where = intake or (intake_url(settings) if settings else "")
    if not where:
        raise InvalidInput("detect.no_intake", url=teller.url)
    checked_url(where)  # before a source is made for it
    if is_followed:
        if STDIN in files:
            raise InvalidInput("detect.follow_stdin")
        verify: Any = True
        if settings is not None:
            with teller.client() as node:
                verify = node.verify
        outcome = follow(teller, files, where, verify, limits, log_form or "", bookmarks)
        _show(teller, outcome, settings.limits if settings else None)
        return
    if STDIN in files:
        standard_input()
    with teller.client() as node:
        secret, source = os.environ.get(TOKEN, ""), ""
        if not secret:
            secret, source = _passing_source(node, settings.country if settings else "")
        sender = Sender(where, secret, verify=node.verify, is_fresh=bool(source))
        try:
            with teller.progress("detect.ingest.progress") as done:
                outcome = sender.send(_found(files, limits, log_form or ""), done)
        finally:
            sender.close()
            if source:
                node.delete(f"/api/v1/sources/{source}")
    _show(teller, outcome, settings.limits if settings else None)


def _passing_source(node: NodeClient, country: str) -> tuple[str, str]:
    """Secret and id of a source of a name of its own, that ends by itself should this command be killed.

    ``country``: in whose time the name says when. Two that begin in one second are told apart by a number.
    """
    now = SystemClock().now()
    name = f"{say('detect.ingest.source')} {times.local(now, times.zone_of_country(country))}"
    for number in range(2, _AT_ONCE):
        try:
            made = node.post("/api/v1/sources", {"name": name, "expires": instants.format(now + _LONGEST)})
        except NodeAnswered as error:
            if error.params["code"] != "detect.source_exists":
                raise
            name = f"{name.partition(' (')[0]} ({number})"
        else:
            return made["secret"], made["id"]
    raise Conflict("detect.source_exists", name=name)


def intake_url(settings: Settings) -> str:
    """Where the node's own intake port is, as seen from this machine."""
    host = f"[{settings.intake_host}]" if ":" in settings.intake_host else settings.intake_host
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104
    return f"{'https' if settings.tls == 'own' else 'http'}://{host}:{settings.intake_port}"


def _found(files: tuple[str, ...], limits: Limits, form: str) -> Iterator[Found]:
    logs = LineLogs(SystemClock().now(), form)
    for name in files:
        if name == STDIN:
            yield from open_stream(standard_input().buffer, STDIN, limits, None, logs)
        else:
            yield from open_events(Path(name), limits, None, logs)


def _show(teller: Teller, outcome: Outcome, limits: Limits | None) -> None:
    if teller.json:
        teller.print_json(
            {
                "accepted": outcome.accepted,
                "doubled": outcome.doubled,
                "formats": dict(outcome.forms),
                "unreadable": [one | _refused(one["code"], limits) for one in outcome.unreadable],
                "unreadable_total": outcome.unreadable_total,
                "refused": [one | _refused(one["code"], limits) for one in outcome.refused],
                "refused_total": outcome.refused_total,
                "problems": [_problem(one) for one in outcome.problems],
            }
        )
    else:
        for problem in outcome.problems[:SHOWN]:
            teller.note("detect.ingest.problem", message=_problem(problem)["message"])
        for one in outcome.refused[:SHOWN]:
            message = _refused(one["code"], limits)["message"]
            teller.note("detect.ingest.refused", place=one["place"], line=one["line"], message=message)
        for one in outcome.unreadable[:SHOWN]:
            message = _refused(one["code"], limits)["message"]
            teller.note("detect.ingest.unreadable", place=one["place"], line=one["line"], message=message)
        unseen = outcome.refused_total + len(outcome.problems) + outcome.unreadable_total
        unseen -= sum(len(some[:SHOWN]) for some in (outcome.refused, outcome.unreadable, outcome.problems))
        if unseen:
            teller.note("detect.ingest.more", n=unseen)
        if set(outcome.forms) - {JSON}:
            told_ = ", ".join(f"{form}: {count}" for form, count in outcome.forms.most_common())
            teller.note("detect.ingest.formats", formats=told_)
        teller.tell("detect.ingest.done", n=outcome.accepted, refused=outcome.refused_total)
    if not outcome.accepted and (outcome.refused_total or outcome.problems):
        raise SystemExit(1)


def _problem(problem: FileProblem) -> dict[str, Any]:
    words = _words(problem.error)
    return {"place": problem.place, "line": problem.line, "code": problem.error.code} | words


def _words(error: IstmoError) -> dict[str, str]:
    told_ = CATALOGUE.error(spoken(), error)
    return {"message": told_.message, "remedy": told_.remedy}


def _refused(code: str, limits: Limits | None) -> dict[str, str]:
    """The words of a refused line.

    A node tells the code alone: its limit is known where it is our own, and left open where it is elsewhere.
    """
    key = f"error.{code}"
    texts = {"message": key, "remedy": f"{key}.remedy"}
    known = {}
    if limits is not None:
        of_code = {"detect.line_too_deep": limits.json_depth, "detect.line_too_long": limits.line_bytes}
        known = {"limit": of_code[code]} if code in of_code else {}
    return {name: CATALOGUE.outline(spoken(), text, **known) for name, text in texts.items()}


@command("search", help="detect.command.search")
@argument("query", metavar="QUERY", required=False, default="")
@option("--from", "start", default="", help="detect.command.search.from")
@option("--to", "end", default="", help="detect.command.search.to")
@option("--limit", type=LIMIT, default=100, show_default=True, help="detect.command.search.limit")
@option("--by", default="", metavar="FIELD", help="detect.command.search.by")
@option("--top", type=LIMIT, default=20, show_default=True, help="detect.command.search.top")
@option("--histogram", default="", metavar="15m|1h|1d", help="detect.command.search.histogram")
@option("--rules", default="", metavar="FILE|all", help="detect.command.search.rules")
@option("--sql", default="", metavar="SELECT…", help="detect.command.search.sql")
@option("--pattern", default="", metavar="[…]", help="detect.command.search.pattern")
@told
def search(
    teller: Teller,
    query: str,
    start: str,
    end: str,
    limit: int,
    by: str,
    top: int,
    histogram: str,
    rules: str,
    sql: str,
    pattern: str,
) -> None:
    """Stored events, newest first: a line each, as they are found; status 1 where they are not all.

    With ``--by`` or ``--histogram`` they are counted instead; with ``--rules`` Sigma rules say which ones,
    with ``--sql`` a SELECT; with ``--pattern`` a STIX pattern, among those that answer the query.
    """
    if pattern and (by or histogram or rules or sql):
        raise InvalidInput("detect.pattern_alone")
    if sql:
        if query or by or histogram or rules:
            raise InvalidInput("detect.sql_no_query")
        source = click.get_current_context().get_parameter_source("limit")
        is_given = source is not click.core.ParameterSource.DEFAULT
        ask_by_sql(teller, sql, start, end, limit if is_given else None)
        return
    if rules:
        if query or by or histogram:
            raise InvalidInput("detect.rule_hunt_no_query")
        hunt_by_rules(teller, rules, start, end, limit)
        return
    if by or histogram:
        _count(teller, _bounded(query, start, end), by, top, histogram)
        return
    shown, problem = 0, None
    with teller.client() as node:
        asked = {"pattern": pattern} if pattern else {}
        for row in node.stream("/api/v1/events/search", q=_bounded(query, start, end), limit=limit, **asked):
            if teller.json:
                teller.print_json_line(row)
            elif not row.get("done"):
                event = printable_json(orjson.dumps(row["event"]).decode())
                teller.line(f"{row['time']}  {row['host']}  {event}")
                shown += 1
            problem = row["problem"] if row.get("done") else None
    if not teller.json:
        teller.note("detect.search.done", n=shown)
    if problem:
        teller.note("detect.search.cut_short", message=problem["text"])
        raise SystemExit(1)


def _count(teller: Teller, query: str, by: str, top: int, histogram: str) -> None:
    with teller.client() as node:
        told_ = node.get("/api/v1/events/count", q=query, by=by, top=top, histogram=histogram)
    if teller.json:
        teller.print_json(told_)
    else:
        counts = [(one["value"], one["count"]) for one in told_["values"]]
        counts += [(one["time"], one["count"]) for one in told_["buckets"]]
        most = max((count for _, count in counts), default=1)
        for name, count in counts:
            bar = "█" * max(1, round(_BAR * count / most))
            teller.line(f"{count:>10}  {bar:<{_BAR}}  {name}")
        for name in ("rest", "missing"):
            if by and told_[name]:
                teller.note(f"detect.search.{name}", n=told_[name])
        teller.note("detect.search.done", n=told_["total"])
    if told_["problem"]:
        teller.note("detect.search.cut_short", message=told_["problem"]["text"])
        raise SystemExit(1)


def _bounded(query: str, start: str, end: str) -> str:
    times = [f'{name}:"{value}"' for name, value in (("from", start), ("to", end)) if value]
    return " ".join([*times, f"({query})"]) if times and query.strip() else " ".join(times) or query


commands = [ingest, search]
