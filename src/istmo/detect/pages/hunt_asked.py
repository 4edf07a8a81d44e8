"""What the address of the hunting page asks: a query, a stretch of time, columns; and addresses of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from istmo.detect.normalise.times import read_time
from istmo.detect.search.query import LONGEST, Or, parse_query
from istmo.errors import InvalidInput, IstmoError
from istmo.kit import times
from istmo.model import durations, instants

STRETCHES: Final = ("1h", "24h", "7d", "30d", "all")
"""Offered: so long until now, or everything that is stored."""
USUAL: Final = "24h"
ALL: Final = "all"
BETWEEN: Final = ".."
MOST_COLUMNS: Final = 12
LONGEST_NAME: Final = 200
_PLAIN_NAME: Final = re.compile(r'[^\s:()"\-][^\s:()"]*')
_CURSOR: Final = re.compile(r"([0-9]{1,17})-([0-9]{1,6})", re.ASCII)
_LOCAL: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?", re.ASCII)


@dataclass(frozen=True)
class Asked:
    """One question of the hunting page. ``path`` gives the address that asks it again."""

    query: str = ""
    within: str = USUAL
    """``24h`` (until now), ``all``, or ``A..B``: two instants, either of which may be missing."""
    columns: tuple[str, ...] = ()
    by: str = ""
    """The field whose most frequent values are shown."""
    before: str = ""
    """Where a further page begins: event time in µs, and how many of that very time were shown."""

    def stretch(self, now: datetime) -> tuple[datetime | None, datetime | None]:
        """From when (included) to when (excluded). Raises InvalidInput where ``within`` is none."""
        if self.within == ALL:
            return None, None
        if BETWEEN in self.within:
            begin, _, end = self.within.partition(BETWEEN)
            return _instant(begin), _instant(end)
        seconds = durations.parse(self.within)
        if seconds is None:
            return _instant(self.within), None
        try:
            return now - timedelta(seconds=seconds), None
        except OverflowError:
            return None, None

    @property
    def window(self) -> str:
        """The same as the window of a saved hunt; empty where it is none: that looks back from each run."""
        return self.within if self.within == ALL or durations.parse(self.within) else ""

    def page(self) -> tuple[datetime | None, int]:
        """Where this page ends in time (excluded), and how many of its first events were shown already."""
        found = _CURSOR.fullmatch(self.before)
        if found is None:
            return None, 0
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(found[1]) + 1), int(found[2])

    def path(self, base: str = "/hunt", **changes: str) -> str:
        """An address that asks this, with some of it changed; ``base`` is the page."""
        values = {
            "q": self.query,
            "from": self.within,
            "columns": ",".join(self.columns),
            "by": self.by,
            **changes,
        }
        return f"{base}?{urlencode({name: value for name, value in values.items() if value or name == 'q'})}"

    def api(self, base: str, now: datetime, **more: str) -> str:
        """The same question to the API."""
        start, end = self.stretch(now)
        values = {
            "q": self.query,
            "from": "" if start is None else instants.format(start),
            "to": "" if end is None else instants.format(end),
            **more,
        }
        return f"{base}?{urlencode({name: value for name, value in values.items() if value or name == 'q'})}"


def read_asked(query: Mapping[str, str], zone: str) -> Asked:
    """What an address asks. ``zone``: of whoever filled in two times by hand."""
    within = query.get("from", "").strip()[:100] or USUAL
    end = query.get("to", "").strip()[:40]
    if end and BETWEEN not in within and durations.parse(within) is None:
        within = f"{'' if within == ALL else within}{BETWEEN}{end}"
    since, until = (_local(query.get(name, ""), zone) for name in ("since", "until"))
    if since or until:
        within = f"{since}{BETWEEN}{until}"
    columns = [one.strip()[:LONGEST_NAME] for one in query.get("columns", "").split(",")]
    return Asked(
        query=query.get("q", "").replace("\r\n", " ").replace("\x00", "")[: LONGEST + 1].strip(),
        within=within,
        columns=tuple(dict.fromkeys(one for one in columns if one))[:MOST_COLUMNS],
        by=query.get("by", "").strip()[:LONGEST_NAME],
        before=query.get("before", "")[:30],
    )


def term_of(name: str, value: str) -> str:
    """What finds events whose field has exactly this value, in the search language."""
    quoted = '"' + value.replace('"', '""') + '"'
    return f"{name}:={quoted}" if _PLAIN_NAME.fullmatch(name) else quoted


def narrowed(asked: Asked, term: str, *, without: bool = False) -> Asked | None:
    """The question with one more condition; None where the query would be too long or cannot be read."""
    try:
        is_either = isinstance(parse_query(asked.query).node, Or)
    except IstmoError:
        return None
    before = f"({asked.query})" if is_either else asked.query
    query = f"{before} {'NOT ' if without else ''}{term}".strip()
    return replace(asked, query=query, before="") if len(query) <= LONGEST else None


def between(start: datetime, end: datetime) -> str:
    """A stretch of time as the address has it."""
    return f"{_short(start)}{BETWEEN}{_short(end)}"


def _short(instant: datetime) -> str:
    text = instants.format(instant)
    return text.replace(".000000Z", "Z")


def _instant(text: str) -> datetime | None:
    if not text:
        return None
    found = read_time(text)
    if found is None:
        raise InvalidInput("detect.hunting_stretch", given=text[:40])
    return found[0]


def _local(text: str, zone: str) -> str:
    """A time of a form, which is in the asker's zone, as the address has it; empty where there is none."""
    if not _LOCAL.fullmatch(text):
        return ""
    try:
        there = datetime.fromisoformat(text).replace(tzinfo=times.zone(zone) or UTC)
        return _short(there)
    except (ValueError, OverflowError):
        return ""
