"""``istmo search --rules``: stored events that Sigma rules match."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from istmo.detect.normalise.times import read_time
from istmo.errors import InvalidInput, NotFound
from istmo.kit.cli import Teller, say
from istmo.model import instants

IN_FORCE: Final = "all"
"""In place of a file: the node's own rules, those that are in force."""


def hunt_by_rules(teller: Teller, rules: str, start: str, end: str, limit: int) -> None:
    """Matches as they are found, then the sums; status 1 where something was not seen or not used."""
    text = b"" if rules == IN_FORCE else _read(Path(rules))
    with teller.client() as node:
        times = asked_times(start, end)
        tell_matches(teller, node.stream_post("/api/v1/events/hunt", text, limit=limit, **times))


def tell_matches(teller: Teller, rows: Iterable[dict[str, Any]]) -> None:
    """A hunt's lines as they come; status 1 where something was not seen or not used."""
    last: dict[str, Any] = {}
    for row in rows:
        if teller.json:
            teller.print_json_line(row)
        elif not row.get("done"):
            level, title = row["level"] or "-", row["title"]
            teller.line(f"{row['time']}  {level:<13}  {row['event']:<12}  {row['host']}  {title}")
        if row.get("done"):
            last = row
    if not last:
        raise InvalidInput("detect.rule_hunt_broken")
    if not teller.json:
        _tell_sums(teller, last)
    if last["problem"]:
        teller.note("detect.search.cut_short", message=last["problem"]["text"])
    if last["problem"] or last["left_out"]:
        raise SystemExit(1)


def asked_times(start: str, end: str) -> dict[str, str | None]:
    """Times as the query language takes them, as the machine interface does. Raises InvalidInput."""
    told: dict[str, str | None] = {}
    for name, text in (("from", start), ("to", end)):
        found = read_time(text) if text else None
        if text and found is None:
            raise InvalidInput("detect.hunt_not_a_time", text=text[:100])
        told[name] = None if found is None else instants.format(found[0])
    return told


def _tell_sums(teller: Teller, last: dict[str, Any]) -> None:
    for one in last["rules"]:
        level = say(f"kit.level.{one['level']}").lower() if one["level"] else "—"
        teller.note("detect.rule_hunt.sum", n=one["count"], title=one["title"], level=level)
    for one in last["left_out"]:
        place = f"{one['rule']}:{one['line']}" if one["line"] else one["rule"]
        teller.note("detect.rule_hunt.left_out", place=place, message=one["text"])
    teller.note("detect.rule_hunt.looked", n=last["looked"])


def _read(path: Path) -> bytes:
    try:
        text = path.read_bytes()
    except OSError:
        raise NotFound("detect.no_such_file", file=str(path)) from None
    if not text.strip():
        raise InvalidInput("detect.rule_hunt_empty", file=str(path))
    return text
