"""Closing a segment: a full write-ahead file becomes frames of lines and columns.

Safe at any point: both files are written under other names, synced, renamed, their folder synced,
and only then the write-ahead file goes. Whatever a crash leaves is done again from the start.
"""

from __future__ import annotations

from collections.abc import Iterator

from istmo.detect.eventstore.disk import sync_folder
from istmo.detect.eventstore.folder import Closed, EventFolder
from istmo.detect.eventstore.frames import Index
from istmo.detect.eventstore.wal import WriteAheadReader
from istmo.detect.eventstore.writing import Placed, write_segment
from istmo.detect.wire import Position


def close_segment(folder: EventFolder, segment: int) -> Index:
    """Close one segment whose write-ahead file takes no more lines.

    Raises OSError when there is no room, SealedAway where it is sealed with a key that is not there: what
    was half written is removed, the write-ahead file stays.
    """
    reader = WriteAheadReader(folder.wal_path(segment), keys=folder.keys)
    try:
        index = write_segment(folder, Closed(segment, segment), _placed(segment, reader))
    finally:
        reader.close()
    folder.wal_path(segment).unlink(missing_ok=True)
    folder.times_path(segment).unlink(missing_ok=True)
    sync_folder(folder.wal)
    return index


def _placed(segment: int, reader: WriteAheadReader) -> Iterator[Placed]:
    while lines := reader.read():
        first = reader.line - len(lines)
        for number, line in enumerate(lines, first):
            yield Position(segment, number), line
