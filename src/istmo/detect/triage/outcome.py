"""What a hunt found, told in the form that was asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any, Final, TextIO

from rich.console import Console

from istmo import __version__
from istmo.clock import SystemClock
from istmo.detect.reading import name_of
from istmo.detect.sigma import LEVELS, RuleSet
from istmo.detect.triage.findings import Findings, Group
from istmo.detect.triage.hunting import Hunt
from istmo.detect.triage.report import write_html
from istmo.detect.triage.rule_paths import problem_told
from istmo.detect.triage.tables import told, write_csv, write_timesketch
from istmo.kit.cli import Teller, say, sentence, spoken
from istmo.kit.streams import json_document

SHOWN: Final = 5
"""Problems that are named where nobody asked for all of them."""
NAMED: Final = 3
"""Hosts, or rules, in one cell of a table."""
_DAY, _MINUTE, _ROOMY = 10, 16, 110
"""Letters of an instant to the day and to the minute; columns from which on there is room for the latter."""
_PAGE: Final = 160
"""Columns of a table that is written to a file."""


class Outcome:
    """A hunt that is over, told in the form that was asked for."""

    def __init__(
        self, teller: Teller, work: Hunt, ruleset: RuleSet, seconds: float, by: str, limit: int | None
    ) -> None:
        self._teller = teller
        self._work = work
        self._found: Findings = work.findings
        self._ruleset = ruleset
        self._seconds = seconds
        self._by = by
        self._limit = limit

    def show(self, form: str | None, output: Path | None, *, all_problems: bool) -> None:
        """Everything: the result, what could not be used, and the line at the end."""
        if output is not None:
            with output.open("w", encoding="utf-8", errors="replace", newline="") as file:
                self._write(form, file)
        elif self._teller.json:
            self._teller.print_json(self.document())
        elif form in ("csv", "timesketch", "html"):
            self._write(form, sys.stdout)
        elif form == "timeline":
            self._timeline(self._teller.line)
        else:
            self._table(self._teller)
        self._tell_problems(all_problems)
        if self._work.is_cut_short:
            self._teller.note("detect.hunt.cut_short")
        is_page = form is None and output is None and not self._teller.json
        if is_page:
            self._teller.tell("detect.hunt.done", **self._figures())
        else:
            self._teller.note("detect.hunt.done", **self._figures())
        if output is not None:
            self._teller.note("detect.hunt.written", file=name_of(output))

    def document(self) -> dict[str, Any]:
        """The result for a program."""
        found = self._found
        return {
            "summary": {
                "events": found.events,
                "files": found.places,
                "matches": found.matches,
                "seconds": round(self._seconds, 3),
                "events_per_second": round(found.events / max(self._seconds, 1e-6)),
                "rules": len(self._ruleset.rules),
                "rules_asked": len(self._work.ruleset.rules),
                "rules_refused": len(self._ruleset.problems),
                "indicators": len(self._work.indicators),
                "problems": found.problems_total,
                "unreadable": found.unreadable,
                "cut_short": self._work.is_cut_short,
            },
            "matches": [_group(one) for one in islice(found.ordered(), self._limit)],
            "read": [
                {"form": name, "files": one.files, "events": one.events, "unreadable": one.unreadable}
                for name, one in sorted(found.forms.items())
            ],
            "hosts": [{"host": name, "count": n} for name, n, _ in found.hosts()],
            "techniques": [{"technique": name, "count": n} for name, n, _ in found.techniques() if name],
            "problems": found.problems
            + [{"kind": "rule", **problem_told(one)} for one in self._ruleset.problems],
        }

    def _write(self, form: str | None, into: TextIO) -> None:
        rows = islice(self._work.spool, self._limit)
        if self._teller.json:
            into.write(json_document(self.document(), 0) + "\n")
        elif form == "csv":
            write_csv(rows, into)
        elif form == "timesketch":
            write_timesketch(rows, into, say("detect.hunt.timesketch"))
        elif form == "html":
            summary = {
                "sentence": sentence("detect.hunt.done", **self._figures()),
                "version": __version__,
                "time": SystemClock().now(),
                "is_cut_short": self._work.is_cut_short,
            }
            write_html(self._found, rows, into, language=spoken(), text=say, summary=summary)
        elif form == "timeline":
            self._timeline(lambda line: into.write(line + "\n"))
        else:
            self._table(
                Teller(out=Console(file=into, width=_PAGE, markup=False, emoji=False, highlight=False))
            )

    def _timeline(self, put: Callable[[str], object]) -> None:
        for row in islice(self._work.spool, self._limit):
            when = row["time"][:19].replace("T", " ") or "–"
            put(f"{when}  {_level(row['level'])}  {row['host']}  {row['title']}  {told(row)}".rstrip())

    def _table(self, teller: Teller) -> None:
        rows: list[tuple[Any, ...]]
        shown = _MINUTE if teller.out.width >= _ROOMY else _DAY
        if self._by == "rule":
            heads = ["level", "count", "rule", "first", "last", "hosts"]
            rows = [
                (
                    _level(one.level),
                    one.count,
                    one.title,
                    one.first[:shown].replace("T", " "),
                    one.last[:shown].replace("T", " "),
                    _some(one.hosts),
                )
                for one in self._found.ordered()
            ]
        else:
            heads = [self._by, "count", "level", "rules"]
            listed = self._found.hosts() if self._by == "host" else self._found.techniques()
            rows = [
                (
                    name or "–",
                    n,
                    _level(groups[0].level if groups else ""),
                    _some(one.title for one in groups),
                )
                for name, n, groups in listed
            ]
        teller.rows(
            None, [f"detect.hunt.head.{head}" for head in heads], rows[: self._limit], "detect.hunt.none"
        )

    def _tell_problems(self, is_whole: bool) -> None:
        if self._teller.json:
            return
        found, refused = self._found.problems, self._ruleset.problems
        for one in found if is_whole else found[:SHOWN]:
            more = f" (×{one['count']})" if one["count"] > 1 else ""
            self._tell_problem(one, one["message"] + more)
        if is_whole:
            for problem in map(problem_told, refused):
                self._tell_problem(problem, problem["message"])
            return
        if self._found.unreadable:
            self._teller.note("detect.hunt.unreadable", n=self._found.unreadable)
        if len(found) > SHOWN:
            self._teller.note("detect.hunt.more", n=len(found) - SHOWN)
        if refused:
            self._teller.note("detect.hunt.refused", n=len(refused))

    def _tell_problem(self, problem: dict[str, Any], message: str) -> None:
        place = f"{problem['file']}:{problem['line']}" if problem["line"] else problem["file"]
        # some messages say the place themselves
        message = message.removeprefix(f"{problem['file']}: ")
        if not place:
            self._teller.note("detect.hunt.trouble", message=message)
            return
        self._teller.note("detect.hunt.problem", place=place, message=message)

    def _figures(self) -> dict[str, Any]:
        found = self._found
        return {
            "n": found.matches,
            "events": found.events,
            "files": found.places,
            "seconds": f"{self._seconds:.1f}",
            "rate": round(found.events / max(self._seconds, 1e-6)),
            "rules": len(self._ruleset.rules),
            "refused": len(self._ruleset.problems),
        }


def _group(group: Group) -> dict[str, Any]:
    return {
        "kind": group.kind,
        "id": group.id,
        "title": group.title,
        "level": group.level,
        "count": group.count,
        "first": group.first or None,
        "last": group.last or None,
        "files": list(group.files),
        "count_by_file": group.files,
        "hosts": group.hosts,
        "techniques": list(group.techniques),
        "author": group.author,
        "license": group.license,
        "samples": group.samples,
    }


def _level(level: str) -> str:
    return say(f"kit.level.{level or LEVELS[0]}")


def _some(names: Iterable[str]) -> str:
    known = list(names)
    shown = ", ".join(name or "–" for name in known[:NAMED])
    return f"{shown} +{len(known) - NAMED}" if len(known) > NAMED else shown
