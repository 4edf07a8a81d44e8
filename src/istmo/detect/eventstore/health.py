"""Whether what rests in the event store can be read: a look at the ends of each file, or at every event."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from istmo.detect.eventstore.columns import ColumnsUnreadable, connect, count_rows
from istmo.detect.eventstore.disk import digest_of
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.frames import FrameReader, Index

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class Health:
    """What was looked at. The two lists name files, in the order of their segments."""

    segments: int
    """Closed segments; those still in the write-ahead are looked at by the worker that opens them."""
    lost: list[str]
    """Files of lines that cannot be read: their events are gone but for a backup."""
    slow: list[str]
    """Files of columns that cannot be read: their events are all there, and a search reads every one."""


def look_at(root: Path, *, every_event: bool = False) -> Health:
    """Look at the index behind the frames and at the footer of the columns of every closed segment.

    Cheap: a few kilobytes a segment. With ``every_event`` each frame is unpacked against its checksum
    too, and the columns are read against theirs, which reads the whole store. A store that nobody has
    begun is whole. Raises OSError where the folder itself cannot be listed.
    """
    folder = EventFolder(root)
    if not folder.wal.exists() and not folder.segments.exists():
        return Health(0, [], [])
    lost: list[str] = []
    slow: list[str] = []
    segments = folder.closed()
    if segments:
        connection = connect(folder.segments)
        try:
            for closed in segments:
                raw, columns = folder.raw_path(closed), folder.columns_path(closed)
                try:
                    with FrameReader(raw) as reader:
                        index = reader.index
                        if every_event:
                            for number in range(len(reader.index.frames)):
                                reader.block(number)
                except (OSError, ValueError):
                    lost.append(raw.name)
                    continue
                if not _are_whole(connection, columns, index, every_event=every_event):
                    slow.append(columns.name)
        finally:
            connection.close()
    return Health(len(segments), lost, slow)


def _are_whole(connection: DuckDBPyConnection, columns: Path, index: Index, *, every_event: bool) -> bool:
    try:
        if columns.stat().st_size != index.columns_bytes or count_rows(connection, columns) != index.lines:
            return False
        return not every_event or digest_of(columns) == index.columns_digest
    except (OSError, ColumnsUnreadable):
        return False
