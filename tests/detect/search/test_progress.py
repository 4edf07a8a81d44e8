"""How far a search is: among how many events it has looked, of how many in its stretch of time."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from istmo.detect.eventstore.closing import close_segment
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.search import find
from istmo.detect.search.find import Finder
from istmo.detect.search.query import parse_query
from istmo.detect.wire import Position


def write(folder: EventFolder, segment: int, count: int) -> None:
    lines = []
    for at in range(count):
        event = {"Image": "x", "UtcTime": f"2026-03-0{segment} 09:00:00.000", "Channel": "x"}
        head = b'{"id":"%d-%d","at":1772442000000000,"from":"s","event":' % (segment, at)
        lines.append(head + orjson.dumps(event) + b"}\n")
    folder.wal_path(segment).write_bytes(b"".join(lines))


@pytest.mark.parametrize("query", ["Image:y", "nothing", "NOT Image:x", ""])
def test_a_search_that_ends_has_looked_at_all_that_there_is(
    tmp_path: Path, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "_TELL_SECONDS", 0.0)
    folder = EventFolder(tmp_path)
    folder.create()
    for segment, count in ((1, 20), (2, 30), (3, 5)):
        write(folder, segment, count)
        if segment < 3:
            close_segment(folder, segment)
    finder = Finder(folder, parse_query(query), 100, Position(9, 0), 30)
    told = [(finder.looked, finder.of) for _ in finder.rows()]
    assert told[0] == (5, 0), "what is not closed is not counted before it is read"
    assert told == sorted(told) and (finder.looked, finder.of) == (55, 55)


def test_what_lies_outside_its_time_is_not_counted(tmp_path: Path) -> None:
    folder = EventFolder(tmp_path)
    folder.create()
    for segment in (1, 2):
        write(folder, segment, 10)
        close_segment(folder, segment)
    finder = Finder(folder, parse_query("Image:y from:2026-03-02"), 100, Position(9, 0), 30)
    assert list(finder.rows()) == [] and (finder.looked, finder.of) == (10, 10)
