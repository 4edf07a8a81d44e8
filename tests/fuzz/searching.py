"""Queries: whatever the text, columns and lines of the same events give the same answers, and counts."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import orjson

from istmo.detect.eventstore.closing import close_segment
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.lines import compose
from istmo.detect.search.counting import CountingFinder, Counts
from istmo.detect.search.find import Finder
from istmo.detect.search.query import parse_query
from istmo.detect.wire import Position
from istmo.errors import InvalidInput, TooLarge

_END = Position(9, 0)
_EVENTS = (
    {"Channel": "Security", "EventID": 4625, "IpAddress": "192.0.2.7", "Computer": "pc-1"},
    {"Channel": "Security", "EventID": 4624, "IpAddress": "2001:db8::7", "TargetUserName": 'José "K"'},
    {"Image": "C:\\Windows\\a_b%c.exe", "CommandLine": "net  user /add ſtraße * ?", "n": 1.5},
    {
        "Image": "",
        "list": ["uno", "dos", ["tres"]],
        "a": {"b": {"c": None}},
        "UtcTime": "2026-03-02 10:00:00",
    },
    {"list": [], "QueryName": "xn--bcher-kva.example", "t": True, "UtcTime": "2031-03-02 10:00:00"},
)


@cache
def stores() -> tuple[EventFolder, EventFolder]:
    """The same events as they are written, and at rest."""
    root = Path(tempfile.mkdtemp(prefix="istmo-fuzz-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    both = EventFolder(root / "open"), EventFolder(root / "closed")
    received = 1_772_445_600_000_000
    lines = [compose(1, n, received + n, b'"s1"', orjson.dumps(event)) for n, event in enumerate(_EVENTS)]
    for folder in both:
        folder.create()
        folder.wal_path(1).write_bytes(b"".join(lines))
    close_segment(both[1], 1)
    return both


def queries(data: bytes) -> None:
    """A query, and after the first NUL the field to count by."""
    text, _, by = data.decode("utf-8", "replace").partition("\0")
    with suppress(InvalidInput, TooLarge):
        query = parse_query(text)
        rows, told = [], []
        for folder in stores():
            rows.append(
                [row.event_id for some in Finder(folder, query, 100, _END, 60).rows() for row in some]
            )
            counts = Counts(by, 10, 3_600_000_000)
            (*_, tally) = CountingFinder(folder, query, counts, _END, 60).tallies()
            told.append((tally.total, tally.values, tally.rest, tally.missing, tally.buckets))
        assert rows[0] == rows[1], (text, rows)
        assert told[0] == told[1], (text, by, told)
        assert told[0][0] == len(rows[0]), (text, told, rows)


SEEDS = [
    b"EventID:>=4624 -pc-1\0IpAddress",
    b"IpAddress:192.0.2.0/24 OR (Image:*\\a?b%c.exe AND NOT list:dos)\0list",
    b'"net  user" CommandLine:="net  user /add * ?" from:2026-03-02 to:2026-03-03\0host',
    b"n:1..2 OR UtcTime:>2026-03-02 OR a.b.c:* OR host:pc-1 OR source:s1 OR id:1-2 OR istmo.clock:future\0a",
]
