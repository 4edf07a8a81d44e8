"""Which fields stored events have."""

from __future__ import annotations

from pathlib import Path

import orjson

from istmo.detect.eventstore.closing import close_segment
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.search.field_names import field_names
from istmo.detect.wire import Position

ALL = Position(9, 0)


def write(folder: EventFolder, segment: int, events: list[dict[str, object]]) -> None:
    lines = [
        b'{"id":"%d-%d","at":1772442000000000,"from":"s","event":%s}\n' % (segment, at, orjson.dumps(one))
        for at, one in enumerate(events)
    ]
    folder.wal_path(segment).write_bytes(b"".join(lines))


def test_they_are_told_of_closed_and_of_open_segments_those_of_most_first(tmp_path: Path) -> None:
    folder = EventFolder(tmp_path)
    folder.create()
    write(folder, 1, [{"Image": "a", "only_here": 1}])
    write(folder, 2, [{"Image": "b"}, {"image": "c", "User": "ana"}])
    close_segment(folder, 1)
    found = field_names(folder, ALL, 5)
    names = dict(found.fields)
    assert found.segments == 2 and found.is_whole
    assert next(iter(names)) in ("Image", "image") and max(names.values()) == 2
    assert names["only_here"] == names["User"] == 1
    assert {name.lower() for name in names} == {"image", "only_here", "user"}


def test_without_time_what_is_open_is_told_and_that_it_is_not_all(tmp_path: Path) -> None:
    folder = EventFolder(tmp_path)
    folder.create()
    write(folder, 1, [{"Image": "a"}])
    close_segment(folder, 1)
    write(folder, 2, [{"User": "ana"}])
    found = field_names(folder, ALL, -1)
    assert [name for name, _ in found.fields] == ["User"] and not found.is_whole
